"""Several shards, and numbers of shards that change from one process to the next."""

import pytest

from uploadpp.core.sharding import Shard
from uploadpp.testing.chaos import UPLOADS
from uploadpp.testing.simulate import simulate

RUNS = 40


def test_the_uploads_of_a_run_are_not_all_of_one_shard() -> None:
    assert {Shard(0, 2).owns(upload) for upload in UPLOADS} == {True, False}


@pytest.mark.parametrize("shards", [(2,), (3,), (1, 2, 3)], ids=["two", "three", "changing"])
def test_every_invariant_holds(shards: tuple[int, ...]) -> None:
    layouts = set()
    for seed in range(2_000_000, 2_000_000 + RUNS):
        result = simulate(seed, shards)
        assert not result.violations, f"seed {seed}, shards {shards}\n{result.report()}"
        text = result.trace.text()
        layouts |= {count for count in shards if ("of" not in text if count == 1 else f"of{count}-e" in text)}
    assert layouts == set(shards)


def test_an_upload_of_the_second_shard_that_had_ended_may_be_released_before_others() -> None:
    """Cleaned and announced again in one replay: the check has to look at the owners of all shards."""
    result = simulate(56_000_115, (1, 2, 3))
    assert not result.violations, result.report()


@pytest.mark.parametrize(
    ("shards", "places"), [((1,), 1), ((2,), 2), ((1, 2), 2)], ids=["one", "two", "changing"]
)
def test_every_invariant_holds_where_nats_has_no_place_to_spare(shards: tuple[int, ...], places: int) -> None:
    """The old consumer goes before the new one is made, and operators die in between as anywhere else."""
    for seed in range(3_000_000, 3_000_000 + RUNS // 2):
        result = simulate(seed, shards, places)
        assert not result.violations, f"seed {seed}, shards {shards}\n{result.report()}"
