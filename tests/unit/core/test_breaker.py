"""When the breaker of a step opens, what of that an upload keeps, and when the next probe may start."""

import pytest

from uploadpp.core.breaker import LONGEST_PAUSE, Breaker, given_back, is_good_answer, noted
from uploadpp.core.model import Millis, StepStatus, Streak
from uploadpp.core.states import StepReason, StepState
from uploadpp.testing.builders import START

SHORTEST = Millis(5_000)


def at(seconds: int) -> Millis:
    """So many seconds after the beginning."""
    return Millis(START + seconds * 1_000)


def failed(breaker: Breaker, seconds: int, own: Streak | None = None) -> Breaker:
    """The breaker after the failure of an upload."""
    return breaker.seen(breaker.failure(own, at(seconds)))


def test_it_opens_when_so_many_uploads_have_failed_in_a_row() -> None:
    breaker = Breaker(3)
    seen = []
    for second in range(3):
        breaker = failed(breaker, second)
        seen.append(breaker.is_open)
    assert seen == [False, False, True]
    assert breaker.streak == Streak(at(0), at(2), 3, at(2))


def test_with_one_it_opens_at_once() -> None:
    assert failed(Breaker(1), 0).streak == Streak(at(0), at(0), 1, at(0))


def test_two_uploads_may_fail_at_the_same_moment() -> None:
    assert failed(failed(Breaker(2), 0), 0).streak == Streak(at(0), at(0), 2, at(0))
    assert failed(failed(failed(Breaker(9), 0), 1), 1).streak == Streak(at(0), at(1), 3)


def test_an_upload_that_fails_again_is_counted_once() -> None:
    breaker = failed(Breaker(2), 0)
    for second in range(1, 5):
        breaker = failed(breaker, second, breaker.streak)
    assert (breaker.is_open, breaker.streak) == (False, Streak(at(0), at(4), 1))


def test_a_failure_in_an_earlier_streak_is_another_one() -> None:
    breaker = failed(Breaker(2), 5)
    assert failed(breaker, 6, Streak(at(0), at(1), 1)).is_open


def test_a_good_answer_ends_the_streak() -> None:
    breaker = failed(failed(Breaker(3), 0), 1).well(at(2))
    assert (breaker.streak, breaker.is_open) == (None, False)
    assert failed(failed(breaker, 3), 4).streak == Streak(at(3), at(4), 2)
    assert failed(Breaker(3), 2).well(at(2)).streak is None, "a failure at the same moment counts as earlier"


def test_it_stays_open_until_then_and_says_since_when() -> None:
    breaker = failed(failed(failed(Breaker(2), 0), 1), 9)
    assert breaker.streak == Streak(at(0), at(9), 3, at(1))
    assert not breaker.well(at(10)).is_open


def test_what_is_older_than_a_good_answer_means_nothing() -> None:
    breaker = Breaker(1).well(at(5))
    assert breaker.seen(Streak(at(0), at(5), 1, at(0))) is breaker
    assert breaker.seen(Streak(at(6), at(6), 1, at(6))).is_open


def test_the_newest_failure_tells_the_streak() -> None:
    newest = Streak(at(0), at(9), 4, at(3), 2)
    breaker = Breaker(3).seen(newest)
    assert breaker.streak == Streak(at(0), at(9), 4, at(3)), (
        "how many retries it took concerns the upload only"
    )
    for older in (Streak(at(0), at(8), 5), newest, Streak(at(0), at(9), 3)):
        assert breaker.seen(older) is breaker
    assert breaker.seen(Streak(at(0), at(9), 5, at(3))).streak == Streak(at(0), at(9), 5, at(3))


def test_a_replay_reads_failures_that_resources_know_already() -> None:
    """The state of a resource is ahead: what is read again is part of its streak, or of one before."""
    breaker = Breaker(3).seen(Streak(at(4), at(9), 3, at(9), 1))
    assert breaker.failure(None, at(5)) == Streak(at(4), at(5), 3, at(9))
    assert breaker.failure(None, at(3)) == Streak(at(3), at(3), 1)
    assert Breaker(1).seen(Streak(at(4), at(4), 1, at(4))).failure(None, at(3)).opened_at == at(3)


def test_a_good_answer_that_a_replay_reads_again_ends_nothing_later() -> None:
    breaker = Breaker(1).seen(Streak(at(4), at(4), 1, at(4)))
    assert breaker.well(at(3)).is_open
    assert breaker.well(at(4)).well(at(2)).well_at == at(4)


@pytest.mark.parametrize(
    ("last", "pause"), [(0, 5), (3, 5), (8, 8), (100, 100), (299, 299), (301, 300), (9_999, 300)]
)
def test_pauses_double_up_to_a_bound(last: int, pause: int) -> None:
    assert Breaker(1, Streak(at(0), at(last), 1, at(0))).pause(SHORTEST) == pause * 1_000


def test_a_pause_is_no_shorter_than_the_back_off_of_the_step() -> None:
    long = Millis(2 * LONGEST_PAUSE)
    assert Breaker(1, Streak(at(0), at(9_999), 1, at(0))).pause(long) == long


def test_a_closed_breaker_delays_nothing() -> None:
    assert Breaker(1).pause(SHORTEST) == 0
    assert failed(Breaker(2), 0).pause(SHORTEST) == 0


def test_what_happens_now_is_after_all_that_is_known() -> None:
    assert Breaker(1).after_all(at(3)) == at(3)
    assert failed(Breaker(1), 5).after_all(at(3)) == at(5)
    assert failed(Breaker(1), 5).after_all(at(6)) == at(6)
    assert Breaker(1).well(at(5)).after_all(at(3)) == at(5) + 1


def test_an_upload_keeps_how_many_retries_the_streak_has_taken() -> None:
    streak = Streak(at(0), at(5), 2)
    first = noted(StepStatus(), streak, counts=True)
    assert first is not None
    assert first.counted == 1
    again = noted(StepStatus(streak=first), streak, counts=True)
    silent = noted(StepStatus(streak=first), streak, counts=False)
    another = noted(StepStatus(streak=first), Streak(at(1), at(5), 1), counts=True)
    assert [each and each.counted for each in (again, silent, another)] == [2, 1, 1]
    assert noted(StepStatus(streak=first), None, counts=True) is None


def test_retries_are_given_back_once() -> None:
    step = StepStatus(retries=5, streak=Streak(at(0), at(5), 2, at(5), 2))
    back = given_back(step)
    assert (back.retries, back.streak) == (3, Streak(at(0), at(5), 2, at(5)))
    assert given_back(back) is back
    assert given_back(StepStatus(retries=2)).retries == 2
    assert given_back(step._replace(retries=1)).retries == 0


def test_only_an_answer_is_a_good_one() -> None:
    assert is_good_answer(StepStatus(StepState.SUCCEEDED))
    assert is_good_answer(StepStatus(StepState.FAILED, reason=StepReason.REJECTED))
    assert not is_good_answer(StepStatus(StepState.FAILED, reason=StepReason.RETRIES_EXHAUSTED))
    assert not is_good_answer(StepStatus())
