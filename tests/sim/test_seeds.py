"""Many worlds with many faults; `make sim` runs a hundred thousand of them."""

import pytest

from uploadpp.testing.simulate import simulate

RUNS = 100
FIRST_SEEDS = range(1_000_000, 1_000_800, RUNS)


@pytest.mark.parametrize("first", FIRST_SEEDS)
def test_every_promise_is_kept(first: int) -> None:
    for seed in range(first, first + RUNS):
        result = simulate(seed)
        assert not result.violations, f"python -m uploadpp.testing.simulate --seed {seed}\n{result.report()}"


def test_a_seed_repeats_itself() -> None:
    first, second = simulate(7), simulate(7)
    assert first.report() == second.report()
    assert len(first.trace.lines) > 10
