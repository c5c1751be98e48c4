"""The adaptive limit with services of a fixed capacity: it settles near it, and never leaves its bounds."""

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uploadpp.core.adaptive_limit import AdaptiveLimit
from uploadpp.core.model import Millis

WORKERS = 16
SIZES = (1_000, 50_000, 2_000_000, 80_000_000)
Seconds = Callable[[Random, int], float]
TIMES: dict[str, Seconds] = {
    "all the same": lambda _, __: 0.05,
    "by size": lambda random, size: 0.01 + size / 2e7 * random.uniform(0.8, 1.25),
    "by size and chance": lambda random, size: (0.01 + size / 2e7) * random.lognormvariate(0, 0.5),
}


def run(
    seconds: Seconds,
    *,
    seed: int = 0,
    answers: int = 3000,
    workers: Callable[[int], int] = lambda _: WORKERS,
    fails: Callable[[Random, int], bool] = lambda _, __: False,
) -> list[int]:
    """The limit after each answer of a service with a queue and so many workers, which is always busy."""
    random, numbers, now = Random(seed), count(), 0.0  # noqa: S311 -- a game of dice, not a secret
    limit: AdaptiveLimit[int] = AdaptiveLimit(2, 64)
    queue: deque[tuple[int, float]] = deque()
    busy: list[tuple[float, int]] = []
    began: dict[int, float] = {}
    found: list[int] = []
    while len(found) < answers:
        while len(began) < limit.limit:
            member, size = next(numbers), random.choice(SIZES)
            began[member] = now
            limit.started(member, size, len(began))
            queue.append((member, seconds(random, size)))
        while queue and len(busy) < workers(len(found)):
            member, took = queue.popleft()
            heapq.heappush(busy, (now + took, member))
        now, member = heapq.heappop(busy)
        took_ms = Millis(int((now - began.pop(member)) * 1000))
        if fails(random, len(found)):
            limit.failed(member)
        else:
            limit.answered(member, took_ms)
        assert 2 <= limit.limit <= 64
        found.append(limit.limit)
    return found


def middle(limits: list[int]) -> int:
    """The median."""
    return sorted(limits)[len(limits) // 2]


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("seed", range(3))
def test_it_settles_near_the_capacity(name: str, seed: int) -> None:
    found = run(TIMES[name], seed=seed)[1000:]
    assert 0.75 * WORKERS <= middle(found) <= 1.5 * WORKERS
    assert min(found) >= WORKERS // 2, "it does not go to the floor"
    assert max(found) <= 2 * WORKERS


@pytest.mark.parametrize("name", TIMES)
def test_it_follows_a_capacity_that_changes(name: str) -> None:
    found = run(TIMES[name], answers=4000, workers=lambda answers: 16 if answers < 2000 else 6)
    assert middle(found[1000:2000]) > 1.5 * middle(found[3000:])
    grown = run(TIMES[name], answers=4000, workers=lambda answers: 6 if answers < 2000 else 16)
    assert middle(grown[3000:]) > 1.5 * middle(grown[1000:2000])


def test_one_file_in_fifty_that_takes_a_thousand_times_as_long_does_not_bring_it_down() -> None:
    seconds: Seconds = lambda random, _: 0.05 if random.random() > 0.02 else 5.0  # noqa: E731 -- as above
    found = run(seconds, answers=2000)[1000:]
    assert min(found) >= WORKERS // 2


def test_a_service_that_fails_one_time_in_twenty_keeps_its_slots() -> None:
    found = run(TIMES["by size"], fails=lambda random, _: random.random() < 0.05)[1000:]
    assert middle(found) >= 0.6 * WORKERS


def test_while_it_fails_it_falls_to_the_floor_and_rises_again_after_that() -> None:
    found = run(TIMES["all the same"], fails=lambda _, answers: 1000 <= answers < 1500)
    assert found[1499] == 2
    assert middle(found[2000:]) >= WORKERS


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.integers(0, 10**7), st.integers(0, 99))),
)
def test_it_never_leaves_its_bounds(floor: int, more: int, acts: list[tuple[int, int, int, int]]) -> None:
    """Whatever starts, is answered, fails and leaves."""
    limit: AdaptiveLimit[int] = AdaptiveLimit(floor, floor + more)
    for member, act, number, at_step in acts * 5:
        if act <= 1:
            limit.started(member, number, at_step)
        elif act <= 3:
            limit.answered(member, Millis(number))
        elif act == 4:
            limit.failed(member)
        else:
            limit.left(member)
        assert floor <= limit.limit <= floor + more
