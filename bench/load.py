"""The load: plays storage and step services in a process of its own, prints one JSON line.

`python -m bench.load --nats URL --uploads N --in-flight M`; with `--rate R` uploads come at a
rate instead (open loop). `--retries 0.5` lets that share of uploads answer `retry` once,
`--copies 2` says everything twice.

It hears the stream as real services do, through a consumer: a plain subscription is told of a message before
the message is in the stream, and an answer could get there first, where it answers nothing.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any
from uuid import uuid4

import nats
import uvloop
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from bench import events
from uploadpp.testing.events import STREAM
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import ConsumerPosition, ensure_stream
from uploadpp.wire.stream_message import StreamMessage

PATIENCE_SECONDS = 300
READ_EVERY = 50


class Load:
    """One run."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client = client
        self._options = options
        self._began: dict[str, float] = {}
        self._latencies: list[float] = []
        self._starts: Counter[tuple[str, str]] = Counter()
        self._finishes: Counter[str] = Counter()
        self._retrying: set[str] = set()
        self._room = asyncio.Semaphore(options.in_flight or options.uploads)
        self._done = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> dict[str, object]:
        """Upload everything and wait until all is released.

        Raises:
            TimeoutError: it takes too long.
        """
        hearing = asyncio.create_task(LogReader(self._client, await self._place(), self._hear).run())
        began = time.perf_counter()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._upload()
            await self._done.wait()
        seconds = time.perf_counter() - began
        hearing.cancel()
        await asyncio.wait([hearing])
        return self._result(seconds)

    async def _place(self) -> ConsumerPosition:
        """A consumer of what comes from now on."""
        js, name = self._client.jetstream(), f"load-{uuid4().hex}"
        await ensure_stream(js)
        first = (await js.stream_info(STREAM)).state.last_seq + 1
        config = ConsumerConfig(
            name=name,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
            ack_policy=AckPolicy.NONE,
        )
        await js.add_consumer(STREAM, config)
        return ConsumerPosition(name, name, 1, first, 0)

    async def _upload(self) -> None:
        options, begun = self._options, time.perf_counter()
        for number in range(options.uploads):
            await self._room.acquire()
            await asyncio.sleep(options.pause)
            if options.rate:
                await asyncio.sleep(max(0.0, begun + number / options.rate - time.perf_counter()))
            upload_id = str(uuid4())
            if number < options.uploads * options.retries:
                self._retrying.add(upload_id)
            self._began[upload_id] = time.perf_counter()
            await self._say(events.bytes_received(upload_id))
            if number % READ_EVERY == 0:
                await asyncio.sleep(0)  # or the server takes us for a slow consumer and hangs up

    async def _say(self, body: bytes) -> None:
        for _ in range(self._options.copies):
            await self._client.publish(STREAM, body)

    async def _hear(self, message: StreamMessage) -> None:
        kind = events.kind_of(message.data)
        if kind == b"StartPostprocessingStep":
            upload_id, step = events.upload_of(message.data)
            self._starts[upload_id, step] += 1
            again = upload_id in self._retrying
            self._retrying.discard(upload_id)
            answer = self._say(events.step_finished(upload_id, step, "retry" if again else "continue"))
            if self._options.work:
                asyncio.get_running_loop().call_later(self._options.work, self._answer, answer)
            else:
                await answer
        elif kind == b"PostprocessingFinished":
            upload_id, _ = events.upload_of(message.data)
            self._finishes[upload_id] += 1
            began = self._began.pop(upload_id, None)
            await self._say(events.upload_ready(upload_id))
            if began is not None:
                self._latencies.append(time.perf_counter() - began)
                self._room.release()
                if len(self._latencies) == self._options.uploads:
                    self._done.set()

    def _answer(self, answer: Coroutine[Any, Any, None]) -> None:
        """Steps work side by side."""
        task = asyncio.create_task(answer)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _result(self, seconds: float) -> dict[str, object]:
        latencies = sorted(self._latencies)
        retried = self._options.uploads * self._options.retries
        return {
            "uploads": self._options.uploads,
            "seconds": seconds,
            "rate": self._options.uploads / seconds,
            "p50_ms": latencies[len(latencies) // 2] * 1000,
            "p90_ms": latencies[int(len(latencies) * 0.9)] * 1000,
            "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
            "longest_ms": latencies[-1] * 1000,
            "cpu_ms_of_load": time.process_time() / self._options.uploads * 1000,
            "extra_starts": sum(self._starts.values())
            - self._options.uploads * self._options.steps
            - retried,
            "extra_finishes": sum(self._finishes.values()) - self._options.uploads,
        }


async def _main(options: argparse.Namespace) -> None:
    client = await nats.connect(options.nats, pending_size=64 << 20)
    result = await Load(client, options).run()
    await client.close()
    print(json.dumps(result))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats", required=True)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--in-flight", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds before each upload")
    parser.add_argument("--work", type=float, default=0.0, help="seconds a step takes")
    parser.add_argument("--retries", type=float, default=0.0)
    parser.add_argument("--copies", type=int, default=1)
    uvloop.run(_main(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
