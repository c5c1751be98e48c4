"""Uploads that another service drove, as the log tells of them: nothing that is over is started again."""

import json
from dataclasses import dataclass, field

import pytest

from uploadpp.core.conditions import describe
from uploadpp.core.config import Config
from uploadpp.core.model import DELAY_STEP, Millis, StepPlan, Upload
from uploadpp.core.states import Stage, StepState
from uploadpp.pipeline.unknown_uploads import (
    MOST_FACTS,
    REMEMBERED,
    REMEMBERED_MS,
    UNACKNOWLEDGED_MS,
)
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import KeptEvents, PipelineBench
from uploadpp.wire.envelope import decode_envelope

THEN = Millis(1_795_000_000_000)
LATER = Millis(THEN + 3_600_000)
TWO = (StepPlan(name="a"), StepPlan(name="b"))
ARRIVED = ("BytesReceived", arrival())
AGAIN = ("BytesReceived", arrival(ExecutingUser='{"id":{"opaque_id":"postprocessing-restart"}}'))
FRESH = (
    "BytesReceived",
    arrival(
        ExecutingUser='{"id":{"opaque_id":"postprocessing-restart"}}', URL='"https://storage.test/data/2"'
    ),
)

Event = tuple[str, str]


def event(kind: str, upload: str = UPLOAD, **members: object) -> Event:
    return kind, json.dumps({"UploadID": upload, **members})


def start(step: str) -> Event:
    return event("StartPostprocessingStep", StepToStart=step)


def answer(step: str, outcome: str = "continue") -> Event:
    return event("PostprocessingStepFinished", FinishedStep=step, Outcome=outcome)


def finish(outcome: str) -> Event:
    return event("PostprocessingFinished", Outcome=outcome)


def ready(*, failed: bool = False) -> Event:
    return event("UploadReady", Failed=failed)


RETRY = event("PostprocessingRetry", Failures=1)
CLEAN = event("CleanUpload")
DRIVEN = (ARRIVED, start("a"), answer("a"), start("b"), answer("b"))


@dataclass
class Operator:
    """A pipeline that reads a log, at first with its commands held."""

    steps: tuple[StepPlan, ...] = TWO
    sequence: int = 0
    now: Millis = THEN
    outbox: KeptEvents = field(default_factory=KeptEvents)

    def __post_init__(self) -> None:
        config = Config(steps=self.steps)
        self.bench = PipelineBench(config, self.outbox, lambda: self.now)
        self.acks = self.bench.acks

    def reads(self, *log: Event, every: int = 1_000) -> "Operator":
        for kind, payload in log:
            self.sequence += 1
            self.now = Millis(self.now + every)
            self.bench.read(self.sequence, message(kind, payload))
        return self

    def acts(self) -> "Operator":
        self.bench.act()
        return self

    def waits(self) -> "Operator":
        """Nothing is announced for a while, and the API server has no resource of an unknown upload."""
        self.now = Millis(self.now + UNACKNOWLEDGED_MS)
        unknown = self.bench.applier.unknown
        unknown.settle(unknown.due(self.now))
        return self

    @property
    def upload(self) -> Upload:
        return self.bench.upload(UPLOAD)

    @property
    def sent(self) -> list[str]:
        found = []
        for outgoing in self.outbox.sent:
            envelope = decode_envelope(outgoing.body)
            payload = json.loads(envelope.payload_text())
            detail = payload.get("StepToStart") or payload.get("Outcome") or ""
            found.append(f"{envelope.event_type.removeprefix('events.')} {detail}".strip())
        return found


OVER: dict[str, tuple[tuple[Event, ...], Stage]] = {
    "released": ((*DRIVEN, finish("continue"), ready()), Stage.COMPLETED),
    "aborted": (
        (ARRIVED, start("a"), answer("a", "abort"), finish("abort"), ready(failed=True)),
        Stage.ABORTED,
    ),
    "deleted": (
        (ARRIVED, start("a"), answer("a", "delete"), finish("delete"), ready(failed=True)),
        Stage.DELETED,
    ),
    "retried": (
        (ARRIVED, start("a"), answer("a", "retry"), RETRY, *DRIVEN[1:], finish("continue"), ready()),
        Stage.COMPLETED,
    ),
    "aborted, and its answer lost": (
        (ARRIVED, start("a"), finish("abort"), ready(failed=True)),
        Stage.ABORTED,
    ),
    "told a word that nobody knows": (
        (ARRIVED, start("a"), finish("retry"), ready(failed=True)),
        Stage.ABORTED,
    ),
    "with other steps": (
        (ARRIVED, start("z"), answer("z"), finish("continue"), ready()),
        Stage.COMPLETED,
    ),
    "without any": ((ARRIVED, finish("continue"), ready()), Stage.COMPLETED),
    "aborted without a word of it": ((ARRIVED, finish("abort"), ready(failed=True)), Stage.ABORTED),
    "released at once": ((ARRIVED, ready()), Stage.COMPLETED),
    "released before it was announced": ((ready(), ARRIVED), Stage.COMPLETED),
    "all of it before it was announced": ((finish("continue"), ready(), ARRIVED), Stage.COMPLETED),
    "aborted before it was announced": ((finish("abort"), ready(failed=True), ARRIVED), Stage.ABORTED),
    "cleaned before it was announced": ((CLEAN, ARRIVED), Stage.CLEANED),
    "told twice, answered once": (
        (*DRIVEN, finish("continue"), finish("continue"), ready()),
        Stage.COMPLETED,
    ),
    "resumed over there": (
        (ARRIVED, start("a"), event("ResumePostprocessing", Step=""), start("a"), answer("a"), *DRIVEN[3:],
         finish("continue"), ready()),
        Stage.COMPLETED,
    ),
    "announced again over there": (
        (ARRIVED, start("a"), FRESH, *DRIVEN[1:], finish("continue"), ready()),
        Stage.COMPLETED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OVER)
def test_what_the_log_shows_to_be_over_ends_so_and_nothing_is_sent(case: str) -> None:
    log, stage = OVER[case]
    operator = Operator().reads(*log).acts()
    assert operator.upload.stage is stage
    assert operator.sent == []
    assert operator.reads(*log[-1:]).sent == []


@pytest.mark.parametrize("case", [case for case in OVER if case != "aborted"])
def test_the_same_facts_end_it_while_we_are_at_work(case: str) -> None:
    """Our own first start is out by then. An answer that both hear is carried out by both."""
    log, stage = OVER[case]
    operator = Operator().acts().reads(*log)
    assert operator.upload.stage is stage
    assert not [sent for sent in operator.sent if sent.startswith("PostprocessingFinished abort")]


OPEN: dict[str, tuple[tuple[Event, ...], str, Stage]] = {
    "announced": ((ARRIVED,), "StartPostprocessingStep a", Stage.RUNNING),
    "at the first step": ((ARRIVED, start("a")), "", Stage.RUNNING),
    "between the steps": ((ARRIVED, start("a"), answer("a")), "StartPostprocessingStep b", Stage.RUNNING),
    "at the second step": (DRIVEN[:4], "", Stage.RUNNING),
    "before the end": (DRIVEN, "PostprocessingFinished continue", Stage.AWAITING_READY),
    "told to release it": ((*DRIVEN, finish("continue")), "", Stage.AWAITING_READY),
    "told to abort it": ((ARRIVED, start("a"), finish("abort")), "", Stage.AWAITING_READY),
    "told to abort it, though all passed": ((*DRIVEN, finish("abort")), "", Stage.AWAITING_READY),
    "told to release it, before it was announced": (
        (finish("continue"), ARRIVED),
        "",
        Stage.AWAITING_READY,
    ),
    "a retry is due": ((ARRIVED, start("a"), answer("a", "retry"), RETRY), "", Stage.BACKING_OFF),
    "tried again": (
        (ARRIVED, start("a"), answer("a", "retry"), RETRY, start("a")),
        "",
        Stage.RUNNING,
    ),
    "an answer that nobody asked for": ((ARRIVED, answer("a")), "StartPostprocessingStep a", Stage.RUNNING),
    "a later step, started over there": (
        (ARRIVED, start("b"), answer("b")),
        "StartPostprocessingStep a",
        Stage.RUNNING,
    ),
}


@pytest.mark.parametrize("case", OPEN)
def test_what_is_open_goes_on_with_what_is_open(case: str) -> None:
    log, sent, stage = OPEN[case]
    operator = Operator().reads(*log).acts()
    assert operator.upload.stage is stage
    assert operator.sent == ([sent] if sent else [])


def test_a_step_that_was_started_elsewhere_is_answered_to_us() -> None:
    operator = Operator().reads(ARRIVED, start("a")).acts().reads(answer("a"))
    assert [step.state for step in operator.upload.steps] == [StepState.SUCCEEDED, StepState.RUNNING]
    assert operator.sent == ["StartPostprocessingStep b"]


def test_nobody_passes_a_step_by_starting_the_next() -> None:
    """A release never happens without an answer of each step of the plan."""
    operator = Operator().reads(ARRIVED, start("a"), start("b"), answer("b")).acts()
    assert operator.upload.current_step == "a"
    assert operator.sent == []


def test_the_counts_are_what_anybody_has_started() -> None:
    operator = Operator().reads(ARRIVED, start("a"), answer("a", "retry"), RETRY, start("a")).acts()
    assert [step.attempts for step in operator.upload.steps] == [2, 0]
    assert operator.reads(answer("a")).upload.steps[0].retries == 1


def test_a_delay_that_another_service_has_waited_for_is_over() -> None:
    steps = (StepPlan(name=DELAY_STEP, delay=Millis(2_000)), StepPlan(name="b"))
    log = (ARRIVED, start(DELAY_STEP))
    waiting = Operator(steps).reads(*log).acts()
    assert (waiting.upload.stage, waiting.sent) == (Stage.DELAYING, [])
    next_step = Operator(steps).reads(*log).reads(start("b"), every=2_500).acts()
    assert (next_step.upload.current_step, next_step.sent) == ("b", [])
    assert next_step.upload.steps[0].state is StepState.SUCCEEDED


def test_a_delay_at_the_end_that_another_service_has_waited_for() -> None:
    steps = (StepPlan(name=DELAY_STEP, delay=Millis(2_000)),)
    operator = Operator(steps).reads(ARRIVED, start(DELAY_STEP)).reads(finish("continue"), every=2_500)
    operator.reads(ready()).acts()
    assert (operator.upload.stage, operator.sent) == (Stage.COMPLETED, [])
    assert describe(operator.upload) == "all steps passed; the storage released the file"


def test_what_another_service_cut_short_is_said() -> None:
    aborted = Operator().reads(ARRIVED, start("a"), finish("abort"), ready(failed=True)).acts()
    assert describe(aborted.upload) == (
        "another service told the storage to abort the upload and keep its bytes during step a"
    )
    late = Operator().reads(*DRIVEN, finish("delete"), ready(failed=True)).acts()
    assert describe(late.upload) == "the storage was told to delete the upload"


def test_the_first_word_to_the_storage_counts() -> None:
    """The storage has carried it out when the second one comes."""
    operator = Operator().reads(*DRIVEN, finish("continue"), finish("abort")).acts()
    assert operator.upload.outcome == "continue"


# -- facts about uploads that are not known yet ---------------------------------------------


def test_a_fact_about_an_unknown_upload_is_acknowledged_a_little_later() -> None:
    """After a crash it is read again together with the announcement."""
    operator = Operator().acts().reads(ready())
    assert operator.acks.ack_floor == 0
    operator.waits()
    assert operator.acks.ack_floor == 1
    assert operator.reads(ARRIVED).upload.stage is Stage.COMPLETED


@pytest.mark.parametrize("resumes", [1, 2, 3])
def test_resumes_of_an_unknown_upload_that_ask_for_the_same_do_not_hold_the_log(resumes: int) -> None:
    """They ask the storage with one event. Whoever sends two could otherwise stop all acknowledgements."""
    operator = Operator().reads(*[event("ResumePostprocessing")] * resumes, every=1)
    operator.acts().waits()
    assert operator.sent == ["RestartPostprocessing"]
    assert operator.acks.ack_floor == resumes - 1, "the last one is read again if we stop here"
    operator.outbox.store(resumes + 1)
    assert operator.acks.ack_floor == resumes


def test_a_fact_is_not_acknowledged_before_its_upload_is_stored() -> None:
    operator = Operator().acts().reads(ready(), ARRIVED)
    operator.waits()
    assert operator.acks.ack_floor == 0
    tracked = operator.bench.uploads.by_id(UPLOAD)
    assert tracked is not None
    operator.bench.uploads.saved(tracked, tracked.version)
    assert operator.acks.ack_floor == 2


def test_what_is_remembered_has_an_end() -> None:
    operator = Operator().acts().reads(ready())
    assert operator.reads(ARRIVED, every=REMEMBERED_MS + 1).upload.stage is Stage.RUNNING
    many = Operator().acts().reads(ready())
    many.reads(*(event("UploadReady", f"other-{n}", Failed=False) for n in range(REMEMBERED)), every=0)
    assert many.waits().reads(ARRIVED).upload.stage is Stage.RUNNING


def test_what_is_not_acknowledged_is_not_forgotten() -> None:
    """While the API server is unavailable, nobody knows whether it has a resource."""
    many = Operator().acts().reads(ready())
    many.reads(*(event("UploadReady", f"other-{n}", Failed=False) for n in range(REMEMBERED)), every=0)
    assert many.reads(ARRIVED).upload.stage is Stage.COMPLETED


def test_so_many_facts_about_one_upload_are_remembered() -> None:
    operator = Operator().acts().reads(*[ready(failed=True)] * (MOST_FACTS + 1)).waits()
    assert operator.acks.ack_floor == MOST_FACTS + 1


def test_a_failure_before_the_announcement_is_held() -> None:
    """Aborted, or a release that failed: which, nobody has said."""
    operator = Operator().acts().reads(ready(failed=True), ARRIVED)
    assert operator.upload.stage is Stage.HELD
    assert "reported this upload as failed before" in describe(operator.upload)
    assert operator.sent == []


@pytest.mark.parametrize(
    ("said", "stage"),
    [
        ((finish("continue"), finish("continue")), Stage.AWAITING_READY),
        ((finish("continue"), finish("abort")), Stage.AWAITING_READY),
        ((ready(failed=True), ready(failed=True)), Stage.HELD),
        ((ready(), ready(failed=True)), Stage.COMPLETED),
        ((CLEAN, CLEAN), Stage.CLEANED),
    ],
    ids=["released twice", "another outcome", "failed twice", "failed after its end", "cleaned twice"],
)
def test_an_upload_is_known_whatever_was_said_last_before_its_announcement(
    said: tuple[Event, ...], stage: Stage
) -> None:
    """What changed nothing made the announcement count for nothing too: the upload was never recorded."""
    operator = Operator().acts().reads(*said, ARRIVED)
    assert (operator.upload.stage, operator.sent) == (stage, [])
    tracked = operator.bench.uploads.by_id(UPLOAD)
    assert tracked is not None
    assert operator.acks.ack_floor == 0
    operator.bench.uploads.saved(tracked, tracked.version)
    operator.waits()
    assert operator.acks.ack_floor == 3


# -- announced again -------------------------------------------------------------------------


def test_an_unknown_upload_that_is_announced_again_is_held() -> None:
    """It was aborted, its resource is gone: a second run would lose the file, and be called Completed."""
    operator = Operator().acts().reads(AGAIN)
    assert (operator.upload.stage, operator.sent) == (Stage.HELD, [])
    assert "announces this upload again" in describe(operator.upload)
    assert operator.reads(FRESH).upload.stage is Stage.HELD
    assert "data/2" in operator.upload.origin.url
    operator.reads(event("ResumePostprocessing", Step=""))
    assert (operator.upload.stage, operator.sent) == (Stage.RUNNING, ["StartPostprocessingStep a"])


def test_a_known_upload_that_is_announced_again_goes_on() -> None:
    operator = Operator().acts().reads(ARRIVED, FRESH)
    assert (operator.upload.stage, operator.upload.run) == (Stage.RUNNING, 2)


@pytest.mark.parametrize("steps", [TWO, ()], ids=["two steps", "no steps"])
def test_what_was_cleaned_before_the_storage_answers_us_was_an_earlier_upload(
    steps: tuple[StepPlan, ...],
) -> None:
    """The storage has the upload of which we have asked: a person says whether it is over already."""
    operator = Operator(steps).acts().reads(CLEAN, AGAIN)
    assert (operator.upload.stage, operator.sent) == (Stage.HELD, [])
    operator.reads(event("ResumePostprocessing", Step=""))
    assert (operator.upload.stage.ended, len(operator.sent)) == (False, 1)


@pytest.mark.parametrize("steps", [TWO, ()], ids=["two steps", "no steps"])
@pytest.mark.parametrize(
    ("log", "finishes"),
    [
        ((CLEAN,), 0),
        ((ready(),), 0),
        ((ready(), CLEAN), 0),
        ((finish("continue"),), 1),
        ((finish("abort"), ready(failed=True)), 1),
    ],
    ids=["cleaned", "released", "released, then cleaned", "told", "aborted"],
)
def test_what_never_went_out_before_a_late_announcement_does_not_count(
    log: tuple[Event, ...], finishes: int, steps: tuple[StepPlan, ...]
) -> None:
    operator = Operator(steps).acts().reads(*log, ARRIVED)
    assert operator.sent == []
    assert [step.attempts for step in operator.upload.steps] == [0] * len(steps)
    assert operator.upload.finishes == finishes
