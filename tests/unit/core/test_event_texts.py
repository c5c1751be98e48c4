"""What people are told in Events: each with its type, its reason, and a sentence that says what to do."""

from collections.abc import Callable

import pytest

from uploadpp.core.decision import AnyDecision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Follows, StepFinished
from uploadpp.core.model import Millis, StepPlan, Streak
from uploadpp.core.states import CancelPolicy, DesiredState, OnExhausted, RestartMode
from uploadpp.testing.builders import START, UploadScenario, arrival, begun, config_of


def spent(policy: OnExhausted) -> AnyDecision:
    """The only retry of the first step was of no use."""
    story = begun(StepPlan(name="a", max_retries=1, on_exhausted=policy), "b")
    story.answers("retry")
    story.timer()
    return story.answers("retry", message="busy")


def answered(*outcomes: str) -> UploadScenario:
    """The only step, so far."""
    story = begun("a")
    for outcome in outcomes:
        story.answers(outcome)
    return story


def failing(message: str) -> AnyDecision:
    """The breaker of the step is open, or opens with this failure."""
    return begun("a").tell(StepFinished("a", "retry", message, streak=Streak(START, START, 1, START)))


def out_of_turn() -> AnyDecision:
    """An earlier upload of the file does not end."""
    story = UploadScenario(config_of("a", order_timeout=Millis(1_500)))
    story.tell(evolve(arrival(), follows=Follows("up-0", 7)))
    story.answers("continue")
    return story.timer()


def released(*, failed: bool, max_releases: int = 5) -> AnyDecision:
    story = begun("a", max_releases=max_releases, release_backoff=Millis(1_500))
    story.answers("continue")
    return story.ready(failed=failed)


def stalled(outcome: str) -> AnyDecision:
    """Nobody has answered PostprocessingFinished."""
    story = begun("a", max_finish_resends=0)
    story.answers(outcome)
    return story.timer()


def without_url() -> AnyDecision:
    story = UploadScenario(config_of("a", max_url_requests=1))
    story.arrives(expires_at=START)
    return story.timer()


def cancelled(policy: CancelPolicy, *outcomes: str) -> AnyDecision:
    return answered(*outcomes).wanted(DesiredState.CANCELLED, policy)


def restarted(
    mode: RestartMode, *outcomes: str, from_step: str = "", desired: DesiredState = DesiredState.ACTIVE
) -> AnyDecision:
    return answered(*outcomes).restarted("t1", mode, from_step, desired)


TOLD: list[tuple[Callable[[], AnyDecision], str]] = [
    (
        lambda: begun("a").answers("retry"),
        "Warning RetryScheduled: a: attempt 1 failed; next attempt in 5 s",
    ),
    (
        lambda: begun(StepPlan(name="a", timeout=Millis(60_000), backoff=Millis(1_500))).timer(),
        "Warning RetryScheduled: a: attempt 1 failed (no answer within 60 s); next attempt in 1.5 s",
    ),
    (
        lambda: begun(StepPlan(name="a", timeout=Millis(1_500), max_retries=0)).timer(),
        (
            "Warning RetriesExhausted: a: no retries left after 1 attempts (no answer within 1.5 s); "
            "outcome abort"
        ),
    ),
    (
        lambda: begun("a").answers("?"),
        (
            "Warning InvalidOutcome: a answered '?', which is not an outcome; treated as retry\n"
            "Warning RetryScheduled: a: attempt 1 failed "
            "(a answered '?', which is not an outcome; treated as retry); next attempt in 5 s"
        ),
    ),
    (
        lambda: spent(OnExhausted.HOLD),
        "Warning Held: a: no retries left after 2 attempts (busy); held until it is resumed",
    ),
    (
        lambda: spent(OnExhausted.CONTINUE),
        (
            "Warning RetriesExhausted: a: no retries left after 2 attempts (busy); "
            "the upload continues without this step"
        ),
    ),
    (
        lambda: begun("a").answers("delete", message="Eicar"),
        "Warning Rejected: a answered delete: Eicar",
    ),
    (
        lambda: failing(message=""),
        "Warning AwaitingRecovery: a: attempt 1 failed; its breaker is open, so it takes no retry",
    ),
    (
        lambda: failing(message="busy"),
        "Warning AwaitingRecovery: a: attempt 1 failed (busy); its breaker is open, so it takes no retry",
    ),
    # the storage
    (
        out_of_turn,
        (
            "Warning ReleasedOutOfOrder: upload up-0 of the same file arrived earlier and has not ended "
            "within 1.5 s; this one is released first"
        ),
    ),
    (
        lambda: released(failed=True),
        "Warning ReleaseFailed: the storage failed to release the file (attempt 1); next attempt in 1.5 s",
    ),
    (
        lambda: released(failed=True, max_releases=0),
        (
            "Warning UploadFailed: the storage failed to release the file 1 times; "
            "resume or restart the upload"
        ),
    ),
    (
        lambda: begun("a").ready(),
        (
            "Warning ReleasedElsewhere: the storage released the file before postprocessing ended; "
            "did it follow an earlier order, or does another service process this upload?"
        ),
    ),
    # nobody answers
    (
        lambda: begun(StepPlan(name="a", stall_after=Millis(59_500))).timer(),
        (
            "Warning Stalled: "
            "step a has not answered for 60 s; is a service for it running? resume starts the step again"
        ),
    ),
    (
        lambda: stalled("continue"),
        (
            "Warning Stalled: "
            "the storage has not answered PostprocessingFinished(continue) with UploadReady; "
            "was the file deleted, was the answer lost, or are asynchronous uploads off? "
            "resume sends it again, cancel ends the upload without asking the storage"
        ),
    ),
    (
        lambda: stalled("abort"),
        (
            "Warning Stalled: the storage has not answered PostprocessingFinished(abort) with UploadReady; "
            "was the file deleted, was the answer lost, or are asynchronous uploads off? "
            "cancel ends the upload without asking the storage"
        ),
    ),
    (
        without_url,
        (
            "Warning Stalled: the storage does not answer RestartPostprocessing; "
            "does it still have the upload? resume asks again"
        ),
    ),
    # people
    (
        lambda: cancelled(CancelPolicy.DELETE),
        "Normal Cancelled: cancelled as requested; outcome delete",
    ),
    (
        lambda: cancelled(CancelPolicy.ABORT, "continue"),
        (
            "Warning CancelTooLate: PostprocessingFinished(continue) was already sent; "
            "the upload is cancelled only if that fails"
        ),
    ),
    (
        lambda: restarted(RestartMode.RESTART),
        "Normal Restarted: as requested by restart token t1",
    ),
    (
        lambda: restarted(RestartMode.RESUME),
        "Normal Resumed: as requested by restart token t1",
    ),
    (
        lambda: restarted(RestartMode.RESTART, from_step="x"),
        "Warning RestartRefused: spec.restart.fromStep: the upload has no step 'x'",
    ),
    (
        lambda: restarted(RestartMode.RESTART, "abort"),
        (
            "Warning RestartRefused: a restart after abort can lose the bytes in the storage; "
            "use mode ForceRestart to restart anyway"
        ),
    ),
    (
        lambda: restarted(RestartMode.RESTART, "delete"),
        (
            "Warning RestartRefused: "
            "the storage no longer holds the upload; use mode ForceRestart to try anyway"
        ),
    ),
    (
        lambda: restarted(RestartMode.RESTART, desired=DesiredState.CANCELLED),
        (
            "Warning RestartRefused: "
            "the upload is cancelled; set spec.desiredState to Active in the same change\n"
            "Normal Cancelled: cancelled as requested; outcome abort"
        ),
    ),
    (
        lambda: restarted(RestartMode.RESUME, "abort"),
        (
            "Warning RestartRefused: "
            "PostprocessingFinished(abort) a second time would make the storage remove the bytes (F14)"
        ),
    ),
]


@pytest.mark.parametrize(("happens", "told"), TOLD, ids=range(len(TOLD)))
def test_what_people_are_told(happens: Callable[[], AnyDecision], told: str) -> None:
    assert "\n".join(f"{each.type} {each.reason}: {each.message}" for each in happens().notices) == told


@pytest.mark.parametrize(
    "quiet",
    [
        lambda: begun("a").answers("continue"),
        lambda: released(failed=False),
        lambda: begun("a").resumed(),
        lambda: begun("a").cleaned(),
        lambda: begun("a").wanted(DesiredState.SUSPENDED),
    ],
    ids=["passed", "released", "resumed", "cleaned", "suspended"],
)
def test_what_goes_as_it_should_is_no_event(quiet: Callable[[], AnyDecision]) -> None:
    assert quiet().notices == ()
