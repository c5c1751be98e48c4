"""Uploads that the storage has lost, or never answers for, end by themselves and say why."""

from collections.abc import Callable

import pytest

from uploadpp.core.commands import Kind, Notice, NoticeType
from uploadpp.core.conditions import ConditionStatus, ConditionType, conditions, describe
from uploadpp.core.inputs import Resume, Tick
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis
from uploadpp.core.rules.absence import is_doubtful
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import DesiredState, Ignored, RestartMode, Stage, StepReason, StepState
from uploadpp.testing.builders import FRESH_URL, START, UploadScenario, begun, of_kind

DAY_MS = 86_400_000


def overdue(answer: str = "continue", resends: int = 1) -> UploadScenario:
    """An upload whose PostprocessingFinished was not answered in time."""
    story = begun("a", max_finish_resends=resends)
    story.answers(answer)
    story.timer()
    return story


def without_url() -> UploadScenario:
    """An upload that the storage was asked to announce again, in vain."""
    story = UploadScenario(begun("a").config)
    story.arrives(expires_at=START)
    while story.upload.stalled_at is None:
        story.timer()
    return story


def silent() -> UploadScenario:
    """An upload whose step does not answer."""
    story = begun("a", "b")
    story.timer()
    return story


def retried(message: str = "unexpected status code from Download 404") -> UploadScenario:
    story = begun("a", "b")
    story.answers("retry", message=message)
    return story


# -- whom to ask about -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "doubtful"),
    [
        (begun("a"), False),
        (begun(), False),
        (overdue(), True),
        (overdue(resends=0), True),
        (overdue("abort"), True),
        (without_url(), True),
        (retried(), True),
        (retried("HTTP status 404"), True),
        (retried("HTTP status 410"), True),
        (retried("the download failed: ClientConnectorError"), True),
        (retried("file not found"), True),
        (retried(""), True),
        (retried("clamd is not reachable"), False),
        (begun("delay"), False),
    ],
    ids=[
        "running",
        "told the storage",
        "sent again",
        "no resend left",
        "abort is overdue",
        "no fresh URL",
        "of a scanner",
        "404",
        "410",
        "download failed",
        "not found",
        "says nothing",
        "another trouble",
        "delaying",
    ],
)
def test_the_storage_is_asked_about_what_it_may_have_lost(story: UploadScenario, doubtful: bool) -> None:  # noqa: FBT001
    assert is_doubtful(story.upload) is doubtful


def test_a_silent_step_is_a_reason_to_ask_once_it_is_reported() -> None:
    story = begun("a")
    assert not is_doubtful(story.upload)
    story.timer()
    assert (story.upload.stage, is_doubtful(story.upload)) == (Stage.RUNNING, True)


def test_a_failed_release_that_is_tried_again_is_no_sign_of_a_loss() -> None:
    story = begun()
    story.ready(failed=True)
    story.timer()
    assert story.upload.finishes == 2
    assert not is_doubtful(story.upload)


# -- what the answer leads to ------------------------------------------------------------------


def test_the_first_404_says_so_and_names_the_settings_of_both_storages() -> None:
    story = retried()
    decision = story.absent(lasting=False)
    [notice] = decision.notices
    assert (notice.type, notice.reason) == ("Warning", "UploadMissing")
    for word in ("HTTP 404", "OCIS_ASYNC_UPLOADS=true", "OC_ASYNC_UPLOADS=true"):
        assert word in notice.message
        assert word in describe(story.upload)
    assert (story.upload.stage, decision.commands) == (Stage.BACKING_OFF, ())
    before = story.upload
    again = story.absent(lasting=False)
    assert (again.ignored, again.why) == (Ignored.DUPLICATE, "the storage has said so before")
    assert story.upload == before


@pytest.mark.parametrize(
    "make", [overdue, without_url, retried, silent], ids=["unconfirmed", "no URL", "retried", "silent"]
)
def test_an_upload_that_stays_absent_ends_as_gone_and_nothing_more_is_sent(
    make: Callable[..., UploadScenario],
) -> None:
    story = make()
    before = list(story.published)
    story.absent()
    upload = story.upload
    assert (upload.stage, upload.completed_at, wake_at(upload, story.config)) == (Stage.GONE, story.now, None)
    assert upload.expires_at == story.now + story.config.ttl_failed
    summary = conditions(upload)[0]
    assert (summary.status, summary.reason) == (ConditionStatus.FALSE, "Gone")
    assert "HTTP 404" in summary.message
    assert ConditionType.STALLED not in {each.type for each in conditions(upload)}
    assert story.published == before
    assert story.absent().ignored is Ignored.UPLOAD_ENDED


LOST = "the storage does not have the upload: HTTP 404 for its download URL."
ORDERED = (
    f"{LOST} Either it has carried out PostprocessingFinished({{}}) and its UploadReady was lost, "
    "or the file, its folder or its space was deleted before that."
)
UNORDERED = (
    f"{LOST} Either the file was deleted, or asynchronous uploads are off: set OCIS_ASYNC_UPLOADS=true "
    "(ocis) or OC_ASYNC_UPLOADS=true (OpenCloud) in the storage."
)


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        (lambda: overdue("continue"), ORDERED.format("continue")),
        (lambda: overdue("delete"), ORDERED.format("delete")),
        (lambda: overdue("abort"), UNORDERED),
        (without_url, UNORDERED),
        (retried, UNORDERED),
    ],
    ids=["released", "deleted", "aborted", "no URL", "retried"],
)
def test_people_are_told_what_may_have_become_of_a_lost_upload(
    lost: Callable[[], UploadScenario], text: str
) -> None:
    """An abort keeps the bytes, so it explains nothing."""
    story = lost()
    decision = story.absent()
    assert decision.notices == (Notice(NoticeType.WARNING, "Gone", text),)
    assert story.upload.message == text


def test_the_step_that_was_cut_short_keeps_what_it_said() -> None:
    story = retried("Download 404")
    story.absent()
    step = story.upload.steps[0]
    assert (step.state, step.reason, step.message) == (StepState.SKIPPED, StepReason.GONE, "Download 404")
    assert step.finished_at == story.now
    assert story.answers("continue", step="a").ignored is Ignored.NOT_RUNNING


def test_what_was_released_before_the_answer_got_lost_is_not_called_deleted() -> None:
    story = overdue()
    story.absent()
    assert "Either it has carried out PostprocessingFinished(continue)" in describe(story.upload)


def test_who_waits_for_something_else_is_left_alone() -> None:
    story = begun("a", "b")
    story.wanted(DesiredState.SUSPENDED)
    story.answers("continue")
    for waiting in (story, begun("delay")):
        assert waiting.absent().ignored is Ignored.NO_RULE


# -- silence has an end ------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["continue", "abort", "delete"])
def test_an_upload_that_is_never_confirmed_ends_in_bounded_time(answer: str) -> None:
    story = overdue(answer)
    while story.upload.stalled_at is None:
        story.timer()
    sent = list(story.published)
    assert wake_at(story.upload, story.config) == story.upload.stalled_at + DAY_MS
    [notice] = story.timer().notices
    assert (story.upload.stage, notice.reason) == (Stage.UNANSWERED, "Unanswered")
    assert f"the storage has not confirmed PostprocessingFinished({answer})" in describe(story.upload)
    assert ("resume sends it again" in notice.message) is (answer != "abort")
    assert story.published == sent
    assert wake_at(story.upload, story.config) is None


def test_an_upload_without_a_fresh_url_ends_in_bounded_time() -> None:
    story = without_url()
    story.timer()
    assert story.upload.stage is Stage.UNANSWERED
    assert "the storage has not answered RestartPostprocessing" in describe(story.upload)
    assert story.upload.steps[0].state is StepState.SKIPPED
    assert story.upload.current_step == ""


def test_the_end_is_not_sooner_than_its_time() -> None:
    story = overdue(resends=0)
    early = decide(story.upload, story.upload.id, Tick(), Millis(story.now + DAY_MS - 1), story.config)
    assert early.ignored is Ignored.NOTHING_DUE
    story = without_url()
    early = decide(story.upload, story.upload.id, Tick(), Millis(story.now + DAY_MS - 1), story.config)
    assert early.ignored is Ignored.NOTHING_DUE


def unanswered(answer: str = "continue") -> UploadScenario:
    story = overdue(answer, resends=0)
    while story.upload.stage is not Stage.UNANSWERED:
        story.timer()
    return story


def gone(answer: str = "continue") -> UploadScenario:
    story = overdue(answer)
    story.absent()
    return story


def gone_in_step() -> UploadScenario:
    story = retried()
    story.absent()
    return story


def unanswered_in_step() -> UploadScenario:
    story = without_url()
    story.timer()
    return story


# -- what the storage says after all -----------------------------------------------------------


@pytest.mark.parametrize("make", [unanswered, gone])
def test_a_late_confirmation_counts(make: Callable[..., UploadScenario]) -> None:
    story = make()
    story.ready()
    assert story.upload.stage is Stage.COMPLETED


@pytest.mark.parametrize(("answer", "stage"), [("abort", Stage.ABORTED), ("delete", Stage.DELETED)])
def test_a_late_confirmation_of_another_outcome_counts(answer: str, stage: Stage) -> None:
    story = unanswered(answer)
    story.ready(failed=True)
    assert story.upload.stage is stage


def test_a_release_that_fails_late_is_tried_again() -> None:
    story = unanswered()
    story.ready(failed=True)
    stages = [story.upload.stage]
    assert (story.upload.completed_at, story.upload.expires_at) == (None, None)
    story.timer()
    story.ready()
    stages.append(story.upload.stage)
    assert stages == [Stage.RELEASE_BACKING_OFF, Stage.COMPLETED]


@pytest.mark.parametrize(("failed", "stage"), [(False, Stage.COMPLETED), (True, Stage.GONE)])
def test_the_storage_may_release_what_was_gone_before_any_order(failed: bool, stage: Stage) -> None:  # noqa: FBT001
    story = retried()
    story.absent()
    story.ready(failed=failed)
    assert story.upload.stage is stage


@pytest.mark.parametrize("make", [unanswered, gone, gone_in_step])
def test_an_upload_that_is_announced_again_begins_again(make: Callable[..., UploadScenario]) -> None:
    story = make()
    story.arrives(FRESH_URL)
    assert (story.upload.stage, story.upload.run) == (Stage.RUNNING, 2)


def test_after_an_abort_an_announcement_begins_nothing() -> None:
    story = unanswered("abort")
    assert story.arrives(FRESH_URL).ignored is Ignored.UPLOAD_ABORTED


# -- what people ask for -----------------------------------------------------------------------


@pytest.mark.parametrize("make", [unanswered, gone])
def test_resume_sends_the_order_again(make: Callable[..., UploadScenario]) -> None:
    story = make()
    story.resumed()
    assert (story.upload.stage, story.published[-1][:15]) == (Stage.AWAITING_READY, "finish continue")


@pytest.mark.parametrize("make", [unanswered, gone])
def test_nothing_is_sent_again_after_an_abort(make: Callable[..., UploadScenario]) -> None:
    story = make("abort")
    sent = len(of_kind(story, Kind.FINISH))
    assert story.resumed().ignored is Ignored.UPLOAD_ABORTED
    story.wanted(DesiredState.CANCELLED)
    story.restarted("t1", RestartMode.RESTART)
    assert len(of_kind(story, Kind.FINISH)) == sent


def test_a_resume_of_all_in_step_finished_reaches_what_is_unanswered_but_not_what_is_gone() -> None:
    assert unanswered().resumed("finished").ignored is None
    assert gone().resumed("finished").ignored is Ignored.OTHER_STEP


@pytest.mark.parametrize("make", [gone_in_step, unanswered_in_step])
def test_resume_begins_again_what_the_storage_was_told_nothing_about(
    make: Callable[..., UploadScenario],
) -> None:
    story = make()
    story.resumed()
    assert story.upload.run == 2


@pytest.mark.parametrize("make", [unanswered, gone, gone_in_step, unanswered_in_step])
def test_what_is_cancelled_after_its_end_is_not_resumed(make: Callable[..., UploadScenario]) -> None:
    story = make()
    sent = list(story.published)
    assert story.wanted(DesiredState.CANCELLED).commands == ()
    assert story.resumed().ignored is Ignored.UPLOAD_ENDED
    assert story.published == sent


def test_restart_runs_again_what_is_gone() -> None:
    story = gone_in_step()
    story.restarted("t1")
    assert (story.upload.stage, story.upload.run) == (Stage.RUNNING, 2)


# -- asking for an unknown upload --------------------------------------------------------------


def test_resumes_for_an_unknown_upload_within_a_second_are_one_request() -> None:
    config = begun("a").config
    first, second, later = (
        decide(None, "x", Resume(), Millis(START + each), config).commands[0].mark.event_id("x")
        for each in (0, 999, 1000)
    )
    assert first == second
    assert first != later
