"""A delay that was over when another service acted, though no timer has told us, as during a replay."""

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.decision import AnyDecision
from uploadpp.core.inputs import FinishedElsewhere, StartedElsewhere
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.states import Ignored, Stage, StepReason, StepState
from uploadpp.testing.builders import START, UploadScenario, arrival, begun, config_of, placeless

DELAY = StepPlan(name="delay", delay=Millis(10_000))


def starts(story: UploadScenario, step: str, *, after: Millis) -> AnyDecision:
    """Another service starts a step."""
    return story.tell(StartedElsewhere(step, story.sequence + 1), after=after)


def finishes(story: UploadScenario, outcome: str, *, after: Millis) -> AnyDecision:
    """Another service tells the storage an outcome."""
    return story.tell(FinishedElsewhere(outcome, story.sequence + 1), after=after)


@pytest.mark.parametrize("late", [0, 1, 60_000])
def test_the_start_of_the_next_step_says_that_the_delay_is_over(late: int) -> None:
    story = begun(DELAY, "b")
    decision = starts(story, "b", after=Millis(DELAY.delay + late))
    delay, step = story.upload.steps
    assert (delay.state, delay.outcome, delay.finished_at) == (StepState.SUCCEEDED, "continue", story.now)
    assert (story.upload.stage, story.upload.current_step, step.attempts) == (Stage.RUNNING, "b", 1)
    assert (story.upload.log.start, step.started_at) == (story.sequence, story.now)
    assert (decision.commands, decision.ignored) == ((), None)
    assert decision.met == Mark(Kind.START, story.upload.received_at, 1, 1, "b")


def test_a_start_before_the_delay_is_over_is_too_early() -> None:
    story = begun(DELAY, "b")
    before = story.upload
    assert starts(story, "b", after=Millis(DELAY.delay - 1)).ignored is Ignored.NOT_CURRENT_STEP
    assert placeless(story.upload) == placeless(before)


def test_a_start_of_a_step_further_on_leaves_the_delay_to_its_timer() -> None:
    story = begun(DELAY, "b", "c")
    before = story.upload
    assert starts(story, "c", after=DELAY.delay).ignored is Ignored.NOT_CURRENT_STEP
    assert placeless(story.upload) == placeless(before)


def test_a_start_leaves_the_delay_to_its_timer_while_a_fresh_url_has_to_be_asked_for() -> None:
    """The question would never be asked if the delay ended here."""
    story = UploadScenario(config_of(DELAY, "b"))
    story.tell(arrival(expires_at=Millis(START + DELAY.delay)))
    assert starts(story, "b", after=DELAY.delay).ignored is Ignored.NOT_CURRENT_STEP
    story.timer()
    assert (story.upload.stage, story.published[-1]) == (Stage.AWAITING_URL, "restart b 1")


def test_a_start_after_a_delay_needs_no_place_of_ours() -> None:
    story = begun(DELAY, "b", max_in_flight={"b": 1})
    decision = starts(story, "b", after=DELAY.delay)
    assert (story.upload.stage, story.upload.steps[1].attempts, decision.met) == (Stage.RUNNING, 1, None)


def test_a_step_left_out_after_a_delay_is_told_of_as_by_the_timer() -> None:
    story = begun(DELAY, StepPlan(name="b", max_filesize=10), "c")
    decision = starts(story, "c", after=DELAY.delay)
    assert [notice.reason for notice in decision.notices] == ["TooLarge"]
    assert [step.state for step in story.upload.steps] == ["Succeeded", "Skipped", "Running"]


def test_a_release_after_the_last_delay_is_the_one_that_we_would_have_sent() -> None:
    story = begun("a", DELAY)
    story.answers("continue")
    decision = finishes(story, "continue", after=DELAY.delay)
    assert (decision.commands, decision.notices, decision.ignored) == ((), (), None)
    assert decision.met == Mark(Kind.FINISH, story.upload.received_at, 1, 1, "continue")
    assert [step.state for step in story.upload.steps] == [StepState.SUCCEEDED] * 2
    assert (story.upload.stage, story.upload.finishes) == (Stage.AWAITING_READY, 1)


@pytest.mark.parametrize(
    ("steps", "early", "outcome"),
    [
        ((DELAY,), 1, "continue"),
        ((DELAY, "b"), 0, "continue"),
        ((DELAY,), 0, "abort"),
        ((DELAY,), 0, "delete"),
    ],
    ids=["early", "before a step", "abort", "delete"],
)
def test_any_other_outcome_cuts_the_delay_short(
    steps: tuple[str | StepPlan, ...], early: int, outcome: str
) -> None:
    story = begun(*steps)
    decision = finishes(story, outcome, after=Millis(DELAY.delay - early))
    assert [notice.reason for notice in decision.notices] == ["FinishedElsewhere"]
    assert story.upload.steps[0].reason is StepReason.FINISHED_ELSEWHERE
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, outcome)
    assert decision.met is None


@pytest.mark.parametrize(
    ("outcome", "cut"),
    [("continue", "b"), ("abort", "delay"), ("delete", "delay")],
    ids=["continue", "abort", "delete"],
)
def test_only_a_release_waits_for_the_end_of_a_delay(outcome: str, cut: str) -> None:
    """A step after it that waits for a place has published nothing, so both are possible."""
    story = begun(DELAY, "b", max_in_flight={"b": 1})
    finishes(story, outcome, after=DELAY.delay)
    names = [plan.name for plan in story.upload.plan]
    reasons = dict(zip(names, [step.reason for step in story.upload.steps], strict=True))
    assert [name for name in names if reasons[name] is StepReason.FINISHED_ELSEWHERE] == [cut]


def test_a_delay_that_another_service_starts_too_is_ours_alone() -> None:
    story = begun("delay")
    decision = decide(story.upload, story.upload.id, StartedElsewhere("delay", 60), story.now, story.config)
    assert story.upload.stage is Stage.DELAYING
    assert decision.ignored is Ignored.DUPLICATE
    assert decision.upload == story.upload
