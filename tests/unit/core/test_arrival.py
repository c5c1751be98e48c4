"""BytesReceived: a new upload, a duplicate, a renewed URL, or a new run."""

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.decision import Decision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import CleanUpload, FinishedElsewhere, Input, Published, SpecChanged, UploadReady
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, FileInfo, Millis, Origin, RestartRequest, StepPlan, Upload
from uploadpp.core.rules.arrival import ANNOUNCED_AGAIN, as_wanted, overrules, precedes_its_announcement
from uploadpp.core.states import DesiredState, Ignored, Outcome, RestartMode, Stage, StepState
from uploadpp.testing.builders import (
    FRESH_URL,
    RESTART_USER,
    SECOND,
    START,
    UPLOAD_ID,
    URL,
    USER,
    UploadScenario,
    arrival,
    begun,
    config_of,
    placeless,
)


def made_by_hand(story: UploadScenario, **changes: object) -> Upload:
    plain = Upload(id=UPLOAD_ID, received_at=START, since=START, plan=story.config.steps)
    return evolve(plain, **changes)


def test_an_upload_starts_with_the_first_configured_step() -> None:
    story = begun("virusscan", "policies")
    assert story.published == ["start virusscan 1"]
    upload = story.upload
    assert (upload.stage, upload.run, upload.cursor) == (Stage.RUNNING, 1, 0)
    assert (upload.received_at, upload.started_at, upload.since) == (START + 1000,) * 3
    assert (upload.file.filename, upload.origin.executing_user) == ("plan.pdf", USER)
    assert [step.state for step in upload.steps] == [StepState.RUNNING, StepState.WAITING]
    assert upload.observed_generation == 1


def test_without_steps_the_file_is_released_at_once() -> None:
    story = begun()
    assert story.published == ["finish continue 1"]
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, Outcome.CONTINUE)


def test_the_same_url_is_a_duplicate_in_every_stage() -> None:
    story = begun("a")
    for step in (lambda: None, lambda: story.answers("retry"), story.timer, lambda: story.answers("delete")):
        step()
        before = story.upload
        assert story.arrives().ignored is Ignored.DUPLICATE
        assert placeless(story.upload) == placeless(before)


def test_a_new_url_is_a_new_run_with_the_counters_at_zero() -> None:
    story = begun("a", "b")
    story.answers("continue")
    story.answers("retry")
    story.arrives(FRESH_URL)
    upload = story.upload
    assert story.published[-1] == "start a 1"
    assert (upload.run, upload.cursor, upload.retry_count, upload.outcome) == (2, 0, 0, None)
    assert upload.origin.url == FRESH_URL


def test_a_new_url_after_a_failed_release_is_a_new_run() -> None:
    story = begun("a", max_releases=0)
    story.answers("continue")
    story.ready(failed=True)
    assert story.upload.stage is Stage.UPLOAD_FAILED
    story.arrives(FRESH_URL)
    upload = story.upload
    assert (upload.stage, upload.run, upload.finishes, upload.releases) == (Stage.RUNNING, 2, 0, 0)
    assert (upload.completed_at, upload.expires_at, upload.stalled_at) == (None, None, None)


@pytest.mark.parametrize(
    ("outcome", "ready", "reason"),
    [
        ("abort", False, Ignored.UPLOAD_ABORTED),
        ("abort", True, Ignored.UPLOAD_ABORTED),
        ("delete", True, Ignored.UPLOAD_ENDED),
        ("continue", True, Ignored.UPLOAD_ENDED),
    ],
)
def test_a_new_url_does_not_bring_back_what_has_its_verdict(
    outcome: str,
    *,
    ready: bool,
    reason: Ignored,
) -> None:
    story = begun("a")
    story.answers(outcome)
    if ready:
        story.ready(failed=outcome != "continue")
    before = story.upload
    assert story.arrives(FRESH_URL).ignored is reason
    kept = before.origin.with_url_of(story.upload.origin)
    assert placeless(story.upload) == placeless(evolve(before, origin=kept))
    assert kept.url == FRESH_URL, "for whoever restarts it all the same"


def test_a_new_url_after_cleaning_is_a_new_run() -> None:
    story = begun("a")
    story.answers("abort")
    story.cleaned()
    story.arrives(FRESH_URL)
    assert (story.upload.stage, story.upload.run, story.upload.outcome) == (Stage.RUNNING, 2, None)


def test_a_new_url_does_not_start_a_cancelled_upload() -> None:
    story = begun("a")
    story.answers("continue")
    story.wanted(DesiredState.CANCELLED)
    assert story.arrives(FRESH_URL).ignored is Ignored.UPLOAD_ENDED


def test_a_new_url_for_a_suspended_upload_waits() -> None:
    story = begun("a")
    story.wanted(DesiredState.SUSPENDED)
    story.arrives(FRESH_URL)
    assert (story.upload.stage, story.upload.run) == (Stage.SUSPENDED, 2)
    assert story.published == ["start a 1"]


def test_a_resource_without_status_starts_and_learns_who_and_where() -> None:
    story = UploadScenario(config_of("a"))
    story.state = made_by_hand(story)
    story.arrives()
    assert story.published == ["start a 1"]
    assert (story.upload.origin.url, story.upload.origin.executing_user) == (URL, USER)
    assert story.upload.observed_generation == 0, "what the spec asks for is looked at after replay"


def test_a_resource_without_status_that_is_cancelled_starts_nothing() -> None:
    story = UploadScenario(config_of("a"))
    story.state = made_by_hand(story, control=Control(desired=DesiredState.CANCELLED))
    story.arrives()
    assert story.published == ["finish abort 1"]


@pytest.mark.parametrize("origin", [Origin(url=URL), Origin(executing_user=USER)])
def test_what_was_known_of_the_user_is_kept(origin: Origin) -> None:
    story = UploadScenario(config_of("a"))
    story.state = made_by_hand(story, origin=origin)
    story.arrives(FRESH_URL, user=RESTART_USER)
    assert story.upload.origin.executing_user == origin.executing_user
    assert story.upload.origin.url == FRESH_URL


def test_an_expired_url_is_renewed_before_the_step_starts() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    assert (story.upload.stage, story.upload.current_step) == (Stage.AWAITING_URL, "a")
    assert story.arrives(expires_at=START).ignored is Ignored.DUPLICATE
    story.arrives(FRESH_URL, user=RESTART_USER)
    assert story.published == ["restart a 1", "start a 1"]
    assert (story.upload.stage, story.upload.run) == (Stage.RUNNING, 1)
    assert story.upload.origin.executing_user == USER


def test_a_renewed_url_is_used_even_if_it_expires_soon() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    story.arrives(FRESH_URL, expires_at=START)
    assert story.upload.stage is Stage.RUNNING


def test_a_renewed_url_waits_while_suspended() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    story.wanted(DesiredState.SUSPENDED)
    story.arrives(FRESH_URL)
    assert (story.upload.stage, story.upload.origin.url) == (Stage.SUSPENDED, FRESH_URL)
    assert story.upload.since == story.now
    story.wanted(DesiredState.ACTIVE)
    assert story.published == ["restart a 1", "start a 1"]


def test_a_forced_restart_takes_a_new_url_again() -> None:
    story = begun("a")
    story.answers("abort")
    story.restarted("t1", RestartMode.FORCE_RESTART)
    story.arrives(FRESH_URL)
    assert story.upload.run == 3


def test_the_file_is_what_first_arrived() -> None:
    story = begun("a")
    other = evolve(arrival(FRESH_URL), file=FileInfo(filename="other"))
    story.tell(other, after=Millis(SECOND))
    assert story.upload.file.filename == "plan.pdf"


@pytest.mark.parametrize("expires_at", [None, START], ids=["running", "awaiting a fresh URL"])
def test_an_announcement_from_before_the_url_we_have_is_a_duplicate(expires_at: Millis | None) -> None:
    """The fresh URL was stored, its run not yet, when the operator was killed: all of it is read again."""
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=expires_at)
    stage = story.upload.stage
    stored = evolve(story.upload.origin, url=FRESH_URL, url_received_at=Millis(START + 1))
    story.state = evolve(story.upload, origin=stored)
    assert story.arrives('"https://storage.test/from-before"').ignored is Ignored.DUPLICATE
    assert (story.upload.stage, story.upload.origin) == (stage, stored)


def test_a_fresh_url_does_not_begin_what_a_person_has_to_decide_about() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(user=RESTART_USER)
    before = story.upload
    decision = story.arrives(FRESH_URL, user=RESTART_USER)
    assert decision.ignored is Ignored.HELD
    assert decision.why == "a person has to let the upload begin"
    kept = before.origin.with_url_of(story.upload.origin)
    assert placeless(story.upload) == placeless(evolve(before, origin=kept))
    story.resumed()
    assert (story.published, story.upload.origin.url) == (["start a 1"], FRESH_URL)


ASKED = RestartRequest(token="t1", mode=RestartMode.FORCE_RESTART)


def without_status(control: Control) -> UploadScenario:
    """A resource of ours that has lost its status, and whose upload the storage announces once more."""
    story = UploadScenario(config_of("a"))
    story.state = made_by_hand(story, control=control, lost_status=True)
    story.arrives(FRESH_URL, user=RESTART_USER)
    return story


@pytest.mark.parametrize(("restart", "token"), [(ASKED, "t1"), (None, "")], ids=["restart", "nothing"])
def test_what_the_spec_of_a_resource_without_status_asks_for_may_be_done_and_says_so(
    restart: RestartRequest | None, token: str
) -> None:
    story = without_status(Control(restart=restart, generation=3))
    assert (story.upload.stage, story.upload.since) == (Stage.HELD, story.now)
    assert story.upload.message.startswith(
        "the operator created this resource, but it has no status, as after"
    )
    assert (story.upload.observed_generation, story.upload.observed_token) == (3, token)
    said = "; its restart t1 is not carried out, because that may have been done: ask with another token; "
    unclear = f"as after a restore from a backup{said if restart else '; '}"
    assert unclear in story.upload.message
    assert unclear in story.notices[-1].message
    story.edited(story.upload.control)
    assert (story.upload.stage, story.published) == (Stage.HELD, [])


def test_a_cancelled_resource_without_status_ends_with_the_announcement() -> None:
    story = without_status(Control(desired=DesiredState.CANCELLED))
    assert (story.upload.stage, story.published) == (Stage.CANCELLED, [])
    assert story.upload.expires_at == story.now + story.config.ttl_failed


def died_before_its_status(user: str, **changes: object) -> Upload:
    """The resource was created for an announcement, and the status of what that has come to is missing."""
    story = UploadScenario(config_of("a"))
    story.arrives(user=user)
    return evolve(story.upload, stage=Stage.PENDING, run=0, steps=(), message="", lost_status=True, **changes)


def read_again(died: Upload, event: Input) -> Decision:
    """The announcement is read again."""
    return decide(died, died.id, event, died.received_at, config_of("a"))


@pytest.mark.parametrize("desired", DesiredState)
def test_announced_again_it_is_held_although_we_died_before_its_status(desired: DesiredState) -> None:
    """What is read again is the announcement by which the resource was created (seed 630010153)."""
    died = died_before_its_status(RESTART_USER, control=Control(desired=desired, generation=2))
    decision = read_again(died, arrival(user=RESTART_USER))
    assert (decision.upload.stage, decision.commands) == (Stage.HELD, ())
    assert decision.upload.message.startswith(ANNOUNCED_AGAIN)


def test_announced_first_it_begins_although_we_died_before_its_status() -> None:
    assert read_again(died_before_its_status(USER), arrival()).upload.stage is Stage.RUNNING


def test_what_was_said_before_the_announcement_counts_although_we_died_before_its_status() -> None:
    failed = evolve(arrival(), earlier=(UploadReady(failed=True),))
    decision = read_again(died_before_its_status(USER), failed)
    assert (decision.upload.stage, decision.commands) == (Stage.HELD, ())
    assert decision.upload.message.startswith("the storage reported this upload as failed")


@pytest.mark.parametrize(
    ("earlier", "stage"),
    [
        (UploadReady(failed=False), Stage.COMPLETED),
        (CleanUpload(), Stage.CLEANED),
        (FinishedElsewhere("continue", 1), Stage.AWAITING_READY),
    ],
)
def test_an_end_from_before_the_announcement_counts_although_we_died_before_its_status(
    earlier: Input, stage: Stage
) -> None:
    decision = read_again(died_before_its_status(USER), evolve(arrival(), earlier=(earlier,)))
    assert (decision.upload.stage, decision.commands) == (stage, ())


@pytest.mark.parametrize(
    ("changes", "later", "precedes"),
    [
        ({}, -1, True),
        ({}, 0, True),
        ({}, 1, False),
        ({"stage": Stage.HELD}, 0, False),
        ({"lost_status": False}, 0, False),
    ],
    ids=["before it", "the announcement", "after it", "with a status", "of a person"],
)
def test_what_came_before_the_announcement_says_nothing_of_an_upload_without_status(
    changes: dict[str, object], later: int, *, precedes: bool
) -> None:
    died = evolve(died_before_its_status(USER), **changes)
    assert precedes_its_announcement(died, Millis(died.received_at + later)) is precedes


@pytest.mark.parametrize(
    ("desired", "stage"),
    [
        (DesiredState.ACTIVE, Stage.RUNNING),
        (DesiredState.SUSPENDED, Stage.SUSPENDED),
        (DesiredState.CANCELLED, Stage.AWAITING_READY),
    ],
)
def test_what_an_overruled_resource_asks_for_counts_at_once(desired: DesiredState, stage: Stage) -> None:
    story = UploadScenario(config_of("a"))
    asked = Control(desired=desired, restart=ASKED, generation=5)
    story.tell(as_wanted(arrival(), made_by_hand(story, control=asked)))
    assert story.upload.stage is stage
    assert story.upload.control == Control(desired=desired), "a restart is looked at later"


def test_no_other_event_takes_over_what_an_overruled_resource_asks_for() -> None:
    release = UploadReady(failed=False)
    assert as_wanted(release, made_by_hand(UploadScenario(config_of("a")))) is release


def ahead(*, announced: bool = False) -> UploadScenario:
    """A resource that somebody has made before the storage announced the upload, or after it did."""
    story = UploadScenario(config_of("a"))
    story.state = made_by_hand(story, origin=Origin(by_hand=not announced))
    story.edited(Control())
    return story


@pytest.mark.parametrize(
    ("event", "announced", "counts"),
    [
        (arrival(), False, True),
        (arrival(), True, False),
        (arrival(user=RESTART_USER), False, False),
        (arrival(user=RESTART_USER), True, False),
        (UploadReady(failed=False), False, False),
        (SpecChanged(Control()), False, False),
    ],
    ids=["announcement", "announced", "answer", "answer of announced", "release", "edit"],
)
def test_only_an_announcement_overrules_a_resource_made_ahead_of_it(
    event: Input, *, announced: bool, counts: bool
) -> None:
    assert overrules(ahead(announced=announced).upload, event) is counts


def test_the_answer_to_our_question_is_not_the_announcement() -> None:
    """It brings all that is known of the upload, which the storage has still not announced."""
    story = ahead()
    assert story.published == ["restart a 1"]
    story.arrives(user=RESTART_USER)
    assert (story.upload.stage, story.upload.origin.filename) == (Stage.RUNNING, '"plan.pdf"')
    assert overrules(story.upload, arrival())


def test_a_step_that_nothing_proves_over_comes_before_the_release_when_the_storage_has_answered() -> None:
    """An earlier process had asked at the end of all steps; what they had answered is not in the log."""
    story = UploadScenario(config_of(StepPlan(name="delay", delay=Millis(60_000)), "b"))
    story.state = made_by_hand(story, origin=Origin(by_hand=True))
    story.edited(Control())
    mark = Mark(Kind.RESTART, story.upload.received_at, story.upload.run, 1, "finished")
    story.tell(Published(mark, story.sequence + 1))
    assert (story.upload.stage, story.upload.current_step) == (Stage.AWAITING_URL, "finished")
    story.arrives(user=RESTART_USER)
    assert (story.upload.stage, story.published[-1]) == (Stage.DELAYING, "start delay 2")
