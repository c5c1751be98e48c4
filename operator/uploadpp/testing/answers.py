"""What the stream says about the steps of an upload: by which plan, which were started, which answered."""

from uploadpp.core.commands import Mark
from uploadpp.core.model import DELAY_STEP, StepPlan
from uploadpp.core.states import OnExhausted, OnTooLarge, Outcome
from uploadpp.testing.stream_recorder import Record, StreamRecorder


def first_plan(journal: StreamRecorder, upload: str, mark: Mark) -> tuple[StepPlan, ...] | None:
    """The plan of our first event for this arrival of an upload, of those that the stream still has."""
    plans = (
        record.planned.plan
        for record in journal.records
        if record.planned and record.mark and record.upload == upload
        if record.mark.received_at == mark.received_at and journal.is_kept(record)
    )
    return next(plans, None)


def has_answered(journal: StreamRecorder, upload: str, step: str, received_at: int, run: int) -> bool:
    """Whether a step has answered `continue` after its start in a run; a delay only has to be started."""
    started = _first_start(journal, upload, step, received_at, run)
    if started is None or step == DELAY_STEP:
        return started is not None
    return any(
        answer.sequence > started
        and answer.payload["FinishedStep"] == step
        and answer.payload["Outcome"] == Outcome.CONTINUE
        for answer in journal.of("PostprocessingStepFinished", upload)
    )


def first_answer_of(journal: StreamRecorder, upload: str, step: str) -> float | None:
    """When a step has answered `continue` for the first time; None when it has not."""
    answers = journal.of("PostprocessingStepFinished", upload)
    moments = (
        a.at for a in answers if (a.payload["FinishedStep"], a.payload["Outcome"]) == (step, "continue")
    )
    return next(moments, None)


def unanswered(journal: StreamRecorder, record: Record) -> list[str]:
    """The steps that a release of ours has left out without an answer, and without a rule."""
    mark, planned = record.mark, record.planned
    if mark is None or planned is None:
        return []
    missing = []
    for step in planned.plan[planned.first :]:
        started = _first_start(journal, record.upload, step.name, mark.received_at, mark.run)
        left_out = step.max_filesize is not None and step.on_too_large is OnTooLarge.SKIP
        used_up = started is not None and step.on_exhausted is OnExhausted.CONTINUE
        answered = has_answered(journal, record.upload, step.name, mark.received_at, mark.run)
        if not (answered or left_out or used_up):
            missing.append(step.name)
    return missing


def _first_start(journal: StreamRecorder, upload: str, step: str, received_at: int, run: int) -> int | None:
    """Where the log starts a step in a run; a start of another service is one in any run (docs/adr/0017)."""
    for record in journal.of("StartPostprocessingStep", upload):
        mark = record.mark
        if mark is None and record.payload["StepToStart"] == step:
            return record.sequence
        if mark is not None and (mark.received_at, mark.run, mark.detail) == (received_at, run, step):
            return record.sequence
    return None
