"""An upload that arrives when a policy has something to say about it, and what it keeps of that."""

from dataclasses import replace

import pytest

from uploadpp.api.codec import ALL_SHOWN, from_resource, to_resource
from uploadpp.core.commands import Kind, Mark, Notice, NoticeType
from uploadpp.core.conditions import describe
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import CleanUpload, FinishedElsewhere, Input, Published, UploadReady
from uploadpp.core.model import MAX_MESSAGE, Control, Millis, Origin, PolicyRef, StepPlan, Upload
from uploadpp.core.plan_text import Planned
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.rules.arrival import ANNOUNCED_AGAIN, RESTORED, chosen
from uploadpp.core.rules.earlier import REPORTED_FAILED
from uploadpp.core.states import CancelPolicy, DesiredState, Ignored, Outcome, RestartMode, Stage
from uploadpp.testing.builders import (
    FRESH_URL,
    RESTART_USER,
    START,
    UPLOAD_ID,
    UploadScenario,
    arrival,
    by_hand,
    config_of,
)

REF = PolicyRef("default", 3, "videos")
OTHER = PolicyRef("other", 1, "all")
STEPS = (StepPlan(name="deep-scan"), StepPlan(name="sign"))
RUN = Choice(ref=REF, plan=STEPS, priority_class="bulk")
SKIP = Choice(ref=REF, action=PolicyAction.SKIP, plan=STEPS)
HOLD = Choice(ref=REF, action=PolicyAction.HOLD, plan=STEPS, priority_class="bulk", message="too odd")
CONFIG = config_of("a", "b")


def arrived(choice: Choice | None, config: Config = CONFIG, **changes: object) -> UploadScenario:
    """An upload that has just arrived, of which the policies say this."""
    story = UploadScenario(config)
    story.tell(evolve(arrival(), choice=choice, **changes))
    return story


def names(upload: Upload) -> list[str]:
    return [step.name for step in upload.plan]


# -- what a rule does --------------------------------------------------------------------------


def test_a_rule_says_the_steps() -> None:
    story = arrived(RUN)
    assert story.published == ["start deep-scan 1"]
    assert (story.upload.plan, story.upload.policy) == (STEPS, REF)
    assert (story.upload.priority_class, story.upload.policy_holds) == ("bulk", False)


def test_a_rule_without_steps_takes_the_configured_ones() -> None:
    upload = arrived(replace(RUN, plan=None)).upload
    assert (upload.plan, upload.policy, upload.current_step) == (CONFIG.steps, REF, "a")


def test_without_a_rule_nothing_is_told_of_a_policy() -> None:
    upload = arrived(None).upload
    assert (upload.plan, upload.policy) == (CONFIG.steps, None)
    assert (upload.priority_class, upload.policy_holds) == ("", False)


def test_skip_releases_the_file_at_once_whatever_steps_there_are() -> None:
    story = arrived(SKIP)
    assert (story.published, story.upload.plan) == (["finish continue 1"], ())
    story.ready()
    assert (story.upload.stage, story.upload.policy) == (Stage.COMPLETED, REF)
    assert (
        describe(story.upload) == "rule videos of policy default runs no steps; the storage released the file"
    )


def test_an_end_tells_of_the_rule_only_where_it_left_the_steps_out() -> None:
    for story in (arrived(RUN), arrived(None, config_of())):
        while story.upload.stage is Stage.RUNNING:
            story.answers("continue")
        story.ready()
        assert describe(story.upload) == "all steps passed; the storage released the file"


def test_hold_begins_nothing_and_says_why_and_what_would_run() -> None:
    story = arrived(HOLD)
    upload = story.upload
    assert (story.published, upload.stage, upload.run, upload.steps) == ([], Stage.HELD, 0, ())
    assert (upload.policy, upload.priority_class, upload.policy_holds) == (REF, "bulk", True)
    assert upload.message == (
        "too odd; resume, restart or cancel the upload; cancel tells the storage to abort or delete it; "
        "resume and restart run deep-scan, sign"
    )
    assert story.notices == [Notice(NoticeType.WARNING, "Held", upload.message)]
    assert describe(upload) == f"not begun; {upload.message}"


def test_what_was_cleaned_before_a_person_decided_is_held_again_when_it_is_announced_again() -> None:
    story = arrived(replace(HOLD, message=""))
    first = story.upload
    story.cleaned()
    assert story.upload.stage is Stage.CLEANED
    story.tell(evolve(arrival(FRESH_URL), choice=None))
    upload = story.upload
    assert (story.published, upload.stage, upload.run, upload.message) == ([], Stage.HELD, 0, first.message)
    assert (upload.policy_holds, upload.completed_at, upload.expires_at) == (True, None, None)
    assert upload.since == story.now
    story.resumed()
    assert story.published == ["start deep-scan 1"]


def test_what_has_begun_by_a_rule_begins_again_when_it_was_cleaned() -> None:
    story = arrived(RUN)
    story.cleaned()
    story.tell(evolve(arrival(FRESH_URL), choice=None))
    assert story.published == ["start deep-scan 1", "start deep-scan 1"]


def test_hold_without_a_reason_names_the_rule() -> None:
    message = arrived(replace(HOLD, message="")).upload.message
    assert message.startswith("rule videos of policy default holds the upload until a person decides; ")


def test_hold_without_steps_says_that_the_file_would_be_released() -> None:
    upload = arrived(replace(HOLD, plan=())).upload
    assert upload.message.endswith("; resume and restart run no steps: the file is released at once")


def test_a_reason_of_any_length_leaves_room_for_the_way_out() -> None:
    plan = tuple(StepPlan(name=f"{'x' * 60}-{number}") for number in range(32))
    message = arrived(replace(HOLD, message="y" * 600, plan=plan)).upload.message
    assert len(message) == MAX_MESSAGE
    assert message.startswith("y" * 512 + "; resume, restart or cancel the upload; ")


# -- who lets it go ----------------------------------------------------------------------------


def test_a_resume_lets_it_run_the_steps_of_the_rule() -> None:
    story = arrived(HOLD)
    story.resumed()
    assert (story.published, story.upload.run) == (["start deep-scan 1"], 1)
    assert (story.upload.policy, story.upload.policy_holds, story.upload.message) == (REF, False, "")
    story.answers("continue")
    story.answers("continue")
    assert story.published[-1] == "finish continue 1"


@pytest.mark.parametrize("mode", [RestartMode.RESUME, RestartMode.RESTART, RestartMode.FORCE_RESTART])
def test_a_request_in_the_spec_lets_it_run(mode: RestartMode) -> None:
    story = arrived(HOLD)
    story.restarted("t", mode)
    assert (story.published, story.upload.policy_holds) == (["start deep-scan 1"], False)


@pytest.mark.parametrize("policy", CancelPolicy)
def test_cancel_tells_the_storage_which_waits_for_it(policy: CancelPolicy) -> None:
    story = arrived(HOLD)
    story.wanted(DesiredState.CANCELLED, policy)
    outcome = Outcome(policy.lower())
    assert (story.published, story.upload.outcome) == ([f"finish {outcome} 1"], outcome)
    assert (story.upload.stage, story.upload.policy_holds) == (Stage.AWAITING_READY, False)
    story.ready(failed=True)
    assert story.upload.stage is Stage.CANCELLED


def test_what_may_have_ended_is_cancelled_without_a_word() -> None:
    """Although a policy has chosen its steps."""
    story = UploadScenario(CONFIG)
    story.tell(evolve(arrival(user=RESTART_USER), choice=RUN))
    story.wanted(DesiredState.CANCELLED)
    assert (story.published, story.upload.stage) == ([], Stage.CANCELLED)


def test_an_edit_that_asks_for_nothing_lets_nothing_go() -> None:
    story = arrived(HOLD)
    story.wanted(DesiredState.SUSPENDED)
    story.wanted(DesiredState.ACTIVE)
    assert (story.published, story.upload.stage, story.upload.policy_holds) == ([], Stage.HELD, True)


@pytest.mark.parametrize("user", [RESTART_USER, "{}"])
def test_another_announcement_lets_nothing_go(user: str) -> None:
    story = arrived(HOLD)
    decision = story.tell(evolve(arrival(FRESH_URL, user=user), choice=RUN))
    assert decision.ignored is Ignored.HELD
    assert decision.why == "a person has to let the upload begin"
    assert (story.published, story.upload.policy_holds, story.upload.plan) == ([], True, STEPS)


def test_the_storage_may_end_it() -> None:
    story = arrived(HOLD)
    story.cleaned()
    assert (story.upload.stage, story.upload.policy_holds) == (Stage.CLEANED, False)


# -- once chosen, for good ---------------------------------------------------------------------


@pytest.mark.parametrize("choice", [RUN, HOLD, SKIP, None])
def test_a_later_announcement_asks_no_policy(choice: Choice | None) -> None:
    story = arrived(RUN)
    story.answers("continue")
    story.tell(evolve(arrival(FRESH_URL), choice=choice and replace(choice, ref=OTHER, plan=())))
    assert (story.upload.plan, story.upload.policy, story.upload.run) == (STEPS, REF, 2)
    assert story.published[-1] == "start deep-scan 1"


@pytest.mark.parametrize("choice", [RUN, HOLD, SKIP])
def test_announced_again_it_is_held_whatever_a_policy_says(choice: Choice) -> None:
    """Its history is unknown: it may have been aborted, and then a release would lose its bytes."""
    story = UploadScenario(CONFIG)
    story.tell(evolve(arrival(user=RESTART_USER), choice=choice))
    assert (story.published, story.upload.stage, story.upload.run) == ([], Stage.HELD, 0)
    assert story.upload.message.startswith(ANNOUNCED_AGAIN)
    assert (story.upload.policy, story.upload.policy_holds) == (REF, False)


@pytest.mark.parametrize(
    ("earlier", "stage"),
    [
        (UploadReady(failed=False), Stage.COMPLETED),
        (UploadReady(failed=True), Stage.HELD),
        (CleanUpload(), Stage.CLEANED),
        (FinishedElsewhere("continue", 1), Stage.AWAITING_READY),
    ],
)
@pytest.mark.parametrize("choice", [RUN, HOLD, SKIP])
def test_what_was_said_before_the_announcement_counts_as_ever(
    earlier: Input, stage: Stage, choice: Choice
) -> None:
    story = arrived(choice, earlier=(earlier,))
    assert (story.published, story.upload.stage, story.upload.policy) == ([], stage, REF)
    assert not story.upload.policy_holds
    if stage is Stage.HELD:
        assert story.upload.message.startswith(REPORTED_FAILED)


# -- a resource that is there before -----------------------------------------------------------


def pending(**changes: object) -> UploadScenario:
    """A resource without a status."""
    story = by_hand(url=FRESH_URL)
    story.state = evolve(story.upload, **changes)
    return story


def test_a_resource_without_steps_takes_the_choice() -> None:
    story = pending()
    story.tell(evolve(arrival(), choice=RUN))
    assert (story.upload.plan, story.upload.policy) == (STEPS, REF)
    assert (story.published, story.upload.priority_class) == (["start deep-scan 1"], "bulk")
    story = pending(plan=())
    story.tell(evolve(arrival(), choice=replace(RUN, plan=None)))
    assert story.upload.plan == story.config.steps, "the rule names no steps"


def test_a_resource_without_steps_may_be_held_or_skipped() -> None:
    story = pending()
    story.tell(evolve(arrival(), choice=HOLD))
    assert (story.upload.stage, story.upload.policy_holds, story.upload.plan) == (Stage.HELD, True, STEPS)
    story = pending()
    story.tell(evolve(arrival(), choice=SKIP))
    assert (story.published, story.upload.plan) == (["finish continue 1"], ())


@pytest.mark.parametrize("choice", [RUN, HOLD, SKIP])
def test_a_resource_with_steps_keeps_them(choice: Choice) -> None:
    story = pending(plan_fixed=True)
    story.tell(evolve(arrival(), choice=choice))
    assert (names(story.upload), story.upload.policy) == (["a", "b"], None)
    assert (story.published, story.upload.priority_class) == (["start a 1"], "")


def test_a_cancelled_resource_is_cancelled_and_not_held() -> None:
    story = pending(control=Control(desired=DesiredState.CANCELLED))
    story.tell(evolve(arrival(), choice=HOLD))
    assert story.published == ["finish abort 1"]


def killed_before_the_status(choice: Choice = HOLD, moved: int = 0) -> UploadScenario:
    """The operator had made the resource, and was killed before it wrote the status."""
    made = arrived(choice).upload
    resource = to_resource(made, namespace="uploads", shown=ALL_SHOWN, sealed="sealed")
    read = from_resource(resource, config_of("other"), arrival().origin)
    assert read.lost_status
    return UploadScenario(CONFIG, evolve(read, received_at=Millis(read.received_at - moved)))


@pytest.mark.parametrize("choice", [None, HOLD, SKIP, replace(RUN, ref=OTHER)])
def test_what_the_resource_tells_counts_whatever_the_policies_say_now(choice: Choice | None) -> None:
    story = killed_before_the_status()
    story.tell(evolve(arrival(), choice=choice))
    first = arrived(HOLD)
    assert story.upload == evolve(first.upload, plan_fixed=True, observed_generation=0)
    assert story.notices == first.notices
    assert story.published == []


@pytest.mark.parametrize("choice", [None, HOLD, SKIP, replace(RUN, ref=OTHER)])
def test_the_rule_that_the_resource_tells_counts_whatever_the_policies_say_now(choice: Choice | None) -> None:
    story = killed_before_the_status(RUN)
    story.tell(evolve(arrival(), choice=choice))
    assert (story.published, story.upload.policy_holds) == (["start deep-scan 1"], False)
    assert (story.upload.policy, story.upload.priority_class) == (REF, "bulk")


def test_restored_without_a_status_it_may_have_ended_long_ago() -> None:
    """It says nothing of what a policy once wanted a person to decide: that may be done."""
    story = killed_before_the_status(moved=1)
    story.tell(evolve(arrival(), choice=HOLD))
    assert (story.upload.stage, story.upload.policy_holds) == (Stage.HELD, False)
    assert story.upload.message.startswith(RESTORED)
    story.wanted(DesiredState.CANCELLED)
    assert story.published == []


# -- what the log tells ------------------------------------------------------------------------


def told(story: UploadScenario, kind: Kind, detail: str, planned: Planned) -> Upload:
    """The upload after an own event that another owner has published."""
    mark = Mark(kind, story.upload.received_at, 1, 1, detail)
    story.tell(Published(mark, story.sequence + 1, planned))
    return story.upload


def read_again(choice: Choice | None) -> UploadScenario:
    """The announcement, as an owner reads it again that has these policies."""
    story = UploadScenario(CONFIG)
    story.reads_own_events = False
    story.tell(evolve(arrival(), choice=choice))
    return story


@pytest.mark.parametrize("choice", [None, RUN, HOLD, SKIP, replace(HOLD, ref=OTHER, plan=None)])
def test_the_rule_that_an_event_tells_counts(choice: Choice | None) -> None:
    story = read_again(choice)
    upload = told(story, Kind.START, "x", Planned((StepPlan(name="x"),), 0, OTHER, "urgent"))
    assert (names(upload), upload.plan_fixed, upload.run) == (["x"], True, 1)
    assert (upload.policy, upload.priority_class, upload.policy_holds) == (OTHER, "urgent", False)
    assert (upload.stage, upload.step.attempts) == (Stage.RUNNING, 1)


@pytest.mark.parametrize("choice", [None, RUN, HOLD])
def test_a_release_without_steps_counts(choice: Choice | None) -> None:
    upload = told(read_again(choice), Kind.FINISH, "continue", Planned((), 0, OTHER))
    assert (upload.stage, upload.finishes, upload.plan) == (Stage.AWAITING_READY, 1, ())
    assert (upload.policy, upload.policy_holds) == (OTHER, False)


@pytest.mark.parametrize("choice", [RUN, HOLD])
def test_the_same_steps_may_be_those_of_another_rule(choice: Choice) -> None:
    upload = told(read_again(choice), Kind.START, "deep-scan", Planned(STEPS, 0, OTHER, "urgent"))
    assert (upload.plan, upload.policy, upload.priority_class) == (STEPS, OTHER, "urgent")
    assert (upload.stage, upload.plan_fixed) == (Stage.RUNNING, True)


@pytest.mark.parametrize("choice", [replace(RUN, plan=None), replace(HOLD, plan=None), RUN])
def test_an_event_without_a_rule_tells_that_there_was_none(choice: Choice) -> None:
    upload = told(read_again(choice), Kind.START, "a", Planned(CONFIG.steps))
    assert (upload.plan, upload.policy, upload.priority_class) == (CONFIG.steps, None, "")


def test_an_event_without_a_plan_tells_nothing_of_a_rule() -> None:
    story = read_again(RUN)
    story.tell(Published(story.commands[0].mark, story.sequence + 1))
    assert (story.upload.policy, story.upload.plan_fixed) == (REF, False)


def test_what_is_recorded_counts_before_what_another_owner_says() -> None:
    """It had read the announcement at the same time, with other policies."""
    story = arrived(RUN)
    assert story.upload.plan_fixed
    mark = Mark(Kind.START, story.upload.received_at, 1, 2, "deep-scan")
    for planned in (Planned(STEPS, 0, OTHER, "urgent"), Planned((StepPlan(name="x"),), 0, OTHER)):
        story.tell(Published(mark, story.sequence + 1, planned))
        assert (story.upload.policy, story.upload.priority_class) == (REF, "bulk")
        assert story.upload.plan == STEPS


# -- the pieces --------------------------------------------------------------------------------


def test_a_choice_changes_the_plan_and_what_tells_of_it() -> None:
    bare = Upload(id=UPLOAD_ID, received_at=START, origin=Origin())
    assert chosen(bare, HOLD, CONFIG) == evolve(bare, plan=STEPS, policy=REF, priority_class="bulk")


def test_the_words_of_actions_are_those_of_the_resource() -> None:
    assert [str(action) for action in PolicyAction] == ["Run", "Skip", "Hold"]
    assert Choice(ref=REF) == Choice(
        ref=REF, action=PolicyAction.RUN, plan=None, priority_class="", message=""
    )
