"""What is decided during replay and never goes out does not count."""

import pytest

from uploadpp.core.commands import Command, Finish, Kind, Mark, RequestRestart, RetryNotice, StartStep
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, Upload
from uploadpp.core.replay import Held, recount, resolve
from uploadpp.core.states import Outcome, Stage
from uploadpp.testing.builders import FRESH_URL, START, UploadScenario, begun, by_hand, config_of

ARRIVED = begun().upload.received_at


def mark(kind: Kind, number: int, detail: str, run: int = 1) -> Mark:
    return Mark(kind, ARRIVED, run, number, detail)


def starts(*numbers: int, run: int = 1) -> list[Mark]:
    return [mark(Kind.START, number, "a", run) for number in numbers]


def held(upload: Upload, *commands: Command) -> list[Held]:
    """Commands that were decided by the present plan of the upload."""
    return [Held(command, upload.plan) for command in commands]


def resumed(times: int) -> UploadScenario:
    story = begun("a", "b")
    for _ in range(times):
        story.resumed()
    return story


def test_a_start_that_another_has_replaced_is_taken_back() -> None:
    upload = resumed(2).upload
    assert upload.step.attempts == 3
    counted, commands = resolve(upload, held(upload, *map(StartStep, starts(1, 2, 3))))
    assert counted == recount(upload, starts(1, 2), starts(3))
    assert (counted.step.attempts, counted.step.started_at) == (1, upload.step.started_at)
    assert commands == [None, None, StartStep(starts(1)[0])]


def test_without_a_dropped_command_nothing_is_recounted() -> None:
    upload = resumed(0).upload
    unpublished = evolve(upload, log=evolve(upload.log, start=None))
    start = StartStep(starts(1)[0])
    assert resolve(unpublished, held(upload, start)) == (unpublished, [start])
    assert resolve(unpublished, []) == (unpublished, [])


def test_what_is_in_the_log_still_counts() -> None:
    upload = resumed(2).upload
    assert recount(upload, starts(2), starts(3)).step.attempts == 2


@pytest.mark.parametrize("dropped", [starts(1), starts(2), starts(3, run=2), [mark(Kind.START, 1, "c")]])
def test_below_what_is_in_the_log_nothing_is_taken_back(dropped: list[Mark]) -> None:
    """Its number would be used a second time."""
    upload = resumed(2).upload
    assert recount(upload, dropped, []) == upload


def test_a_step_that_never_started_has_no_start() -> None:
    story = begun("a")
    story.cleaned()
    step = recount(story.upload, starts(1), []).steps[0]
    assert (step.attempts, step.started_at) == (0, None)


def test_the_storage_was_told_as_often_as_it_was() -> None:
    story = begun()
    story.resumed()
    finishes = [mark(Kind.FINISH, number, "continue") for number in (1, 2)]
    upload = evolve(story.upload, log=evolve(story.upload.log, start=None))
    orders = [Finish(each, Outcome.CONTINUE) for each in finishes]
    counted, commands = resolve(upload, held(upload, *orders))
    assert (counted.finishes, commands) == (1, [None, orders[0]])


def test_what_the_storage_was_told_counts_even_if_it_did_something_else() -> None:
    """`delete` is in the log, `continue` was decided in the replay, and the storage has released the file."""
    story = begun("a")
    story.answers("delete")
    story.ready(failed=False)
    assert (story.upload.stage, story.upload.outcome) == (Stage.COMPLETED, Outcome.CONTINUE)
    assert recount(story.upload, [mark(Kind.FINISH, 1, "continue")], []) == story.upload


@pytest.mark.parametrize("word", ["abort", "delete"])
def test_an_order_that_never_went_out_does_not_count_once_the_storage_has_released_the_file(
    word: str,
) -> None:
    story = UploadScenario(config_of("a"))
    story.reads_own_events = False
    story.arrives()
    story.state = evolve(story.upload, log=evolve(story.upload.log, start=2))
    story.answers(word)
    story.ready(failed=False)
    assert (story.upload.stage, story.upload.finishes) == (Stage.COMPLETED, 1)
    assert recount(story.upload, [mark(Kind.FINISH, 1, word)], []).finishes == 0


def test_an_outcome_that_the_log_has_overruled_takes_nothing_back() -> None:
    """Both are number 1: the one in the log is the one that counts."""
    story = begun("a")
    story.answers("abort")
    assert recount(story.upload, [mark(Kind.FINISH, 1, "continue")], []) == story.upload


def test_requests_for_a_url_are_counted_alike() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=Millis(START))
    story.resumed()
    assert (story.upload.stage, story.upload.url_requests) == (Stage.AWAITING_URL, 2)
    requests = [mark(Kind.RESTART, number, "a") for number in (1, 2)]
    assert recount(story.upload, requests[:1], requests[1:]).url_requests == 1


def test_requests_for_a_url_are_counted_whatever_the_step() -> None:
    story = UploadScenario(config_of("a", "b"))
    story.arrives(expires_at=START)
    story.arrives(FRESH_URL, expires_at=START)
    story.answers("continue")
    assert story.published == ["restart a 1", "start a 1", "restart b 2"]
    of_a, of_b = mark(Kind.RESTART, 1, "a"), mark(Kind.RESTART, 2, "b")
    assert recount(story.upload, [of_a], [of_b]).url_requests == 1
    assert recount(story.upload, [of_a, of_b], []).url_requests == 0


def test_what_belongs_to_an_earlier_upload_of_the_id_takes_nothing_back() -> None:
    upload = by_hand().upload
    assert recount(upload, starts(1), starts(2)) == upload


def test_a_notice_has_no_counter() -> None:
    upload = resumed(0).upload
    notice = RetryNotice(mark(Kind.RETRY, 2, "a"), 1, Millis(1))
    assert recount(upload, [notice.mark], []) == upload
    dropped = StartStep(mark(Kind.START, 1, "b"))
    assert resolve(upload, held(upload, notice, dropped))[1] == [notice, None]


@pytest.mark.parametrize(("kept", "start"), [([], 0), (starts(2), None)])
def test_what_is_taken_back_is_not_waited_for(kept: list[Mark], start: int | None) -> None:
    """The order that the log shows already is nothing new to the state that is stored."""
    upload = resumed(1).upload
    unpublished = evolve(upload, log=evolve(upload.log, start=None))
    assert recount(unpublished, starts(1), kept).log.start == start


@pytest.mark.parametrize(("steps", "left"), [("ab", 0), ("ba", 1)])
def test_requests_for_a_url_by_another_plan_are_not_in_the_counter(steps: str, left: int) -> None:
    story = UploadScenario(config_of("a", "b"))
    story.arrives(expires_at=Millis(START))
    story.cleaned()
    assert story.upload.url_requests == 1
    request = Held(RequestRestart(mark(Kind.RESTART, 1, "a")), config_of(*steps).steps)
    counted, commands = resolve(story.upload, [request])
    assert (counted.url_requests, commands) == (left, [None])


def test_a_start_by_another_plan_is_in_the_counter() -> None:
    story = begun("a", "b")
    story.cleaned()
    start = Held(StartStep(mark(Kind.START, 1, "a")), config_of("b", "a").steps)
    assert resolve(story.upload, [start])[0].steps[0].attempts == 0
