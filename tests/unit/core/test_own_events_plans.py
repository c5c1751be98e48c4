"""An upload keeps the plan it began with, also while only the log knows it (invariant 2.9)."""

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published, Resume, StepFinished
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.core.plan_text import Planned
from uploadpp.core.states import (
    DesiredState,
    OnExhausted,
    OnTooLarge,
    RequiredResult,
    RestartMode,
    Stage,
    StepReason,
    StepState,
)
from uploadpp.testing.builders import FRESH_URL, START, UploadScenario, arrival, begun, by_hand, config_of

SCAN = StepPlan(
    name="virusscan", timeout=Millis(3_000), require_result=RequiredResult.SCAN, on_exhausted=OnExhausted.HOLD
)
OLD_LIST = ("policies", "virusscan")


def read_by(config: Config, *inputs: object) -> UploadScenario:
    """What an owner with other settings makes of a log that begins with BytesReceived."""
    story = UploadScenario(config)
    story.reads_own_events = False
    story.arrives()
    for each in inputs:
        story.tell(each)  # type: ignore[arg-type]
    return story


def ours(
    kind: Kind,
    detail: str,
    *steps: str | StepPlan,
    number: int = 1,
    run: int = 1,
    first: int = 0,
    received_at: int = START + 1_000,
) -> Published:
    """An event that an owner with these steps has published; without steps that of an earlier version."""
    mark = Mark(kind, Millis(received_at), run, number, detail)
    planned = Planned(config_of(*steps).steps, first) if steps else None
    return Published(mark, 0, planned)


def at(own_event: Published, sequence: int) -> Published:
    return evolve(own_event, sequence=sequence)


def names(upload: Upload) -> list[str]:
    return [step.name for step in upload.plan]


CHANGES: dict[str, tuple[str, ...]] = {
    "reordered": ("virusscan", "policies"),
    "a step added before": ("sign", "policies", "virusscan"),
    "a step added behind": ("policies", "virusscan", "delay"),
    "a step removed": ("virusscan",),
    "the other one removed": ("policies",),
    "a step renamed": ("policies", "scan"),
    "all removed": (),
}


@pytest.mark.parametrize("now", CHANGES.values(), ids=CHANGES)
def test_an_upload_that_only_the_log_knows_keeps_its_steps(now: tuple[str, ...]) -> None:
    """The owner that had started `policies` died before it recorded anything."""
    story = read_by(
        config_of(*now),
        at(ours(Kind.START, "policies", *OLD_LIST), 2),
        StepFinished("policies", "continue"),
    )
    assert names(story.upload) == [*OLD_LIST]
    assert story.published[-1] == "start virusscan 1"
    assert [step.state for step in story.upload.steps] == [StepState.SUCCEEDED, StepState.RUNNING]
    story.read_own_event(story.commands[-1])
    story.answers("continue")
    assert story.published[-1] == "finish continue 1"


@pytest.mark.parametrize(
    "now",
    [
        evolve(SCAN, require_result=RequiredResult.OPTIONAL),
        evolve(SCAN, on_exhausted=OnExhausted.CONTINUE),
        evolve(SCAN, timeout=None),
        evolve(SCAN, max_retries=0),
        evolve(SCAN, max_filesize=1),
        evolve(SCAN, max_filesize=1, on_too_large=OnTooLarge.HOLD),
    ],
    ids=["requireResult", "onExhausted", "timeoutSeconds", "maxRetries", "maxFilesize", "onTooLarge"],
)
def test_it_keeps_the_settings_of_its_steps(now: StepPlan) -> None:
    story = read_by(config_of(now), at(ours(Kind.START, "virusscan", SCAN), 2))
    assert story.upload.plan == (SCAN,)
    story.tell(StepFinished("virusscan", "continue"))
    assert story.upload.stage is Stage.BACKING_OFF, "a scan is required, and this answer brings none"


def test_a_delay_that_is_configured_later_is_not_for_it() -> None:
    story = read_by(config_of("a", "delay"), at(ours(Kind.START, "a", "a"), 2))
    story.answers("continue")
    assert story.published[-1] == "finish continue 1"


def test_what_a_plan_without_steps_has_released_is_released() -> None:
    mark = Mark(Kind.FINISH, Millis(START + 1_000), 1, 1, "continue")
    story = read_by(config_of("virusscan"), Published(mark, 2, Planned(())))
    assert (story.upload.plan, story.upload.stage) == ((), Stage.AWAITING_READY)
    story.ready()
    assert story.upload.stage is Stage.COMPLETED


def test_before_anything_is_published_the_present_steps_count() -> None:
    story = read_by(config_of(*OLD_LIST))
    assert names(story.upload) == [*OLD_LIST]
    assert not story.upload.plan_fixed


def test_an_event_fixes_the_plan_that_is_the_same() -> None:
    story = read_by(config_of("a"), at(ours(Kind.START, "a", "a"), 2))
    assert story.upload.plan_fixed
    again = story.tell(at(ours(Kind.START, "a", "a"), 2))
    assert again.ignored is not None


def test_a_second_owner_with_other_steps_comes_too_late() -> None:
    """The plan that is met first counts; that a step was started is true all the same."""
    story = read_by(
        config_of("b", "a"), at(ours(Kind.START, "a", "a", "b"), 2), at(ours(Kind.START, "b", "b", "a"), 3)
    )
    assert (names(story.upload), story.upload.current_step) == (["a", "b"], "a")
    assert story.tell(at(ours(Kind.START, "b", "b", "a"), 3)).ignored is not None
    story.answers("continue")
    assert story.published[-1] == "start b 2", "the first one had another owner's number"


@pytest.mark.parametrize(
    "late",
    [
        ours(Kind.START, "c", "c"),
        ours(Kind.START, "a", "a"),
        ours(Kind.FINISH, "continue", "c"),
        ours(Kind.START, "b", "b", run=2),
    ],
    ids=["unknown step", "known start", "a release", "another run"],
)
def test_what_another_list_has_led_to_is_not_believed(late: Published) -> None:
    story = read_by(config_of("a", "b"), at(ours(Kind.START, "a", "a", "b"), 2))
    before = story.upload
    decision = story.tell(at(late, 3))
    assert decision.ignored is not None
    assert (story.upload.plan, story.upload.steps, story.upload.stage) == (
        before.plan,
        before.steps,
        before.stage,
    )


def test_what_has_ended_meanwhile_stays_ended() -> None:
    story = read_by(config_of("b"))
    story.cleaned()
    story.tell(at(ours(Kind.START, "a", "a", "b"), 5))
    assert (story.upload.stage, names(story.upload)) == (Stage.CLEANED, ["a", "b"])


def test_a_run_that_began_later_has_the_same_plan() -> None:
    """A second announcement came before the first start was in the log."""
    story = read_by(config_of("b"), arrival(FRESH_URL))
    assert story.upload.run == 2
    decision = story.tell(at(ours(Kind.START, "a", "a", "b"), 4))
    assert (names(story.upload), story.upload.run) == (["a", "b"], 2)
    assert [command.mark.detail for command in decision.commands] == ["a"], "its start is not in the log"
    story.tell(at(ours(Kind.START, "a", "a", "b", run=2), 5))
    assert story.upload.log.start == 5


def test_a_resume_before_the_first_start_is_counted_by_the_log() -> None:
    story = read_by(config_of("b", "a"), Resume(), at(ours(Kind.START, "a", "a", "b"), 3))
    assert (story.upload.current_step, story.upload.step.attempts) == ("a", 1)
    story.tell(at(ours(Kind.START, "a", "a", "b", number=2), 4))
    assert story.upload.step.attempts == 2
    assert [step.attempts for step in story.upload.steps] == [2, 0]


def test_a_hand_made_resource_without_steps_has_the_plan_of_its_events() -> None:
    story = by_hand()
    story.state = evolve(story.upload, plan_in_status=True)
    story.tell(at(ours(Kind.START, "c", "c", "d", received_at=START), 2))
    assert (names(story.upload), story.upload.run, story.upload.current_step) == (["c", "d"], 1, "c")
    assert story.upload.plan_fixed


def test_an_upload_that_is_held_before_its_first_run_has_the_plan_of_its_events() -> None:
    story = by_hand()
    story.state = evolve(story.upload, stage=Stage.HELD)
    story.tell(at(ours(Kind.START, "c", "c", "d", received_at=START), 2))
    assert (names(story.upload), story.upload.run, story.upload.current_step) == (["c", "d"], 1, "c")


def test_an_expired_url_is_asked_for_by_the_plan_of_the_event() -> None:
    story = read_by(config_of("b"), at(ours(Kind.RESTART, "a", "a"), 2))
    assert (story.upload.stage, story.upload.current_step) == (Stage.AWAITING_URL, "a")


# -- events of versions that did not tell the plan ---------------------------------------------


def test_an_event_without_a_plan_proves_no_success() -> None:
    """The case from the field: policies was first, and is now second."""
    story = read_by(
        config_of("virusscan", "policies"),
        at(ours(Kind.START, "policies"), 2),
        StepFinished("policies", "continue"),
    )
    assert story.published[-1] == "start virusscan 1", "which nobody has started so far"
    assert [step.state for step in story.upload.steps] == [StepState.RUNNING, StepState.SUCCEEDED]
    assert story.upload.step.attempts == 1
    story.read_own_event(story.commands[-1])
    story.answers("continue")
    assert story.published[-1] == "finish continue 1"


def upgraded(*now: str) -> UploadScenario:
    """`b` was started by an earlier version, and has answered; then this one started `a`."""
    plan = ("a", "b", "c")
    return read_by(
        config_of(*now),
        at(ours(Kind.START, "b"), 2),
        StepFinished("b", "continue"),
        at(ours(Kind.START, "a", *plan), 4),
    )


@pytest.mark.parametrize("now", [("b", "a"), ("a", "b"), ("x", "b"), ("b", "x", "a"), ("b",)], ids=",".join)
def test_what_answered_to_an_earlier_version_counts(now: tuple[str, ...]) -> None:
    story = upgraded(*now)
    assert (names(story.upload), story.upload.current_step) == (["a", "b", "c"], "a")
    story.answers("continue")
    assert story.upload.current_step == "c"
    assert story.upload.steps[1].state is StepState.SUCCEEDED


def test_a_step_that_is_running_since_an_earlier_version_goes_on() -> None:
    story = read_by(config_of("b", "x"), at(ours(Kind.START, "b"), 2), at(ours(Kind.RETRY, "b", "a", "b"), 3))
    assert (names(story.upload), story.upload.current_step) == (["a", "b"], "b")
    assert story.upload.stage is Stage.BACKING_OFF


def test_a_release_that_an_earlier_version_told_of_waits_for_the_storage() -> None:
    story = read_by(config_of("a"), at(ours(Kind.START, "a"), 2), at(ours(Kind.FINISH, "continue"), 3))
    again = at(ours(Kind.FINISH, "continue", "a", "b", number=2), 4)
    story.tell(again)
    assert (names(story.upload), story.upload.stage) == (["a", "b"], Stage.AWAITING_READY)
    assert [step.state for step in story.upload.steps] == [StepState.SKIPPED, StepState.WAITING]


# -- the rule itself ---------------------------------------------------------------------------


def test_a_release_that_nothing_explains_is_told_and_calls_no_step_succeeded() -> None:
    story = begun("a", StepPlan(name="b", max_filesize=1), "c")
    decision = story.tell(at(ours(Kind.FINISH, "continue"), 9))
    assert [(step.state, step.reason) for step in story.upload.steps] == [
        (StepState.SKIPPED, StepReason.UNANSWERED),
        (StepState.SKIPPED, StepReason.TOO_LARGE),
        (StepState.SKIPPED, StepReason.UNANSWERED),
    ]
    assert [notice.reason for notice in decision.notices] == ["ReleasedUnanswered"]
    assert "a, c" in decision.notices[0].message


def test_a_release_that_nothing_explains_takes_no_success_away() -> None:
    story = begun("a", "b")
    story.answers("continue")
    story.tell(at(ours(Kind.FINISH, "continue", "a", "b"), 9))
    assert [step.state for step in story.upload.steps] == [StepState.SUCCEEDED, StepState.SKIPPED]


def test_a_run_that_has_left_out_everything_is_cut_short_by_a_start() -> None:
    """It contradicts itself; what it started has to answer all the same."""
    story = begun("a", "b")
    story.tell(at(ours(Kind.START, "b", "a", "b", run=2, first=2), 9))
    assert (story.upload.run, story.upload.current_step) == (2, "b")


def test_a_file_that_was_too_large_by_the_present_settings_goes_through_a_step_of_its_plan() -> None:
    """`a` has been left out only because of a limit that its plan does not have."""
    limited = StepPlan(name="a", max_filesize=1)
    story = read_by(config_of(limited, "b"), at(ours(Kind.START, "b"), 2))
    assert story.upload.steps[0].reason is StepReason.TOO_LARGE
    story.tell(StepFinished("b", "continue"))
    story.tell(at(ours(Kind.START, "a", "a", "b"), 4))
    assert (story.upload.current_step, story.upload.stage) == ("a", Stage.RUNNING)
    assert story.upload.steps[1].state is StepState.SUCCEEDED


def test_a_suspended_upload_goes_back_too() -> None:
    story = read_by(config_of("a", "b"), at(ours(Kind.START, "b", "a", "b"), 2))
    story.wanted(DesiredState.SUSPENDED)
    story.tell(StepFinished("b", "continue"))
    assert (story.upload.stage, story.upload.current_step) == (Stage.SUSPENDED, "a")
    story.wanted(DesiredState.ACTIVE)
    assert story.published[-1] == "start a 1"


def test_a_step_that_was_passed_is_not_started_again() -> None:
    story = begun("a", "b")
    story.answers("continue")
    published = list(story.published)
    story.tell(at(ours(Kind.START, "a", "a", "b", number=2), 9))
    assert story.upload.current_step == "b"
    assert story.upload.steps[0].attempts == 2, "it went out before the answer to the first was known"
    story.tell(at(ours(Kind.RESTART, "a", "a", "b"), 10))
    assert (story.upload.current_step, story.published) == ("b", published)


def test_an_attempt_that_went_out_before_its_step_was_known_to_be_over_counts() -> None:
    """A resume had led to it, and the answer to the attempt before it came first (seed 620004508)."""
    story = read_by(config_of("b"), Resume(), at(ours(Kind.START, "a", "a"), 3))
    story.tell(StepFinished("a", "continue"))
    assert (story.upload.stage, story.upload.steps[0].attempts) == (Stage.AWAITING_READY, 1)
    story.tell(at(ours(Kind.START, "a", "a", number=2), 5))
    assert (story.upload.stage, story.upload.steps[0].attempts) == (Stage.AWAITING_READY, 2)
    story.tell(at(ours(Kind.START, "a", "a", number=2), 5))
    assert story.upload.steps[0].attempts == 2


def test_a_restart_says_which_steps_it_has_left_out() -> None:
    story = begun("a", "b", "c")
    story.restarted("t1", RestartMode.RESTART, "c")
    assert story.upload.left_out_by_restart == 2
    assert [step.reason for step in story.upload.steps[:2]] == [StepReason.BEFORE_RESTART] * 2
