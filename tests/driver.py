"""Plays the storage and every step service against a real NATS, and keeps book of all that is said.

It answers as fast as it can and judges afterwards: what was started, in which order, how often.
"""

import asyncio
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig
from nats.js.errors import NotFoundError

from e2e.cluster.kubectl import Kubectl
from e2e.cluster.requests import ApiRequests
from e2e.demo.wire import Event, decode, ensure_stream, read_all
from e2e.operator_process import Operator
from uploadpp.api import GROUP, PLURAL, VERSION
from uploadpp.testing import events
from uploadpp.testing.events import STREAM, new_message


def bytes_received(upload_id: str, *, initiator: str = "web-1", **members: object) -> bytes:
    """The storage's announcement of an upload."""
    payload = events.bytes_received(upload_id, **members)
    return new_message("BytesReceived", payload, initiatorid=initiator)


@dataclass
class Driver:
    """Storage and steps. `outcome` says how an attempt of a step ends; `copies` is how often all is said."""

    url: str | list[str]
    outcome: Callable[[str, str, int], str] = lambda _upload, _step, _attempt: "continue"
    copies: int = 1
    pause: float = 0.0
    """How long a step or the storage takes for each of its answers."""
    silent: bool = False
    """While set it hears nothing, as if no service were running."""
    serves: Callable[[str], bool] = lambda _step: True
    """Which steps it plays; the others have services of their own."""
    result: Callable[[str], dict[str, object] | None] = lambda _upload: None
    released: set[str] = field(default_factory=set)
    _attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _answered: set[str] = field(default_factory=set)
    _consumer: str = ""
    _subscription: JetStreamContext.PushSubscription | None = None
    _client: Client | None = None
    _watching: asyncio.Task[None] | None = None
    _stream_changes: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever creates the stream: a stream that is missing for a moment is not created twice."""
    _listening: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever begins to listen: a consumer that is being created is not missing."""

    async def __aenter__(self) -> Self:
        self._client = await nats.connect(
            self.url, max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=_ignore
        )
        await self._listen()
        self._watching = asyncio.create_task(self._keep_listening())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await self.client.close()

    @property
    def client(self) -> Client:
        """The connection."""
        assert self._client is not None
        return self._client

    @property
    def js(self) -> JetStreamContext:
        """JetStream on it."""
        return self.client.jetstream(timeout=60)

    async def make_stream_anew(self, config: StreamConfig) -> None:
        """Delete the stream, and create it with this configuration before anything here can do so."""
        async with self._stream_changes:
            await self.js.delete_stream(STREAM)
            await self.js.add_stream(config)

    async def say(self, body: bytes) -> None:
        """Put a message on the stream, as many times as everything is said, and wait until it is there."""
        for _ in range(self.copies):
            once = {"Nats-Msg-Id": str(uuid.uuid4())}
            while True:
                try:
                    await self.js.publish(STREAM, body, timeout=2, headers=once)
                except (nats.errors.Error, TimeoutError, OSError):
                    await asyncio.sleep(0.2)
                else:
                    break

    async def upload(self, *upload_ids: str, pause: float = 0.0) -> None:
        """Announce uploads."""
        for upload_id in upload_ids:
            await self.say(bytes_received(upload_id))
            await asyncio.sleep(pause)

    async def until_released(self, *upload_ids: str, timeout: float = 60) -> None:  # noqa: ASYNC109 -- of a test
        """Wait until PostprocessingFinished was heard, and answered, for all of them."""
        async with asyncio.timeout(timeout):
            while not self.released.issuperset(upload_ids):
                if self._watching is not None and self._watching.done():
                    self._watching.result()  # a driver that hears nothing says why
                await asyncio.sleep(0.05)

    async def _listen(self) -> None:
        """Read the whole stream as the real services do: what was not answered comes again."""
        async with self._stream_changes:
            await ensure_stream(self.js)
        config = ConsumerConfig(ack_wait=3, ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL)
        self._consumer = f"driver-{uuid.uuid4().hex[:8]}"
        self._subscription = await self.js.subscribe(
            STREAM, stream=STREAM, durable=self._consumer, cb=self._take, manual_ack=True, config=config
        )

    async def again(self) -> None:
        """Hear all from the start: what came while it was silent is answered now."""
        self.silent = False
        async with self._listening:
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            await self._listen()

    async def _keep_listening(self) -> None:
        """Start anew when NATS has lost the stream, and our place in it."""
        while True:
            await asyncio.sleep(0.5)
            async with self._listening:
                try:
                    await self.js.consumer_info(STREAM, self._consumer, timeout=2)
                except NotFoundError:
                    await self._listen()
                except (nats.errors.Error, TimeoutError):
                    continue

    async def _take(self, message: Msg) -> None:
        await self._hear(message)
        await message.ack()

    async def _hear(self, message: Msg) -> None:
        event = decode(message.data)
        if event is None or self.silent or event.id in self._answered:
            return
        if event.type == "StartPostprocessingStep":
            step = event.payload["StepToStart"]
            if step != "delay" and self.serves(step):
                await self._answer_step(event)
        elif event.type == "PostprocessingFinished":
            failed = event.payload["Outcome"] != "continue"
            await self._reply("UploadReady", events.upload_ready(event.upload_id, failed=failed))
            self._answered.add(event.id)
            self.released.add(event.upload_id)

    async def _answer_step(self, event: Event) -> None:
        step = event.payload["StepToStart"]
        self._attempts[event.upload_id, step] += 1
        outcome = self.outcome(event.upload_id, step, self._attempts[event.upload_id, step])
        result = self.result(event.upload_id)
        answer = events.step_finished(event.upload_id, step, outcome, Result=result)
        await self._reply("PostprocessingStepFinished", answer)
        self._answered.add(event.id)

    async def _reply(self, kind: str, payload: dict[str, Any]) -> None:
        await asyncio.sleep(self.pause)
        await self.say(new_message(kind, payload))


async def _ignore(error: Exception) -> None:
    """Lost connections are part of the game."""
    del error


@dataclass(frozen=True)
class History:
    """What the stream says about one upload; positions are indexes in the order of the stream."""

    starts: tuple[tuple[str, str], ...]
    """Step and event id of every StartPostprocessingStep, duplicates included."""
    finished: tuple[str, ...]

    @property
    def steps(self) -> list[str]:
        """The steps in the order they were started."""
        return [step for step, _ in self.starts]


async def histories(js: JetStreamContext) -> dict[str, History]:
    """What was published about every upload, from the log itself."""
    starts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    finished: dict[str, list[str]] = defaultdict(list)
    for event in await read_all(js):
        if event.type == "StartPostprocessingStep":
            starts[event.upload_id].append((event.payload["StepToStart"], event.id))
        elif event.type == "PostprocessingFinished":
            finished[event.upload_id].append(event.payload["Outcome"])
    return {
        each: History(tuple(starts[each]), tuple(finished[each])) for each in starts.keys() | finished.keys()
    }


def reasons(resources: dict[str, Any]) -> dict[str, str]:
    """Upload id to the reason of its condition Succeeded, for a list of resources."""
    return {
        item["spec"]["upload"]["id"]: condition["reason"]
        for item in resources["items"]
        for condition in item.get("status", {}).get("conditions", ())
        if condition["type"] == "Succeeded"
    }


async def until_reasons(kubectl: Kubectl, expected: dict[str, str], patience: float = 60) -> None:
    """Wait until the resources are these, each with this reason; the comparison shows what is not so."""
    found: dict[str, str] | None = None
    requests = ApiRequests(kubectl.kubeconfig)
    uploads = f"/apis/{GROUP}/{VERSION}/namespaces/{kubectl.namespace}/{PLURAL}"
    deadline = asyncio.get_running_loop().time() + patience
    while found != expected and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.2)
        found = reasons(await asyncio.to_thread(requests.get, uploads))
    wrong = {name: each for name, each in (found or {}).items() if each != expected.get(name)}
    assert found == expected, f"{wrong}, missing {expected.keys() - (found or {}).keys()}"


def samples(metrics: str, name: str) -> dict[str, float]:
    """The samples of a metric, by their labels as text."""
    found = {}
    for line in metrics.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name:
            found[series.partition("{")[2].rstrip("}")] = float(value)
    return found


async def until(check: Callable[[], Awaitable[bool]], patience: float = 60) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(patience):
        while not await check():  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.2)


async def start_working(*operators: Operator) -> Operator:
    """Start operators and wait until one of them owns the shard; being ready may mean standing by."""
    for operator in operators:
        await asyncio.to_thread(operator.start)
    async with asyncio.timeout(60):
        while True:
            for operator in operators:
                if sum(samples(operator.metrics(), "uploadpp_shard_owned").values()):
                    return operator
            await asyncio.sleep(0.05)


def log_lines(text: str) -> list[dict[str, Any]]:
    """The log of an operator that writes JSON; a line that is none fails the test."""
    return [json.loads(line) for line in text.splitlines()]
