"""Resources made anew: nothing is decided about one before the log has said how its upload has ended."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.resources.test_event_handler import VICTIM, Side, driven, resource
from uploadpp.api.codec import to_status
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.core.states import Outcome, Stage
from uploadpp.resources import past_ends
from uploadpp.testing.builders import ARRIVAL, after
from uploadpp.testing.pipelines import CONFIG
from uploadpp.wire.past_ends import UnreadableLogError

STEPS = [{"name": "a"}]


class Log:
    """A log that says how uploads have ended, when it is let."""

    def __init__(self, **ends: Outcome) -> None:
        self.ends = ends
        self.asked: list[set[str]] = []
        self.failures = 0
        self.bug = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def read(self, upload_ids: Collection[str]) -> Mapping[str, Outcome]:
        self.asked.append(set(upload_ids))
        await self.answers.wait()
        if self.failures:
            self.failures -= 1
            raise UnreadableLogError("no answer")
        return {name: end for name, end in self.ends.items() if name in upload_ids}


@asynccontextmanager
async def asking(log: Log, *, acts: bool = True) -> AsyncIterator[Side]:
    side = Side(read=log.read)
    if acts:
        side.applier.act()
    running = asyncio.create_task(side.inputs._past_ends.run())
    yield side
    running.cancel()


async def settled(side: Side) -> None:
    async with asyncio.timeout(20):
        while side.inputs._past_ends.is_waiting(side.bench.tracked(VICTIM)):  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_ends, "FIRST_PAUSE_SECONDS", 0.0001)
    monkeypatch.setattr(past_ends, "LONGEST_PAUSE_SECONDS", 0.0002)


async def test_one_that_has_not_ended_before_begins_after_the_answer() -> None:
    log = Log()
    log.answers.clear()
    async with asking(log) as side:
        side.inputs.seen(resource(VICTIM, steps=STEPS))
        await asyncio.sleep(0.01)
        assert (side.upload.stage, side.outbox.sent) == (Stage.PENDING, [])
        side.inputs.reconcile_all()
        assert side.outbox.sent == []
        log.answers.set()
        await settled(side)
        assert side.upload.stage is Stage.AWAITING_URL
    assert log.asked == [{VICTIM}]


@pytest.mark.parametrize("ended", [Outcome.ABORT, Outcome.DELETE])
async def test_one_that_has_ended_before_is_held(ended: Outcome) -> None:
    async with asking(Log(**{VICTIM: ended})) as side:
        side.inputs.seen(resource(VICTIM, steps=STEPS))
        await settled(side)
        assert (side.upload.stage, side.upload.outcome) == (Stage.HELD, ended)
        assert side.outbox.sent == []


async def test_what_is_edited_meanwhile_counts_after_the_answer() -> None:
    log = Log(**{VICTIM: Outcome.ABORT})
    log.answers.clear()
    async with asking(log) as side:
        made = resource(VICTIM, steps=STEPS)
        side.inputs.seen(made)
        edited = {**made, "spec": {**made["spec"], "desiredState": "Cancelled"}}
        side.inputs.seen(
            {**edited, "metadata": {**made["metadata"], "generation": 2, "resourceVersion": "6"}}
        )
        assert side.upload.stage is Stage.PENDING
        log.answers.set()
        await settled(side)
        assert (side.upload.stage, side.upload.observed_generation) == (Stage.CANCELLED, 2)
        assert side.outbox.sent == []


async def test_one_reading_answers_for_all_that_wait() -> None:
    log = Log()
    async with asking(log) as side:
        side.inputs.seen(resource(VICTIM, steps=STEPS))
        side.inputs.seen(resource("b", "b", steps=STEPS))
        await settled(side)
    assert log.asked == [{VICTIM, "b"}]


async def test_one_that_is_gone_meanwhile_is_forgotten() -> None:
    log = Log()
    log.answers.clear()
    async with asking(log) as side:
        side.inputs.seen(resource(VICTIM, steps=STEPS))
        tracked = side.bench.tracked(VICTIM)
        await asyncio.sleep(0.01)
        side.uploads.forget(tracked)
        log.answers.set()
        async with asyncio.timeout(10):
            while side.inputs._past_ends.is_waiting(tracked):  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert tracked.upload.stage is Stage.PENDING


async def test_a_log_that_cannot_be_read_is_asked_again_and_said_once() -> None:
    log = Log(**{VICTIM: Outcome.ABORT})
    log.failures = 3
    async with asking(log) as side:
        side.inputs.seen(resource(VICTIM, steps=STEPS))
        await settled(side)
        assert side.upload.stage is Stage.HELD
    assert len(log.asked) == 4
    assert side.told == [(VICTIM, "PastUnreadable")]


async def test_after_some_minutes_without_an_answer_a_person_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_ends, "PATIENCE_SECONDS", 0.0)
    log = Log()
    log.failures = 1
    async with asking(log) as side:
        side.inputs.seen(resource(VICTIM, steps=STEPS))
        await settled(side)
        assert (side.upload.stage, side.upload.outcome) == (Stage.HELD, None)
        assert "the log cannot be read" in side.upload.message


async def test_what_has_a_status_is_not_asked_about() -> None:
    log = Log()
    async with asking(log) as side:
        side.inputs.seen(driven(VICTIM))
        assert side.upload.stage is Stage.RUNNING
    assert log.asked == []


def ended(name: str) -> dict[str, Any]:
    """A resource of a person by which the upload has ended."""
    upload = after(ARRIVAL, upload_id=VICTIM, config=CONFIG)
    times = {"completed_at": Millis(5), "expires_at": Millis(9)}
    over = evolve(upload, stage=Stage.ABORTED, outcome=Outcome.ABORT, cursor=2, **times)
    return {**driven(name), "status": to_status(over)}


@pytest.mark.parametrize("at", ["list", "watch"])
@pytest.mark.parametrize("order", [1, -1])
async def test_one_that_has_not_begun_never_takes_what_has_ended(at: str, order: int) -> None:
    """Also by the name of the upload, and cancelled: an abort was published for it again."""
    log = Log(**{VICTIM: Outcome.ABORT})
    log.answers.clear()
    async with asking(log, acts=at == "watch") as side:
        for each in (ended("bbb"), resource(VICTIM, desiredState="Cancelled"))[::order]:
            (side.inputs.listed if at == "list" else side.inputs.seen)(each)
        known = side.finished.find(VICTIM)
        assert (known.name if known else side.owner()) == "bbb"
        assert side.told == [(VICTIM, "LeftAlone")]
        assert side.outbox.sent == []


async def test_what_the_operator_has_begun_takes_an_upload_that_has_ended_elsewhere() -> None:
    """The storage has announced it anew, and we died before the other one was marked."""
    for made in (driven(VICTIM), _made_by_us()):
        side = Side(read=Log().read)
        side.inputs.listed(ended("bbb"))
        side.inputs.listed(made)
        assert side.owner() == VICTIM
        assert side.told == [("bbb", "LeftAlone")]


def _made_by_us() -> dict[str, Any]:
    made = driven(VICTIM)
    return {key: value for key, value in made.items() if key != "status"}
