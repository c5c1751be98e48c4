"""An upload that cannot be written while others can: when that is known, and what follows (docs/adr/0063)."""

import logging

import pytest

from tests.unit.pipeline.test_refusals import Desk
from uploadpp.core.evolve import evolve
from uploadpp.core.states import Stage
from uploadpp.kube.errors import ApiError, ContendedError, Refusal, RefusedError, UnavailableError
from uploadpp.kube.store import Stored
from uploadpp.pipeline.refusals import LATE_SECONDS, NAMED_SECONDS
from uploadpp.pipeline.tracked_upload import TrackedUpload

PAGE = UnavailableError("POST: 403 <html>blocked", answered=True)
AWAY = UnavailableError("POST: TimeoutError")
POLICY = RefusedError("422 no", Refusal.POLICY)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def over(desk: Desk, name: str = "u1") -> TrackedUpload:
    tracked = desk.tracked(name)
    tracked.upload = evolve(tracked.upload, stage=Stage.COMPLETED)
    return tracked


def fail(
    desk: Desk, tracked: TrackedUpload, error: ApiError, *, times: int = 1, verb: str = "create"
) -> None:
    """So many attempts fail, one after another."""
    for _ in range(times):
        desk.refusals._heap = [each for each in desk.refusals._heap if each[2] is not tracked]
        desk.refusals.park(tracked, verb, error)


def others_are_written(desk: Desk) -> None:
    desk.refusals.written(desk.tracked("other"), ("create", "status"))


def reason_of(tracked: TrackedUpload) -> Refusal:
    assert tracked.refused is not None
    return tracked.refused.reason


def is_alone(tracked: TrackedUpload) -> bool:
    return tracked.refused is not None and tracked.refused.is_alone


def test_an_api_server_that_answers_nobody_refuses_nobody(desk: Desk) -> None:
    others_are_written(desk)
    tracked = over(desk)
    fail(desk, tracked, PAGE, times=20)
    assert (reason_of(tracked), is_alone(tracked), desk.news) == (Refusal.UNREACHABLE, False, [])
    assert desk.refusals.in_doubt() == []


def test_one_that_fails_while_others_are_written_is_refused_alone(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    tracked = over(desk)
    fail(desk, tracked, PAGE)
    others_are_written(desk)
    fail(desk, tracked, PAGE)
    assert not is_alone(tracked), "it may have been chance"
    fail(desk, tracked, PAGE)
    assert (reason_of(tracked), is_alone(tracked)) == (Refusal.PROXY, True)
    assert desk.refusals.refused == 1
    text = desk.refusals.alone_words
    assert text == desk.refusals.words
    assert "upload u1 cannot be recorded, while others can (Proxy): POST: 403 <html>blocked" in text
    assert "web application firewall" in text
    assert [(each.reason, text in each.message) for each in desk.news] == [("UploadsNotRecorded", True)]
    assert [text in each.getMessage() for each in caplog.records] == [True]
    assert desk.refusals.in_doubt() == [tracked], "whether one of the requests was carried out"
    assert desk.refusals.disabled == ""


def test_others_that_are_written_only_before_it_say_nothing(desk: Desk) -> None:
    """An outage in which it is the first to fail."""
    others_are_written(desk)
    tracked = over(desk)
    fail(desk, tracked, POLICY, times=20)
    assert not is_alone(tracked)
    others_are_written(desk)
    assert not is_alone(tracked), "it is tried once more first"


@pytest.mark.parametrize("reason", [Refusal.QUOTA, Refusal.LIMIT, Refusal.PERMISSION])
def test_what_is_refused_to_all_is_not_refused_to_one(desk: Desk, reason: Refusal) -> None:
    tracked = over(desk)
    fail(desk, tracked, RefusedError("no", reason))
    others_are_written(desk)
    fail(desk, tracked, RefusedError("no", reason), times=5)
    assert not is_alone(tracked)


def test_a_resource_that_others_keep_changing_is_not_behind_a_proxy(desk: Desk) -> None:
    tracked = over(desk)
    fail(desk, tracked, ContendedError("u1: another client"))
    others_are_written(desk)
    fail(desk, tracked, ContendedError("u1: another client"), times=2)
    assert reason_of(tracked) is Refusal.CHANGED


def test_a_creation_without_an_answer_may_still_arrive(desk: Desk) -> None:
    """Until a minute after the end. Later attempts say themselves that the upload has ended."""
    tracked = desk.tracked()
    fail(desk, tracked, AWAY)
    others_are_written(desk)
    fail(desk, tracked, AWAY)
    fail(desk, tracked, PAGE)
    assert reason_of(tracked) is Refusal.PROXY
    tracked.upload = evolve(tracked.upload, stage=Stage.COMPLETED)
    desk.now += 10 * LATE_SECONDS
    assert desk.refusals.in_doubt() == []
    fail(desk, tracked, PAGE)
    assert desk.refusals.in_doubt() == []
    desk.now += LATE_SECONDS
    assert desk.refusals.in_doubt() == [tracked]
    tracked.maybe_made = False
    fail(desk, tracked, AWAY)
    assert tracked.is_unrecorded_end, "that one told the end"


def test_another_verb_begins_anew(desk: Desk) -> None:
    tracked = over(desk)
    fail(desk, tracked, POLICY)
    others_are_written(desk)
    fail(desk, tracked, POLICY, times=2)
    assert is_alone(tracked)
    fail(desk, tracked, POLICY, verb="status")
    assert not is_alone(tracked)


def test_ends_whose_resources_say_otherwise_are_to_be_noted(desk: Desk) -> None:
    ended, running, clean = over(desk, "ended"), desk.tracked("running"), over(desk, "clean")
    for tracked in (ended, running, clean):
        fail(desk, tracked, POLICY)
    others_are_written(desk)
    for tracked in (ended, running, clean):
        fail(desk, tracked, POLICY, times=2)
        tracked.stored = Stored("uid", "1", 1)
    clean.stored, clean.maybe_made = None, False
    assert {each.name for each in desk.refusals.unwritable()} == {"ended"}
    assert "upload running " in desk.refusals.alone_words or "upload ended " in desk.refusals.alone_words
    assert desk.refusals.alone_words.endswith("(and 2 more)")
    ended.noted = True
    assert desk.refusals.unwritable() == []


def test_very_many_make_few_events(desk: Desk) -> None:
    entries = [over(desk, f"u{number}") for number in range(5)]
    for tracked in entries:
        fail(desk, tracked, PAGE)
    others_are_written(desk)
    for tracked in entries:
        fail(desk, tracked, PAGE, times=2)
    assert len(desk.news) == 1
    desk.now += NAMED_SECONDS
    late = over(desk, "late")
    fail(desk, late, PAGE)
    others_are_written(desk)
    fail(desk, late, PAGE, times=2)
    assert len(desk.news) == 2


def test_without_any_there_is_nothing_to_say(desk: Desk) -> None:
    assert desk.refusals.alone_words == ""
