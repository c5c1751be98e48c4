"""The number of slots follows what the service can do."""

import pytest

from uploadpp.core.adaptive_limit import KEPT, LEAST, AdaptiveLimit
from uploadpp.core.model import Millis

SIZE = 1000


def answers(
    limit: AdaptiveLimit[int], took: int, *, count: int = 0, size: int = SIZE, at_step: int = 0
) -> None:
    """So many uploads start while all slots are used, and are answered; by default enough for one look."""
    for member in range(count or max(LEAST, 2 * limit.limit)):
        limit.started(member, size, at_step or limit.limit)
        limit.answered(member, Millis(took))


def risen(floor: int = 2, ceiling: int = 64, looks: int = 5, usual: int = 100) -> AdaptiveLimit[int]:
    """A limit that has risen for a while, to 13 by default."""
    limit: AdaptiveLimit[int] = AdaptiveLimit(floor, ceiling)
    for _ in range(looks):
        answers(limit, usual)
    return limit


def test_it_begins_at_the_floor_and_rises_while_answers_take_no_longer() -> None:
    assert AdaptiveLimit[int](2, 64).limit == 2
    assert [risen(looks=looks).limit for looks in range(7)] == [2, 3, 4, 6, 9, 13, 19]
    assert risen(ceiling=5).limit == 5
    assert AdaptiveLimit[int](7, 5).ceiling == 7


def test_it_rises_only_when_all_slots_were_used() -> None:
    limit = risen()
    before = limit.limit
    answers(limit, 100, at_step=before - 1)
    assert limit.limit == before


def test_it_falls_when_answers_take_longer_and_rises_slowly_after_that() -> None:
    limit = risen()
    answers(limit, 200)
    assert limit.limit == int(13 * 0.75)
    answers(limit, 140)
    assert limit.limit == 8
    answers(limit, 120)
    assert limit.limit == 8, "neither steady nor slow"
    answers(limit, 100)
    assert limit.limit == 9
    answers(limit, 100)
    assert limit.limit == 10


@pytest.mark.parametrize(("took", "expected"), [(129, 13), (130, 12)])
def test_it_falls_only_above_the_threshold(took: int, expected: int) -> None:
    limit = risen(usual=99)
    answers(limit, took)
    assert limit.limit == expected


@pytest.mark.parametrize(("took", "expected"), [(109, 13), (108, 19)])
def test_it_rises_only_below_the_threshold(took: int, expected: int) -> None:
    limit = risen(usual=99)
    answers(limit, took)
    assert limit.limit == expected


@pytest.mark.parametrize(("took", "expected"), [(49, 28), (48, 18)])
def test_answers_that_take_less_than_half_the_time_are_the_new_measure(took: int, expected: int) -> None:
    limit = risen(usual=99)
    answers(limit, took, size=SIZE)
    assert limit.limit == 19
    answers(limit, 65)
    assert limit.limit == expected


def test_after_a_fall_it_rises_by_an_eighth() -> None:
    limit = risen(looks=7)
    answers(limit, 139)
    assert limit.limit == 26
    answers(limit, 100)
    assert limit.limit == 29


@pytest.mark.parametrize(("at_step", "expected"), [(6, 13), (7, 11)])
def test_answers_are_the_measure_while_half_the_slots_are_free(at_step: int, expected: int) -> None:
    limit = risen(usual=99)
    answers(limit, 150, at_step=at_step)
    assert limit.limit == expected


def test_at_first_it_rises_only_when_all_slots_were_used_too() -> None:
    limit: AdaptiveLimit[int] = AdaptiveLimit(2, 64)
    answers(limit, 100, at_step=1)
    assert limit.limit == 2


def test_it_forgets_how_fast_the_service_was_long_ago() -> None:
    limit: AdaptiveLimit[int] = AdaptiveLimit(2, 64)
    answers(limit, 100, at_step=1, count=10 * KEPT)
    answers(limit, 900, count=2 * LEAST)
    answers(limit, 900)
    assert limit.limit > 2


def test_who_was_never_there_can_leave() -> None:
    AdaptiveLimit[int](2, 64).left(7)


def test_one_slow_file_changes_nothing() -> None:
    limit = risen()
    answers(limit, 100_000, count=1)
    answers(limit, 100, count=2 * limit.limit - 1)
    assert limit.limit > 13


def test_each_file_is_compared_with_files_of_its_size() -> None:
    limit = risen()
    answers(limit, 60_000, size=1 << 30)
    assert limit.limit > 13
    before = limit.limit
    answers(limit, 120_000, size=1 << 30)
    assert limit.limit < before


def test_it_falls_by_half_the_share_of_failures() -> None:
    limit = risen()
    for member in range(26):
        limit.started(member, SIZE, 13)
    for member in range(13):
        limit.failed(member)
    for member in range(13, 26):
        limit.answered(member, Millis(100))
    assert limit.limit == int(13 * 0.75)
    for _ in range(9):
        for member in range(2 * limit.limit + LEAST):
            limit.started(member, SIZE, limit.limit)
            limit.failed(member)
    assert limit.limit == limit.floor


def test_a_few_failures_may_be_because_of_the_files() -> None:
    limit: AdaptiveLimit[int] = AdaptiveLimit(2, 64)
    limit.started(0, SIZE, 2)
    limit.failed(0)
    answers(limit, 100, count=6)
    assert limit.limit == 2, "seven answers are not enough"
    answers(limit, 100, count=1)
    assert limit.limit == 3


@pytest.mark.parametrize(("failures", "expected"), [(3, 19), (4, 12)])
def test_it_falls_when_more_than_one_in_eight_has_failed(failures: int, expected: int) -> None:
    limit = risen()
    for member in range(100, 100 + failures):
        limit.started(member, SIZE, 13)
        limit.failed(member)
    answers(limit, 100, count=26 - failures)
    assert limit.limit == expected


def test_the_last_fifteen_unhindered_answers_are_the_measure() -> None:
    limit: AdaptiveLimit[int] = AdaptiveLimit(2, 64)
    answers(limit, 100, at_step=1, count=15)
    answers(limit, 900, at_step=1, count=8)
    answers(limit, 900, at_step=3, count=1)
    assert limit.limit == 3, "eight of them took 900 ms"


def test_answers_of_uploads_that_started_under_another_limit_do_not_count() -> None:
    limit = risen()
    for member in range(100, 160):
        limit.started(member, SIZE, limit.limit)
    answers(limit, 200)
    fallen = limit.limit
    for member in range(100, 160):
        (limit.answered(member, Millis(900)) if member % 2 else limit.failed(member))
    assert limit.limit == fallen


def test_who_has_left_or_is_unknown_does_not_count() -> None:
    limit: AdaptiveLimit[int] = AdaptiveLimit(2, 64)
    for member in range(50):
        limit.started(member, SIZE, 2)
        limit.left(member)
        limit.answered(member, Millis(1))
        limit.failed(member)
    assert (limit.limit, limit.under_way) == (2, 0)
    limit.started(0, SIZE, 1)
    assert limit.under_way == 1


def test_at_the_floor_it_learns_how_long_answers_take_now() -> None:
    limit = risen()
    for _ in range(20):
        answers(limit, 900)
    assert limit.limit > limit.floor, "the service has become slower for good, and is not overloaded"


def test_a_service_that_has_become_faster_is_learnt_of_under_load() -> None:
    limit = risen()
    answers(limit, 20)
    for _ in range(KEPT):
        answers(limit, 20)
    before = limit.limit
    answers(limit, 40)
    assert limit.limit < before


def test_it_begins_again_at_the_floor() -> None:
    limit = risen()
    limit.begin_again()
    assert limit.limit == 2
    answers(limit, 100)
    assert limit.limit == 3
