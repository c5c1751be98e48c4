"""Records of the legacy service, and the log beside them, for tests of what becomes of them."""

from dataclasses import replace
from typing import Any

from uploadpp.core.adoption import (
    Adopted,
    Ground,
    Left,
    Record,
    adopt,
)
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.history import Said
from uploadpp.core.inputs import (
    FinishedElsewhere,
    Input,
    StartedElsewhere,
)
from uploadpp.core.model import LogPosition, Millis, Origin, StepPlan, StepStatus, Upload
from uploadpp.core.states import Stage, StepState

DELAY = Millis(60_000)
SCAN, WAIT, RULES = (
    StepPlan(name="virusscan"),
    StepPlan(name="delay", delay=DELAY),
    StepPlan(name="policies", backoff=Millis(7_000), max_backoff=Millis(20_000)),
)
CONFIG = Config(steps=(SCAN, WAIT, RULES))
WRITTEN = Millis(1_000_000)
NOW = Millis(WRITTEN + 30_000)
SLACK = 1_000
ORIGIN = Origin(url='"https://storage.test/1"', executing_user='{"username":"mary"}', filename='"a.pdf"')
COVERED = Ground("main-queue@1", 500, 400, Millis(WRITTEN - 10_000), NOW)
"""The log was read from before the record was written."""
TOO_OLD = COVERED._replace(since=Millis(WRITTEN + 10_000))
LONG_AGO = TOO_OLD._replace(now=Millis(WRITTEN + DELAY))
"""A delay that began when the record was written is over now, to the millisecond."""
PASSED = StepStatus(state=StepState.SUCCEEDED, attempts=1, finished_at=WRITTEN, outcome="continue")
WAITING = StepStatus()


def record(**members: Any) -> Record:  # noqa: ANN401 -- fields of a record
    names = ("virusscan", "delay", "policies")
    given: dict[str, Any] = {
        "id": "u-1",
        "origin": ORIGIN,
        "steps": names,
        "current": "virusscan",
        "written_at": WRITTEN,
    }
    return Record(**given | members)


def log_of(*events: tuple[int, Input]) -> list[Said]:
    """Events at so many ms after the record was written; events of others know their own position."""
    said = []
    for sequence, (after, event) in enumerate(events, 101):
        if isinstance(event, StartedElsewhere | FinishedElsewhere):
            event = replace(event, sequence=sequence)  # noqa: PLW2901 -- the same at its place
        said.append(Said(sequence, Millis(WRITTEN + after), event, f"event-{sequence}"))
    return said


def start(step: str) -> StartedElsewhere:
    return StartedElsewhere(step, 0)


def told(word: str) -> FinishedElsewhere:
    return FinishedElsewhere(word, 0)


def adopted(
    of: Record, *events: tuple[int, Input], ground: Ground = COVERED, config: Config = CONFIG
) -> Adopted:
    verdict = adopt(of, log_of(*events), ground, config)
    assert isinstance(verdict, Adopted), verdict
    return verdict


def left(of: Record, *events: tuple[int, Input], config: Config = CONFIG) -> Left:
    verdict = adopt(of, log_of(*events), COVERED, config)
    assert isinstance(verdict, Left), verdict
    return verdict


def expected(stage: Stage, *steps: StepStatus, start: int | None = None, **members: Any) -> Upload:  # noqa: ANN401
    """An upload with all that each adopted one has."""
    whole = Upload(
        id="u-1",
        received_at=WRITTEN,
        origin=ORIGIN,
        plan=(SCAN, WAIT, RULES),
        plan_fixed=True,
        stage=stage,
        since=WRITTEN,
        run=1,
        steps=steps,
        started_at=WRITTEN,
        observed_generation=1,
        log=LogPosition("main-queue@1", 500, start),
    )
    return evolve(whole, **members)
