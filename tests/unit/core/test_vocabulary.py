"""Words and numbers that others rely on, in resources, events and settings: they never just change."""

from enum import StrEnum

import pytest

from uploadpp.core.commands import MAX_COUNT, Kind, NoticeType
from uploadpp.core.conditions import ACKNOWLEDGED, ConditionStatus, ConditionType
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, UnknownDecision
from uploadpp.core.inputs import BreakerOpened, Follows, Resume, StepFinished
from uploadpp.core.lease_claim import Claim
from uploadpp.core.model import (
    DELAY_STEP,
    FINISHED_STEP,
    MAX_MESSAGE,
    RELEASING,
    Control,
    FileInfo,
    LogPosition,
    Millis,
    Origin,
    RestartRequest,
    StepPlan,
    StepStatus,
    Streak,
    Upload,
)
from uploadpp.core.naming import LABELS
from uploadpp.core.sharding import BUCKET_LABEL
from uploadpp.core.shares import FairShare
from uploadpp.core.states import (
    ENDED,
    IN_STEP,
    STALLED,
    UNHEARD,
    CancelPolicy,
    DesiredState,
    Ignored,
    OnExhausted,
    OnTooLarge,
    Outcome,
    RequiredResult,
    RestartMode,
    Stage,
    StallReason,
    StepReason,
    StepState,
)
from uploadpp.core.tracing import SUPERSEDED, Span, SpanKind, Trace
from uploadpp.testing.builders import START

SECOND, MINUTE = 1_000, 60_000


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            Stage,
            (
                "Pending Queued Running Delaying BackingOff Held Suspended AwaitingURL AwaitingTurn "
                "AwaitingReady ReleaseBackOff Completed Deleted Aborted RetriesExhausted StepTimedOut "
                "Cancelled Cleaned UploadFailed Gone Unanswered"
            ),
        ),
        (StallReason, "NoAnswerFromStep NoUploadReady NoFreshURL ReleaseFailed"),
        (StepState, "Waiting Running BackingOff Held Succeeded Failed Skipped"),
        (
            StepReason,
            (
                "Rejected RetriesExhausted TimedOut TooLarge Cancelled Cleaned Gone ReleasedElsewhere "
                "FinishedElsewhere BeforeRestart Unanswered"
            ),
        ),
        (Outcome, "continue retry abort delete"),
        (OnExhausted, "Abort Hold Continue Delete"),
        (OnTooLarge, "Skip Hold"),
        (RequiredResult, "Optional Scan"),
        (DesiredState, "Active Suspended Cancelled"),
        (CancelPolicy, "Abort Delete"),
        (RestartMode, "Resume ResumeStep Restart ForceRestart"),
        (
            Ignored,
            (
                "UnknownUpload AlreadyApplied Duplicate NotCurrentStep NotRunning BeforeStart UploadEnded"
                " UploadAborted Held NotAwaited Suspended NothingDue OtherStep NoRule"
            ),
        ),
        (Kind, "start finish retry restart resume"),
        (NoticeType, "Normal Warning"),
        (ConditionType, "Succeeded Finished Acknowledged Stalled Suspended Unserved"),
        (ConditionStatus, "True False Unknown"),
        (Claim, "Wait Take Keep"),
        (FairShare, "User Space"),
        (SpanKind, "run request wait"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_words(kind: type[StrEnum], words: str) -> None:
    assert " ".join(kind) == words


def test_words_outside_of_lists() -> None:
    assert (DELAY_STEP, FINISHED_STEP, STALLED) == ("delay", "finished", "Stalled")
    assert SUPERSEDED == "Superseded"
    assert LABELS == {
        "app.kubernetes.io/name": "upload-postprocessing",
        "app.kubernetes.io/managed-by": "uploadpp",
    }
    assert BUCKET_LABEL == "uploadpp.io/bucket"


def test_what_an_input_an_answer_and_a_trace_say_when_nothing_more_is_known() -> None:
    assert StepFinished("a", "continue") == StepFinished("a", "continue", message="", scanned=False)
    assert Resume() == Resume(step="", token="")
    assert Follows("up-0") == Follows("up-0", arrival=0)
    streak = Streak(START, START, 1)
    assert BreakerOpened("a", streak) == BreakerOpened("a", streak, why="")
    made = Upload(id="a", received_at=START)
    assert Decision(made) == Decision(made, commands=(), notices=(), ignored=None, why="", met=None)
    assert UnknownDecision() == UnknownDecision(commands=(), ignored=None, why="")
    assert Trace(1) == Trace(1, parent=0, flags=0)
    span = Span(name="a", kind=SpanKind.WAIT, id=1, parent=0, start=START, end=START, attributes={})
    assert (span.events, span.error) == ((), "")


def test_limits() -> None:
    assert (MAX_MESSAGE, MAX_COUNT) == (1024, 2**31)


@pytest.mark.parametrize(
    ("stages", "names"),
    [
        (
            ENDED,
            (
                "Aborted Cancelled Cleaned Completed Deleted Gone RetriesExhausted StepTimedOut Unanswered "
                "UploadFailed"
            ),
        ),
        (IN_STEP, "AwaitingTurn AwaitingURL BackingOff Delaying Held Queued Running Suspended"),
        (UNHEARD, "Gone Unanswered"),
        (RELEASING, "AwaitingReady ReleaseBackOff UploadFailed"),
        (ACKNOWLEDGED, "Aborted Cancelled Completed Deleted RetriesExhausted StepTimedOut"),
    ],
    ids=["ended", "in a step", "unheard", "releasing", "acknowledged"],
)
def test_sets_of_stages(stages: frozenset[Stage], names: str) -> None:
    assert " ".join(sorted(stages)) == names


def test_what_is_so_unless_it_is_configured() -> None:
    assert Config() == Config(
        steps=(),
        ready_after=Millis(10 * MINUTE),
        max_finish_resends=3,
        max_releases=5,
        release_backoff=Millis(30 * SECOND),
        max_release_backoff=Millis(60 * MINUTE),
        url_margin=Millis(5 * MINUTE),
        url_after=Millis(2 * MINUTE),
        max_url_requests=5,
        order_timeout=Millis(10 * MINUTE),
        ttl_completed=Millis(10 * MINUTE),
        ttl_failed=Millis(7 * 24 * 60 * MINUTE),
    )
    assert StepPlan(name="a") == StepPlan(
        name="a",
        timeout=None,
        stall_after=Millis(10 * MINUTE),
        max_retries=14,
        backoff=Millis(5 * SECOND),
        max_backoff=Millis(12 * 60 * MINUTE),
        on_exhausted=OnExhausted.ABORT,
        delay=Millis(0),
        max_filesize=None,
        on_too_large=OnTooLarge.SKIP,
        require_result=RequiredResult.OPTIONAL,
    )


def test_an_upload_of_which_nothing_is_known() -> None:
    upload = Upload(id="x", received_at=START)
    assert upload.origin == Origin(
        url='""',
        url_received_at=Millis(0),
        filename='""',
        filesize="0",
        executing_user="null",
        impersonating_user="null",
        space_owner="null",
        resource_id="null",
        initiator_id="",
        traceparent="",
    )
    assert upload.file == FileInfo("", 0, "", "", "", "")
    assert upload.control == Control(
        desired=DesiredState.ACTIVE, cancel_policy=CancelPolicy.ABORT, generation=1
    )
    assert upload.log == LogPosition(stream="", sequence=0, start=None)
    assert (
        upload[6:]
        == Upload(
            id="x",
            received_at=START,
            stage=Stage.PENDING,
            since=Millis(0),
            run=0,
            cursor=0,
            finishes=0,
            releases=0,
            url_requests=0,
            observed_generation=0,
            observed_token="",
            restarts=0,
            message="",
        )[6:]
    )
    assert StepStatus() == StepStatus(state=StepState.WAITING, attempts=0, retries=0, outcome="", message="")
    assert RestartRequest(token="t") == RestartRequest(token="t", mode=RestartMode.RESTART, from_step="")
