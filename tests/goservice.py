"""The legacy service, played on a real NATS as its sources say it works, with its defects.

It shares no code with the operator. What it reads from its bucket is checked as Go's decoder would. It
acknowledges a message before it works on it, keeps its timers in memory, and `kill` forgets both. In newer
versions it pulls, and acknowledges a message after its work.
"""

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, KeyValueConfig
from nats.js.errors import BucketNotFoundError, KeyNotFoundError
from nats.js.kv import KeyValue

from e2e.demo.wire import STREAM, Event, decode, encode, go_json

BUCKET = "postprocessing"
GROUP = "postprocessing"
PULL = "postprocessing-pull"
WORKERS = 3
FIELDS: dict[str, type | tuple[type, ...]] = {
    "ID": str,
    "URL": str,
    "User": (dict, type(None)),
    "ImpersonatingUser": (dict, type(None)),
    "Filename": str,
    "Filesize": int,
    "ResourceID": (dict, type(None)),
    "Steps": (list, type(None)),
    "Status": dict,
    "Failures": int,
    "InitiatorID": str,
    "Finished": bool,
}
STATUS = {"CurrentStep": str, "Outcome": str}
Record = dict[str, Any]


def key_of(upload_id: str) -> str:
    """The key of a record."""
    return base64.b32encode(upload_id.encode()).decode()


def read_record(value: bytes) -> Record:
    """A record as Go decodes it: each field there, of its type, in its order, and no other."""
    envelope = json.loads(value)
    assert list(envelope) == ["key", "data", "metadata"]
    text = base64.b64decode(envelope["data"], validate=True).decode()
    record: Record = json.loads(text)
    assert list(record) == list(FIELDS)
    assert list(record["Status"]) == list(STATUS)
    for name, kind in FIELDS.items():
        assert isinstance(record[name], kind), f"{name}: {record[name]!r}"
    for name, each in STATUS.items():
        assert isinstance(record["Status"][name], each)
    assert all(isinstance(each, str) for each in record["Steps"] or [])
    assert text == go_json(record), "this is not how Go writes it"
    assert envelope["key"] == record["ID"]
    return record


@dataclass
class GoService:
    """One process of it."""

    url: str
    steps: tuple[str, ...]
    delay: float
    backoff: float
    max_retries: int = 3
    pulls: bool = False
    client: Client | None = None
    _queue: "asyncio.Queue[tuple[Event, Msg]]" = field(default_factory=lambda: asyncio.Queue(maxsize=1))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _bucket: KeyValue | None = None

    async def start(self) -> None:
        """Connect, and read on where its consumer stands."""
        self.client = await nats.connect(self.url)
        js = self.client.jetstream()
        try:
            self._bucket = await js.key_value(BUCKET)
        except BucketNotFoundError:
            self._bucket = await js.create_key_value(KeyValueConfig(bucket=BUCKET, history=1))
        for _ in range(WORKERS):
            self._spawn(self._work())
        config = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.EXPLICIT)
        if self.pulls:
            config = config.evolve(durable_name=PULL, ack_wait=60, max_ack_pending=10_000)
            await js.add_consumer(STREAM, config)  # made or updated, as there
            self._spawn(self._pull(await js.pull_subscribe_bind(consumer=PULL, stream=STREAM)))
            return
        await js.subscribe(
            STREAM, queue=GROUP, durable=GROUP, stream=STREAM, cb=self._take, manual_ack=True, config=config
        )

    async def kill(self) -> None:
        """What it works on, what it has taken, and its timers are gone."""
        assert self.client is not None
        while not all(task.done() for task in self._tasks):  # a library may swallow a cancellation
            for task in self._tasks:
                task.cancel()
            await asyncio.sleep(0.01)
        self._tasks.clear()
        await self.client.close()
        self._queue = asyncio.Queue(maxsize=1)

    def _spawn(self, work: Any) -> None:  # noqa: ANN401 -- a coroutine
        task = asyncio.create_task(work)
        self._tasks.add(task)

    async def _pull(self, subscription: JetStreamContext.PullSubscription) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                for message in await subscription.fetch(16, timeout=5):
                    await self._take(message)

    async def _take(self, message: Msg) -> None:
        event = decode(message.data)
        if event is not None:
            await self._queue.put((event, message))
        if event is None or not self.pulls:
            await message.ack()  # before anybody has looked at it

    async def _work(self) -> None:
        while True:
            event, message = await self._queue.get()
            with contextlib.suppress(nats.errors.ConnectionClosedError):
                await self._process(event)
                if self.pulls:
                    await message.ack()

    # -- its state machine ----------------------------------------------------------------

    async def _process(self, event: Event) -> None:
        payload, record, following = event.payload, None, None
        match event.type:
            case "BytesReceived":
                record = self._record(payload, event.metadata.get("initiatorid", ""))
                following = self._step(record, self.steps[0]) if self.steps else self._end(record, "continue")
            case "PostprocessingStepFinished" if event.upload_id:
                record = await self._read(event.upload_id)
                if record is None:
                    return
                following = self._answered(record, payload)
                if record["Status"]["Outcome"] == "retry":
                    self._spawn(self._later(self._backoff(record), self._start(record)))
            case "StartPostprocessingStep" if payload["StepToStart"] == "delay":
                record = await self._read(event.upload_id)
                if record is None:
                    return
                self._spawn(self._later(self.delay, self._next(record, "delay")))
            case "UploadReady":
                record = await self._closed(event)
            case "ResumePostprocessing":
                await self._resume(payload)
                return
        if record is not None:
            await self._store(record)
        if following is not None:
            await self._publish(*following, record)

    def _record(self, payload: dict[str, Any], initiator: str) -> Record:
        return {
            "ID": payload["UploadID"],
            "URL": payload["URL"],
            "User": payload["ExecutingUser"],
            "ImpersonatingUser": payload["ImpersonatingUser"],
            "Filename": payload["Filename"],
            "Filesize": payload["Filesize"],
            "ResourceID": payload["ResourceID"],
            "Steps": list(self.steps),
            "Status": {"CurrentStep": "", "Outcome": ""},
            "Failures": 0,
            "InitiatorID": initiator,
            "Finished": False,
        }

    async def _closed(self, event: Event) -> Record | None:
        record = await self._read(event.upload_id)
        if event.payload["Failed"]:
            return None if record is None else {**record, "Finished": True}
        assert self._bucket is not None
        await self._bucket.delete(key_of(event.upload_id))
        return None

    def _answered(self, record: Record, payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        match payload["Outcome"]:
            case "continue":
                return self._next(record, payload["FinishedStep"])
            case "retry":
                record["Failures"] += 1
                if record["Failures"] > self.max_retries:
                    return self._end(record, "abort")
                record["Status"]["Outcome"] = "retry"
                wait = int(self._backoff(record) * 1e9)
                return "PostprocessingRetry", {
                    "UploadID": record["ID"],
                    "Failures": record["Failures"],
                    "BackoffDuration": wait,
                }
            case word:
                return self._end(record, word)

    def _next(self, record: Record, after: str) -> tuple[str, dict[str, Any]]:
        steps = record["Steps"] or []
        for index, step in enumerate(steps):
            if step == after and index + 1 < len(steps):
                return self._step(record, steps[index + 1])
        return self._end(record, "continue")

    def _step(self, record: Record, step: str) -> tuple[str, dict[str, Any]]:
        record["Status"]["CurrentStep"] = step
        return self._start(record)

    def _start(self, record: Record) -> tuple[str, dict[str, Any]]:
        step = record["Status"]["CurrentStep"]
        return "StartPostprocessingStep", {
            "UploadID": record["ID"],
            "URL": record["URL"],
            "ExecutingUser": record["User"],
            "Filename": record["Filename"],
            "StepToStart": step,
        }

    def _end(self, record: Record, outcome: str) -> tuple[str, dict[str, Any]]:
        record["Status"] = {"CurrentStep": "finished", "Outcome": outcome}
        return "PostprocessingFinished", {"UploadID": record["ID"], "Outcome": outcome}

    def _backoff(self, record: Record) -> float:
        return float(self.backoff * 2 ** (record["Failures"] - 1))

    async def _later(self, seconds: float, event: tuple[str, dict[str, Any]]) -> None:
        await asyncio.sleep(seconds)
        await self._publish(*event, None)

    async def _resume(self, payload: dict[str, Any]) -> None:
        record = await self._read(payload["UploadID"])
        if record is None:
            await self._publish("RestartPostprocessing", {"UploadID": payload["UploadID"]}, None)
        elif not record["Finished"]:
            status = record["Status"]
            over = status["CurrentStep"] == "finished"
            await self._publish(
                *(self._end(record, status["Outcome"]) if over else self._start(record)), None
            )

    async def _publish(self, kind: str, payload: dict[str, Any], record: Record | None) -> None:
        assert self.client is not None
        context = {"initiatorid": record["InitiatorID"]} if record else {}
        await self.client.jetstream().publish(STREAM, encode(kind, payload, context))

    async def _read(self, upload_id: str) -> Record | None:
        assert self._bucket is not None
        try:
            entry = await self._bucket.get(key_of(upload_id))
        except KeyNotFoundError:
            return None
        return read_record(entry.value or b"")

    async def _store(self, record: Record) -> None:
        assert self._bucket is not None
        data = base64.b64encode(go_json(record).encode()).decode()
        value = {"key": record["ID"], "data": data, "metadata": None}
        await self._bucket.put(key_of(record["ID"]), go_json(value).encode())
