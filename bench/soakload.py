"""The load of `make soak`: steps that answer in every way, and a storage that keeps count.

`python -m bench.soakload --nats URL --uploads N --rate R --seed S`. Unlike the load of the bench it survives
restarts of NATS: it sends until the stream says that it has a message, and reads on where it was.
It prints one JSON line.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict
from uuid import uuid4

import nats
import uvloop
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from bench import events
from bench.courses import Course, answer_of, courses
from uploadpp.testing.events import STREAM
from uploadpp.wire.errors import LogLostError
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import ConsumerPosition
from uploadpp.wire.stream_message import StreamMessage

AGAIN_SECONDS = 0.5
PATIENCE_SECONDS = 900.0
"""For the last uploads, when all have been announced."""
QUIET_SECONDS = 5.0
"""After the last end, for one that comes a second time."""
MOST_SHOWN = 20


class SoakLoad:
    """One run."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client, self._options = client, options
        self._js = client.jetstream(timeout=5)
        self._choose = random.Random(options.seed)  # noqa: S311 -- the same again in the next run
        self._courses: dict[str, Course] = {}
        self._began: dict[str, float] = {}
        self._latencies: list[float] = []
        self._starts: Counter[tuple[str, str]] = Counter()
        self._ends: defaultdict[str, list[str]] = defaultdict(list)
        self._next = 1
        self._all = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> dict[str, object]:
        """Announce all uploads and wait for their ends."""
        hearing = asyncio.create_task(self._read())
        began = time.monotonic()
        kinds = courses(self._options.seed)
        for number in range(self._options.uploads):
            await asyncio.sleep(max(0.0, began + number / self._options.rate - time.monotonic()))
            upload_id = str(uuid4())
            self._courses[upload_id] = next(kinds)
            self._began[upload_id] = time.monotonic()
            self._send(events.bytes_received(upload_id))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._all.wait()
        except TimeoutError:
            print("not all uploads have ended", file=sys.stderr)
        seconds = time.monotonic() - began
        await asyncio.sleep(QUIET_SECONDS)
        hearing.cancel()
        await asyncio.wait([hearing])
        return self._result(seconds)

    async def _read(self) -> None:
        """Read the stream from its beginning, with another consumer whenever one is gone."""
        while True:
            try:
                await LogReader(self._client, await self._place(), self._hear).run()
            except (LogLostError, NatsError, TimeoutError, OSError):
                await asyncio.sleep(AGAIN_SECONDS)

    async def _place(self) -> ConsumerPosition:
        name = f"soak-{uuid4().hex}"
        config = ConsumerConfig(
            name=name,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._next,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=60,
        )
        await self._js.add_consumer(STREAM, config)
        return ConsumerPosition(name, name, 1, self._next, 0)

    async def _hear(self, message: StreamMessage) -> None:
        self._next = message.sequence + 1
        kind = events.kind_of(message.data)
        if kind == b"StartPostprocessingStep":
            upload_id, step = events.upload_of(message.data)
            self._starts[upload_id, step] += 1
            self._answer(upload_id, step, self._starts[upload_id, step])
        elif kind == b"PostprocessingFinished":
            upload_id, _ = events.upload_of(message.data)
            self._ends[upload_id].append(events.outcome_of(message.data))
            self._send(events.upload_ready(upload_id))
            began = self._began.pop(upload_id, None)
            if began is not None:
                self._latencies.append(time.monotonic() - began)
                if len(self._latencies) == self._options.uploads:
                    self._all.set()

    def _answer(self, upload_id: str, step: str, attempt: int) -> None:
        course = self._courses.get(upload_id)
        answer = answer_of(course, step, attempt, self._choose) if course is not None else None
        if answer is not None:
            for _ in range(answer.copies):
                self._send(events.step_finished(upload_id, step, answer.outcome), answer.after)

    def _send(self, body: bytes, after: float = 0.0) -> None:
        task = asyncio.create_task(self._publish(body, after))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _publish(self, body: bytes, after: float) -> None:
        await asyncio.sleep(after)
        headers = {"Nats-Msg-Id": uuid4().hex}
        while True:
            try:
                await self._js.publish(STREAM, body, headers=headers)
            except (NatsError, TimeoutError, OSError):
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    def _result(self, seconds: float) -> dict[str, object]:
        """What has become of whom; `wrong` has the first of those that did not end once and as they must."""
        wrong = {
            upload_id: [course.name, self._ends[upload_id]]
            for upload_id, course in self._courses.items()
            if self._ends[upload_id] != [course.outcome]
        }
        latencies = sorted(self._latencies) or [0.0]
        return {
            "uploads": self._options.uploads,
            "seconds": round(seconds, 1),
            "rate": round(self._options.uploads / seconds, 1),
            "kinds": dict(Counter(course.name for course in self._courses.values())),
            "ended_once_as_they_must": len(self._courses) - len(wrong),
            "ended_twice": sum(len(ends) > 1 for ends in self._ends.values()),
            "not_ended": sum(not self._ends[upload_id] for upload_id in self._courses),
            "strangers": len(set(self._ends) - set(self._courses)),
            "wrong": dict(list(wrong.items())[:MOST_SHOWN]),
            "starts": sum(self._starts.values()),
            "p50_s": round(latencies[len(latencies) // 2], 3),
            "p99_s": round(latencies[int(len(latencies) * 0.99)], 1),
            "longest_s": round(latencies[-1], 1),
        }


async def _ignore(error: Exception) -> None:
    """Lost connections are what this is about."""
    del error


async def _main(options: argparse.Namespace) -> None:
    client = await nats.connect(
        options.nats,
        pending_size=64 << 20,
        max_reconnect_attempts=-1,
        reconnect_time_wait=AGAIN_SECONDS,
        error_cb=_ignore,
    )
    result = await SoakLoad(client, options).run()
    await client.close()
    print(json.dumps(result))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats", required=True)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--seed", type=int, default=0)
    uvloop.run(_main(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
