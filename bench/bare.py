"""The limit of NATS and Python alone: answers in the operator's place, with no state and no API server.

It does the hops of a two-step upload and nothing else, through the same kind of consumer
(JetStream pull) and publication (acknowledged, with a message id) as the operator.
"""

import argparse
import asyncio
import sys
from base64 import b64decode

import nats
import uvloop
from nats.js.api import ConsumerConfig

from bench import events
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.publisher import Publisher
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import STREAM, ConsumerPosition, ensure_stream
from uploadpp.wire.stream_message import StreamMessage

STEPS = ("policies", "virusscan")


async def _main(url: str) -> None:
    client = await nats.connect(url, pending_size=64 << 20)
    js = client.jetstream()
    await ensure_stream(js)
    await js.add_consumer(STREAM, ConsumerConfig(name="bare", durable_name="bare", max_ack_pending=1_000_000))

    async def pass_through() -> None:
        return

    publisher = Publisher(client, pass_through, lambda: False)
    count = 0

    def send(body: bytes) -> None:
        nonlocal count
        count += 1
        publisher.publish(Outgoing(f"bare-{count}", body), lambda _: None, lambda _: None)

    async def handle(raw: StreamMessage) -> None:
        kind = events.kind_of(raw.data)
        if kind == b"BytesReceived":
            send(events.start_step(events.upload_of(raw.data)[0], STEPS[0]))
        elif kind == b"PostprocessingStepFinished":
            upload_id, _ = events.upload_of(raw.data)
            first = b"policies" in _decoded(raw.data)
            send(events.start_step(upload_id, STEPS[1]) if first else events.finished(upload_id))

    reader = LogReader(client, ConsumerPosition("bare", "bare", 1, 1, 0), handle)
    print("ready", flush=True)
    await asyncio.gather(reader.run(), publisher.run())


def _decoded(message: bytes) -> bytes:
    found = events._PAYLOAD.search(message)  # noqa: SLF001 -- the twin of upload_of
    return b64decode(found[1]) if found else b""


def main() -> int:
    """Run from the command line until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats", required=True)
    uvloop.run(_main(parser.parse_args().nats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
