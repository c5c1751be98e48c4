"""The stream in memory, on which steps are tried and tested, is to a step what a NATS is."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from nats.js.api import ConsumerInfo

from e2e.cluster.nats import NatsServer
from e2e.demo.wire import Event, decode, read_all
from uploadpp.steps import Continue, Upload, Verdict
from uploadpp.steps.bus import Bus, NatsBus
from uploadpp.steps.consumer import StartConsumer
from uploadpp.steps.download import Downloads
from uploadpp.steps.judge import Judge
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.service import StepService, Terms
from uploadpp.steps.testing.memory import MemoryBus
from uploadpp.testing.events import message, start_step
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.stream import STREAM

FINISHED = "PostprocessingStepFinished"
Put = Callable[[bytes], Awaitable[None]]


def start(upload: str, event_id: str, step: str = "mine") -> bytes:
    payload = start_step(upload, step, URL="http://127.0.0.1:9/")
    return message("StartPostprocessingStep", payload, eventid=event_id)


@dataclass
class Process:
    """One process of the step after another, and what they do."""

    bus: Bus
    seen: list[tuple[str, bool]] = field(default_factory=list)
    both_begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, upload: Upload) -> Verdict:
        self.seen.append((upload.id, upload.redelivered))
        if len(self.seen) > 1:
            self.both_begun.set()
        await self.go.wait()
        return Continue(upload.id)

    async def run(self, until: Callable[[], Awaitable[object]]) -> None:
        """A process, which is told to stop once something has happened."""
        metrics, stop = StepMetrics("mine"), asyncio.Event()
        judge = Judge("mine", self.work, 30, Downloads(ssl.create_default_context(), lambda _: None), metrics)
        terms = Terms(concurrency=8, ack_wait_seconds=30, drain_seconds=0, since=None)
        running = asyncio.create_task(StepService("mine", judge, terms, self.bus, metrics).run(stop))
        try:
            async with asyncio.timeout(20):
                await until()
        finally:
            stop.set()
            if isinstance(self.bus, MemoryBus):
                self.bus.starts.wake()
            await running


async def story(process: Process, put: Put, answers: Callable[[], Awaitable[list[Event]]]) -> list[str]:
    """Everything that the two could do differently, as lines."""

    async def answered(count: int) -> None:
        while len(await answers()) < count:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)

    for data in (b"not JSON", start("other", "e-0", step="another"), start("a", "e-1"), start("b", "e-2")):
        await put(data)
    await process.run(process.both_begun.wait)  # given back in the middle
    process.seen.sort()
    process.go.set()
    await put(start("a", "e-1"))  # published once more
    await put(start("c", "e-3"))
    await process.run(lambda: answered(3))
    await put(start("b", "e-2"))  # to a process that does not know that it was answered
    await put(start("d", "e-4"))
    await process.run(lambda: answered(4))
    first, later = process.seen[:2], process.seen[2:]
    said = [f"{each.payload['UploadID']} {each.payload['Outcome']} {each.id}" for each in await answers()]
    return [str(first), *map(str, sorted(later)), *sorted(said)]


async def test_a_step_does_the_same_on_both(nats: NatsServer) -> None:
    client = await connect(NatsOptions(servers=(nats.url,)))
    try:
        js = client.jetstream()
        starts = StartConsumer(client, "mine", None, 30)
        await starts.open(None)  # makes the stream

        async def publish(data: bytes) -> None:
            await js.publish(STREAM, data)

        async def stored() -> list[Event]:
            return [each for each in await read_all(js) if each.type == FINISHED]

        real = await story(Process(NatsBus(client, starts)), publish, stored)
        info: ConsumerInfo = await js.consumer_info(STREAM, starts.name)
        assert info.num_ack_pending == 0
    finally:
        await client.close()

    bus, messages = MemoryBus(), []

    async def keep(data: bytes) -> None:
        messages.append(bus.starts.put(data))

    async def kept() -> list[Event]:
        return [event for body in bus.published.values() if (event := decode(body)) is not None]

    memory = await story(Process(bus), keep, kept)
    assert memory == real
    assert all(each.acknowledged for each in messages)
    assert real[0] == "[('a', False), ('b', False)]"
