"""Work that a step gives back uses up none of the deliveries after which its file is suspected."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from nats.js import JetStreamContext

from e2e.cluster.nats import NatsServer
from e2e.demo.wire import read_all
from uploadpp.steps import Continue, Upload, Verdict
from uploadpp.steps.begun import KEY
from uploadpp.steps.bus import NatsBus
from uploadpp.steps.consumer import StartConsumer
from uploadpp.steps.download import Downloads
from uploadpp.steps.judge import Judge
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.service import MOST_DELIVERIES, StepService, Terms
from uploadpp.testing.events import message, start_step
from uploadpp.wire.client import SafeClient
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.stream import STREAM, ensure_stream

pytestmark = pytest.mark.timeout(90)

STEP = "mine"


class Process:
    """One process of the step, in this one: with a connection, a consumer and a service of its own."""

    def __init__(self, client: SafeClient, ack_wait_seconds: float, *, answers: bool) -> None:
        self.client = client
        self.begun = asyncio.Event()
        self.stop = asyncio.Event()
        self.may_answer = asyncio.Event()
        if answers:
            self.may_answer.set()
        metrics = StepMetrics(STEP)
        downloads = Downloads(ssl.create_default_context(), lambda _: None)
        starts = StartConsumer(client, STEP, timedelta(hours=1), ack_wait_seconds)
        terms = Terms(
            concurrency=1,
            ack_wait_seconds=ack_wait_seconds,
            drain_seconds=0,
            since=timedelta(hours=1),
        )
        judge = Judge(STEP, self._work, None, downloads, metrics)
        self.service = StepService(STEP, judge, terms, NatsBus(client, starts), metrics)
        self.running = asyncio.create_task(self.service.run(self.stop))

    async def _work(self, _: Upload) -> Verdict:
        self.begun.set()
        await self.may_answer.wait()
        return Continue()

    async def end(self) -> None:
        """It is told to stop, and gives back what it has begun."""
        self.stop.set()
        await self.running

    async def kill(self) -> None:
        """Nobody hears of it any more."""
        await self.client.close()
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


@asynccontextmanager
async def _process(
    nats: NatsServer, *, answers: bool = False, ack_wait_seconds: float = 60
) -> AsyncIterator[Process]:
    client = await connect(NatsOptions(servers=(nats.address,)))
    process = Process(client, ack_wait_seconds, answers=answers)
    try:
        yield process
    finally:
        process.stop.set()
        process.running.cancel()
        await asyncio.gather(process.running, return_exceptions=True)
        await client.close()


async def _outcomes(js: JetStreamContext, count: int) -> list[str]:
    async with asyncio.timeout(30):
        while True:
            events = [e for e in await read_all(js) if e.type == "PostprocessingStepFinished"]
            if len(events) >= count:
                return [str(each.payload["Outcome"]) for each in events]
            await asyncio.sleep(0.05)


async def _deliveries(js: JetStreamContext) -> tuple[int, str]:
    info = await js.consumer_info(STREAM, f"uploadpp-step-{STEP}")
    assert info.delivered is not None
    return info.delivered.consumer_seq, (info.config.metadata or {}).get(KEY, "")


async def _started(nats: NatsServer, *upload_ids: str) -> SafeClient:
    client = await connect(NatsOptions(servers=(nats.address,)))
    js = client.jetstream()
    await ensure_stream(js, None)
    for each in upload_ids:
        payload = start_step(each, STEP, URL="http://127.0.0.1:9/")
        await js.publish(STREAM, message("StartPostprocessingStep", payload, eventid=f"e-{each}"))
    return client


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process sees at once that it is told to stop."""
    monkeypatch.setattr("uploadpp.steps.service.AGAIN_SECONDS", 0.05)


@pytest.mark.each_nats
async def test_rollouts_use_up_no_deliveries(nats: NatsServer) -> None:
    client = await _started(nats, "u-1")
    for _ in range(MOST_DELIVERIES + 2):
        async with _process(nats) as process, asyncio.timeout(30):
            await process.begun.wait()
            await process.end()
    delivered, notes = await _deliveries(client.jetstream())
    assert (delivered >= MOST_DELIVERIES + 2, notes) == (True, "")
    async with _process(nats, answers=True):
        assert await _outcomes(client.jetstream(), 1) == ["continue"]
    await client.close()


@pytest.mark.each_nats
async def test_processes_that_end_use_them_up_also_between_rollouts(nats: NatsServer) -> None:
    client = await _started(nats, "u-1")
    for killed in (True, False, True, True, False, True):
        async with _process(nats, ack_wait_seconds=0.6) as process, asyncio.timeout(30):
            await process.begun.wait()
            await (process.kill() if killed else process.end())
    async with _process(nats, ack_wait_seconds=0.6) as process:
        assert await _outcomes(client.jetstream(), 1) == ["retry"]
        assert not process.begun.is_set(), "the next process would end as well"
    _, notes = await _deliveries(client.jetstream())
    assert notes == "1=4", "begun at the third, fourth, sixth and seventh delivery, and not taken back"
    await client.close()


async def test_what_there_is_no_room_for_uses_up_no_deliveries(nats: NatsServer) -> None:
    client = await _started(nats, "u-1")
    js = client.jetstream()
    async with _process(nats) as process, asyncio.timeout(30):
        await process.begun.wait()
        await process.end()
    busy = await js.pull_subscribe_bind(f"uploadpp-step-{STEP}", stream=STREAM)
    for _ in range(MOST_DELIVERIES + 2):
        (given,) = await busy.fetch(1, timeout=10)
        await given.nak()  # as a process does it with what it has no room for
    await busy.unsubscribe()
    async with _process(nats, answers=True):
        assert await _outcomes(js, 1) == ["continue"]
    await client.close()


async def test_where_nothing_can_be_noted_deliveries_count(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without the permission to change the consumer."""
    monkeypatch.setattr("uploadpp.steps.begun.REQUEST_SECONDS", 0.0)
    client = await _started(nats, "u-1")
    for _ in range(MOST_DELIVERIES):
        async with _process(nats) as process, asyncio.timeout(30):
            await process.begun.wait()
            await process.end()
    async with _process(nats, answers=True):
        assert await _outcomes(client.jetstream(), 1) == ["retry"]
    await client.close()


async def _until_problem(process: Process, words: str) -> None:
    async with asyncio.timeout(30):
        while not (words in process.service.problem if words else not process.service.problem):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.each_nats
async def test_a_stream_that_answers_nothing_is_named_and_gets_each_answer_once(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`no_ack`: an answer was sent again and again, also when the stream had forgotten its id."""
    monkeypatch.setattr("uploadpp.steps.bus.PUBLISH_SECONDS", 0.3)
    client = await _started(nats, "u-1")
    js = client.jetstream()
    config = (await js.stream_info(STREAM)).config
    async with _process(nats) as process, asyncio.timeout(30):
        await process.begun.wait()
        await js.update_stream(config.evolve(no_ack=True, duplicate_window=0.1))
        process.may_answer.set()
        await _until_problem(process, "the stream main-queue does not acknowledge")
        assert await _outcomes(js, 1) == ["continue"]
        async with _process(nats, answers=True) as another:
            await _until_problem(another, "nats stream edit main-queue --ack")
        waiting = await js.consumer_info(STREAM, f"uploadpp-step-{STEP}")
        assert waiting.num_ack_pending, "the answer is not known to be stored"
        assert len(await _outcomes(js, 1)) == 1
        await js.update_stream(config)
        await _until_problem(process, "")
        while (await js.consumer_info(STREAM, f"uploadpp-step-{STEP}")).num_ack_pending:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await client.close()
