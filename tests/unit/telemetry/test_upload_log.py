"""The log of an upload's life, as an administrator reads it."""

import logging
from typing import Any

import pytest

from uploadpp.core.commands import Notice
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.states import OnExhausted
from uploadpp.telemetry.upload_log import log_transition
from uploadpp.testing.builders import UPLOAD_ID, UploadScenario, begun, config_of


def told(
    story: UploadScenario, caplog: pytest.LogCaptureFixture, notices: list[Notice] | None = None
) -> list[str]:
    """Level and message of what is said about an upload as it is now."""
    caplog.clear()
    log_transition(story.upload, story.notices if notices is None else notices)
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


def fields(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """What the last line has besides its message."""
    plain = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
    return {key: value for key, value in vars(caplog.records[-1]).items() if key not in plain}


def test_an_upload_without_trouble_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    story = begun("a")
    assert told(story, caplog) == []
    story.answers("continue")
    story.ready()
    assert told(story, caplog) == ["INFO Completed: all steps passed; the storage released the file"]
    assert fields(caplog) == {
        "upload": UPLOAD_ID,
        "run": 1,
        "outcome": "continue",
        "retries": 0,
        "seconds": 2.0,
    }


def test_its_moves_are_there_for_who_looks_closer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert told(begun("a"), caplog) == ["DEBUG Running"]
    assert fields(caplog) == {"upload": UPLOAD_ID, "run": 1, "step": "a", "attempt": 1}


def test_a_refused_file_says_why_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    story = begun("virusscan")
    story.answers("delete", message="Eicar")
    assert told(story, caplog) == []
    story.ready(failed=True)
    assert told(story, caplog) == ["INFO Deleted: step virusscan answered delete: Eicar"]


def test_what_failed_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    story = begun(StepPlan(name="a", max_retries=1, backoff=Millis(5_000)))
    story.answers("retry", message="busy")
    assert told(story, caplog) == ["INFO RetryScheduled: a: attempt 1 failed (busy); next attempt in 5 s"]
    assert fields(caplog)["attempt"] == 1
    story.timer()
    story.answers("retry", message="busy")
    story.ready(failed=True)
    assert told(story, caplog, []) == ["WARNING RetriesExhausted: step a had no retries left: busy"]


def test_what_waits_for_somebody_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    story = begun(StepPlan(name="a", stall_after=Millis(60_000)))
    story.timer()
    (line,) = told(story, caplog)
    assert line.startswith("WARNING Stalled: step a has not answered for 60 s")
    held = begun(StepPlan(name="a", max_retries=0, on_exhausted=OnExhausted.HOLD))
    held.answers("retry")
    assert told(held, caplog)[0].startswith("WARNING Held: a: no retries left after 1 attempts")


def test_wishes_of_people_are_on_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    story = begun("a")
    story.restarted("token-1")
    assert told(story, caplog) == ["INFO Restarted: as requested by restart token token-1"]


def test_an_upload_without_steps(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    story = UploadScenario(config_of())
    story.arrives()
    assert told(story, caplog) == ["DEBUG AwaitingReady"]
    assert fields(caplog) == {"upload": UPLOAD_ID, "run": 1}
