"""Run the operator in simulated worlds: `python -m uploadpp.testing.simulate --seed N`.

With `--runs` it tries as many seeds from there on, and prints the failing ones; the same seed
on the same code is the same run.
"""

import argparse
import multiprocessing
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from random import Random

from uploadpp.core.evolve import evolve
from uploadpp.testing.chaos import TROUBLED_SECONDS, Chaos
from uploadpp.testing.configs import any_breakers, any_config, any_floors, any_shares, any_sizes, configs_of
from uploadpp.testing.invariants import Invariant
from uploadpp.testing.policies import any_policies
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.trace import logged_in
from uploadpp.testing.virtual_loop import RunawayError

BATCH = 50
SHOWN = 20


def simulate(seed: int, shards: Sequence[int] = (1,), places: int | None = None) -> Result:
    """The run of a seed; processes have one of these numbers of shards, the stream so many places."""
    config = any_config(Random(seed))  # noqa: S311 -- a game of dice, not a secret
    # As the settings demand it: a place for each shard.
    limits = {step: max(limit, *shards) for step, limit in config.max_in_flight.items()}
    breakers = any_breakers(seed, config)
    queues = {"max_in_flight": limits, "min_in_flight": any_floors(seed, limits), "breaker_after": breakers}
    sim = Simulation(seed, evolve(config, **queues, shares=any_shares(seed)))
    sim.world.sizes = any_sizes(seed)
    sim.shards, sim.stream.places = shards, places
    sim.configs = configs_of(Random(seed), sim.config)  # noqa: S311
    if (policies := any_policies(seed, TROUBLED_SECONDS)) is not None:
        sim.govern(policies)
    with logged_in(sim.trace):
        try:
            Chaos(sim).run()
        except RunawayError as error:
            sim.checks.broken(Invariant.QUIET_AT_REST, str(error))
        return sim.result()


def failing(seeds: range) -> list[tuple[int, str]]:
    """The seeds whose runs break an invariant or end in an exception, and what was broken first."""
    return [(seed, problem) for seed in seeds if (problem := _problem(seed))]


def _problem(seed: int) -> str:
    try:
        violations = simulate(seed).violations
    except Exception:  # noqa: BLE001 -- of whatever type it is, the others shall be tried as well
        return traceback.format_exc()
    return str(violations[0]) if violations else ""


def many(first: int, runs: int, jobs: int) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """The failing ones of many seeds, batch by batch, with how many were tried."""
    batches = [range(seed, min(seed + BATCH, first + runs)) for seed in range(first, first + runs, BATCH)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from zip(map(len, batches), pool.imap(failing, batches), strict=True)


def main(arguments: list[str] | None = None) -> int:
    """Run one seed and print its trace, or many."""
    parser = argparse.ArgumentParser(prog="simulate", description="The operator in simulated worlds.")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds; one prints its trace")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args(arguments)
    if options.runs == 1:
        result = simulate(options.seed)
        sys.stdout.write(result.report() + "\n")
        return bool(result.violations)
    started, tried, found = time.monotonic(), 0, 0
    for count, failures in many(options.seed, options.runs, options.jobs):
        tried, found = tried + count, found + len(failures)
        for seed, text in failures[: max(SHOWN - found + len(failures), 0)]:
            sys.stdout.write(f"seed {seed}: {text}\n  python -m uploadpp.testing.simulate --seed {seed}\n")
        sys.stdout.flush()
    minutes = (time.monotonic() - started) / 60
    sys.stdout.write(f"{tried} runs, {found} failed, {tried / minutes:.0f} a minute\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
