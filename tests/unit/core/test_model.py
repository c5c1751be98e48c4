"""What an upload and its origin say of themselves: URLs, the current step, which step decided."""

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived
from uploadpp.core.model import Control, FileInfo, Millis, Origin, StepPlan, StepStatus, Upload
from uploadpp.core.states import OnExhausted, Stage, StepReason, StepState
from uploadpp.testing.builders import START

HOUR = 3_600_000


def living(life: int) -> Origin:
    return Origin(url='"x"', url_received_at=START, url_expires_at=Millis(START + life))


@pytest.mark.parametrize(
    ("origin", "age", "renew"),
    [
        (Origin(), 0, True),
        (Origin(url='"x"'), 10**9, False),
        (living(24 * HOUR), 24 * HOUR - 300_001, False),
        (living(24 * HOUR), 24 * HOUR - 300_000, True),
        (living(100_000), 89_999, False),
        (living(100_000), 90_000, True),
    ],
    ids=[
        "no URL",
        "URL without end",
        "before the margin",
        "in the margin",
        "short life",
        "short life, in it",
    ],
)
def test_a_url_is_renewed_when_a_step_could_find_it_expired(origin: Origin, age: int, *, renew: bool) -> None:
    assert origin.needs_renewal(Millis(START + age), Millis(300_000)) is renew


def test_nothing_of_an_origin_ends_up_in_a_log() -> None:
    secret = Origin(url='"https://secret"', executing_user='"mary"', filename='"salary.ods"')
    assert repr(secret) == "Origin(…)"
    shown = repr(Upload(id="x", received_at=START, origin=secret))
    assert not {word for word in ("secret", "mary", "salary") if word in shown}
    assert repr(BytesReceived(secret, FileInfo())) == f"BytesReceived(file={FileInfo()})"


def test_a_renewed_url_brings_its_dates_and_nothing_else() -> None:
    known = Origin(url='"old"', executing_user='"mary"', initiator_id="web")
    fresh = evolve(living(HOUR), executing_user='"robot"', initiator_id="")
    assert known.with_url_of(fresh) == evolve(
        fresh, executing_user='"mary"', initiator_id="web", filename=known.filename
    )


def test_the_current_step_is_shown_while_there_is_one() -> None:
    upload = Upload(id="x", received_at=START, plan=(StepPlan(name="a"),))
    shown = {stage: evolve(upload, stage=stage).current_step for stage in Stage}
    in_step = {stage for stage, name in shown.items() if name == "a"}
    assert in_step == {stage for stage in Stage if stage.in_step}
    assert {stage for stage, name in shown.items() if name == "finished"} == {
        Stage.AWAITING_READY,
        Stage.RELEASE_BACKING_OFF,
        Stage.UPLOAD_FAILED,
    }
    assert evolve(upload, stage=Stage.SUSPENDED, cursor=1).current_step == "finished"
    assert set(shown.values()) == {"a", "finished", ""}


def test_retries_are_counted_over_all_steps() -> None:
    steps = (StepStatus(retries=2), StepStatus(), StepStatus(retries=3))
    assert Upload(id="x", received_at=START, steps=steps).retry_count == 5


def test_one_step_is_replaced_and_the_others_stay() -> None:
    first, second, third = (StepStatus(attempts=n) for n in (1, 2, 3))
    upload = Upload(id="x", received_at=START, steps=(first, second, third), cursor=1)
    assert upload.step is second
    changed = upload.with_step(1, StepStatus(attempts=9))
    assert changed.steps == (first, StepStatus(attempts=9), third)


FAILED, DONE = StepState.FAILED, StepState.SUCCEEDED


@pytest.mark.parametrize(
    ("steps", "decider"),
    [
        ([], None),
        ([(DONE, None)], None),
        ([(FAILED, StepReason.REJECTED)], 0),
        ([(FAILED, StepReason.CANCELLED), (StepState.WAITING, None)], 0),
        ([(FAILED, StepReason.RETRIES_EXHAUSTED)], None),
        ([(FAILED, StepReason.TIMED_OUT), (FAILED, StepReason.REJECTED)], 1),
        ([(FAILED, StepReason.REJECTED), (FAILED, StepReason.TIMED_OUT)], None),
    ],
)
def test_the_last_failure_decides_unless_the_step_may_be_passed_over(
    steps: list[tuple[StepState, StepReason | None]], decider: int | None
) -> None:
    plan = tuple(StepPlan(name=str(n), on_exhausted=OnExhausted.CONTINUE) for n in range(2))
    statuses = tuple(StepStatus(state=state, reason=reason) for state, reason in steps)
    assert Upload(id="x", received_at=START, plan=plan, steps=statuses).decider == decider


@pytest.mark.parametrize("reason", [StepReason.RETRIES_EXHAUSTED, StepReason.TIMED_OUT])
def test_a_step_that_may_not_be_passed_over_decides_by_being_out_of_retries(reason: StepReason) -> None:
    statuses = (StepStatus(state=FAILED, reason=reason),)
    assert Upload(id="x", received_at=START, plan=(StepPlan(name="a"),), steps=statuses).decider == 0


def test_what_is_not_said_of_an_upload_is_as_the_storage_announces_one() -> None:
    """It was not made by hand, has its status, and its plan stands in its spec."""
    bare = Upload(id="u-1", received_at=START)
    assert (bare.origin, bare.file, bare.control) == (Origin(), FileInfo(), Control())
    assert (bare.origin.by_hand, bare.plan_in_status, bare.plan_fixed, bare.lost_status) == (False,) * 4


@pytest.mark.parametrize("policy", OnExhausted)
@pytest.mark.parametrize("reason", [None, *StepReason])
@pytest.mark.parametrize("state", StepState)
def test_an_upload_goes_on_from_a_step_that_has_answered_or_that_a_rule_leaves_out(
    state: StepState, reason: StepReason | None, policy: OnExhausted
) -> None:
    """A step that has failed is left out only when it is out of retries and its policy says so."""
    out_of_retries = reason in {StepReason.RETRIES_EXHAUSTED, StepReason.TIMED_OUT}
    left_out = state is StepState.FAILED and out_of_retries and policy is OnExhausted.CONTINUE
    passed = state in {StepState.SUCCEEDED, StepState.SKIPPED} or left_out
    plan = StepPlan(name="a", on_exhausted=policy)
    assert plan.is_passed(StepStatus(state=state, reason=reason)) is passed


@pytest.mark.parametrize(
    ("lost_status", "by_hand", "ours"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_only_a_resource_of_the_operator_that_has_lost_its_status_was_created_by_it(
    *, lost_status: bool, by_hand: bool, ours: bool
) -> None:
    upload = Upload(id="x", received_at=START, origin=Origin(by_hand=by_hand), lost_status=lost_status)
    assert upload.is_created_by_us is ours
