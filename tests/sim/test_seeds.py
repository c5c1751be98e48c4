"""Many worlds with many faults; `make sim` runs a hundred thousand of them."""

import pytest

from uploadpp.testing.simulate import simulate

RUNS = 100
FIRST_SEEDS = range(1_000_000, 1_000_800, RUNS)


@pytest.mark.parametrize("first", FIRST_SEEDS)
def test_every_invariant_holds(first: int) -> None:
    for seed in range(first, first + RUNS):
        result = simulate(seed)
        assert not result.violations, f"python -m uploadpp.testing.simulate --seed {seed}\n{result.report()}"


def test_a_seed_repeats_itself() -> None:
    first, second = simulate(7), simulate(7)
    assert first.report() == second.report()
    assert len(first.trace.lines) > 10


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(
            7_100_141, id="a delay was over when its start went out, and the steps have changed since"
        ),
        pytest.param(7_102_351, id="suspended after the step behind a delay was started"),
        pytest.param(7_104_052, id="two resumes within a second for an upload that is not known"),
        pytest.param(20_019_700, id="a URL was requested for the first step of another plan"),
        pytest.param(40_002_295, id="the stream was made anew while its consumers were taken over"),
        pytest.param(
            80_006_810, id="announced again while the status of a resource made by hand was refused"
        ),
        pytest.param(90_005_989, id="a paused take-over made a consumer that the owner had by then"),
        pytest.param(
            100_015_732, id="killed after the first status of a resource made by hand, then other steps"
        ),
        pytest.param(
            120_004_092, id="an upload was overdue when a new owner took over: the breaker opened too late"
        ),
        pytest.param(120_020_023, id="a failure at a step with a breaker was read after a later good answer"),
        pytest.param(120_022_207, id="the clock was set back while a breaker was open: probes had no pause"),
        pytest.param(120_009_852, id="restarted after its clock was set back to before the announcement"),
        pytest.param(20_003_061, id="the first upload of a file was cancelled before it began"),
        pytest.param(
            300_001_485, id="let go after a newer upload had come, and both were read in one replay"
        ),
        pytest.param(600_000_623, id="an owner was killed while it released a file ahead of a held upload"),
        pytest.param(600_047_848, id="the only upload that told of an open breaker was deleted"),
        pytest.param(600_022_370, id="held by a rule, cleaned, and announced again: it began by itself"),
        pytest.param(600_013_681, id="the only trace of an abort was lost with the tail of the stream"),
        pytest.param(650_021_680, id="who was granted a slot asked for a URL before it started"),
        pytest.param(650_003_624, id="held, cleaned, and announced again: that is another upload"),
        pytest.param(640_002_375, id="held in a replay, and begun as the log showed later: it was overtaken"),
        pytest.param(630_004_077, id="queued by hand after the announcement, which the operator read later"),
        pytest.param(630_010_153, id="announced again, and killed before the status: it began by itself"),
        pytest.param(620_004_508, id="a resume's attempt was in the log behind the answer to the one before"),
        pytest.param(620_001_974, id="an upload of the same user was queued and granted between two looks"),
        pytest.param(610_001_826, id="a retry broke off with its connection: the next start came before it"),
        pytest.param(
            800_058_954, id="refused until its end, while nobody had seen the resource that a person made"
        ),
        pytest.param(830_058_936, id="of all that were resumed at a step, the first of a user got all slots"),
        pytest.param(830_063_320, id="not a fault: the probes of a breaker failed for a quarter of an hour"),
        pytest.param(
            830_049_617, id="a resume had no effect while its upload awaited its turn, and was not stored"
        ),
        pytest.param(800_037_500, id="refused until its end, then not answered: the creation told no end"),
        pytest.param(800_005_439, id="who was granted a slot got its URL when another owner had taken over"),
        pytest.param(700_000_347, id="a resume of the step took the slot from who had just got it"),
        pytest.param(670_004_900, id="released before the watch had shown what a person had made"),
        pytest.param(600_000_672, id="the start that told which rule an upload has was lost with the tail"),
        pytest.param(
            870_032_198,
            id="recorded, and then begun by the owner before, with its steps in another order",
        ),
        pytest.param(870_031_229, id="an open breaker met four bad answers by chance, for 20 minutes"),
    ],
)
def test_what_a_seed_has_found_stays_mended(seed: int) -> None:
    result = simulate(seed)
    assert not result.violations, result.report()
