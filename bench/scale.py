"""From one control plane to many: the cost model of docs/scale.md, and a day of it, second by second.

`python -m bench.scale --uploads-per-day 10e6` says what a load needs, what limits it first, and how a day
with a peak and a bulk upload goes. `make gen` writes the tables of docs/scale.md.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

DAY_SECONDS = 86_400
NOON = DAY_SECONDS // 2
BULK_SECONDS = 60
MAX_SHARDS = 99
ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- tables: written by `make gen` -->\n", "<!-- end of tables -->\n"


@dataclass(frozen=True, slots=True)
class Costs:
    """What an upload of two steps costs, measured by `make bench` (docs/performance.md)."""

    event_ms: float = 0.5
    """CPU of its owner for reading, deciding and publishing, at full load."""
    record_ms: float = 1.5
    """CPU of its owner for a create, a status and a removal."""
    foreign_ms: float = 0.07
    """CPU of every other owner, which reads the messages and passes over them."""
    api_ms: float = 7.0
    """CPU of the API server for the three writes."""
    nats_ms: float = 0.7
    """CPU of the NATS server."""
    writes: int = 3
    resource_kb: float = 3.0
    """A resource in etcd."""
    memory_kb: float = 4.0
    """An upload in flight in the memory of its owner."""
    base_mb: float = 83.0
    """The memory of an operator at rest."""


@dataclass(frozen=True, slots=True)
class Load:
    """What users do: uploads on a day, how much more than the mean at its busiest moment, a bulk upload."""

    uploads_per_day: float = 10e6
    peak: float = 3.0
    """The rate at the busiest moment, as a multiple of the mean."""
    step_seconds: float = 10.0
    """How long the steps of an upload take in all."""
    bulk: int = 50_000
    """Files that somebody uploads at the busiest moment, within a minute."""

    @property
    def mean(self) -> float:
        """Uploads a second."""
        return self.uploads_per_day / DAY_SECONDS

    def rates(self) -> Iterator[float]:
        """Uploads in each second of a day: a curve with its top at noon, and the bulk upload there."""
        power = _power(self.peak)
        for second in range(DAY_SECONDS):
            height = (1 + math.cos(2 * math.pi * (second - NOON) / DAY_SECONDS)) / 2
            bulk = self.bulk / BULK_SECONDS if NOON <= second < NOON + BULK_SECONDS else 0.0
            yield self.mean * self.peak * height**power + bulk


def _power(peak: float) -> float:
    """The power of a raised cosine whose top is so many times its mean, which is Γ(2k+1) / (Γ(k+1)² 4^k)."""
    low, high = 0.0, 1000.0
    for _ in range(60):
        k = (low + high) / 2
        mean = math.exp(math.lgamma(2 * k + 1) - 2 * math.lgamma(k + 1) - k * math.log(4))
        low, high = (k, high) if mean * peak > 1 else (low, k)
    return low


@dataclass(frozen=True, slots=True)
class Plant:
    """One control plane and its operator. The defaults are a control plane of medium size."""

    shards: int = 1
    api_cores: float = 4.0
    """Cores of the API servers that uploads may take."""
    etcd_writes: float = 2_000.0
    """Writes a second that etcd may do for uploads: its fsync is the limit."""
    nats_cores: float = 2.0
    usable: float = 0.7
    """The share of a core of the operator that is planned for; the rest is for peaks within a second."""
    ttl_seconds: float = 600.0
    max_ended: int = 10_000
    window: int = 25_000
    """Uploads for each owner that may be read and not recorded."""


def limits(plant: Plant, costs: Costs = Costs()) -> dict[str, float]:
    """Sustained uploads a second that each part can take."""
    own = (costs.event_ms + costs.record_ms) / plant.shards
    foreign = costs.foreign_ms * (plant.shards - 1) / plant.shards
    return {
        "operator": plant.usable * 1000 / (own + foreign),
        "API server": plant.api_cores * 1000 / costs.api_ms,
        "etcd writes": plant.etcd_writes / costs.writes,
        "NATS": plant.nats_cores * 1000 / costs.nats_ms,
    }


def shards_for(rate: float, plant: Plant, costs: Costs = Costs()) -> int:
    """The fewest shards that sustain a rate; 0 when no number does, as every owner reads the whole log."""
    for shards in range(1, MAX_SHARDS + 1):
        if limits(replace(plant, shards=shards), costs)["operator"] >= rate:
            return shards
    return 0


@dataclass(frozen=True, slots=True)
class Day:
    """How a day went."""

    longest_wait_seconds: float
    """The longest an event waited to be read."""
    most_unrecorded: float
    longest_lag_seconds: float
    """The longest that a resource was behind its upload."""
    recorded_at: int
    """Seconds after noon until everything was recorded again."""
    most_etcd_mb: float
    memory_mb: float
    """Of one owner, at most."""
    left: float
    """Uploads not recorded at the end of the day: more come than can be recorded."""


def simulate(load: Load, plant: Plant, costs: Costs = Costs()) -> Day:
    """A day, second by second: events first, what is left of each core goes into records.

    Flows, not single uploads: an event waits as long as the backlog before it takes.
    """
    unread = unrecorded = ended = most_kept = most = wait = lag = memory = 0.0
    done_at = 0
    foreign = costs.foreign_ms * (plant.shards - 1)
    for second, rate in enumerate(load.rates()):
        unread += rate
        room = plant.window * plant.shards - unrecorded
        core = 1000.0 * plant.shards
        read = max(min(unread, core / (costs.event_ms + foreign), room), 0.0)
        unread -= read
        unrecorded += read
        left = core - read * (costs.event_ms + foreign)
        able = min(
            left / costs.record_ms, plant.api_cores * 1000 / costs.api_ms, plant.etcd_writes / costs.writes
        )
        written = min(unrecorded, able)
        unrecorded -= written
        running = rate * load.step_seconds
        ended = min(ended + written - ended / plant.ttl_seconds, plant.max_ended)
        wait, lag = max(wait, unread / read if read else 0.0), max(lag, unrecorded / able)
        most, most_kept = max(most, unrecorded), max(most_kept, running + ended)
        memory = max(memory, (running + unrecorded) / plant.shards * costs.memory_kb / 1000)
        if second > NOON and unrecorded > able:
            done_at = second - NOON
    return Day(
        wait,
        most,
        lag,
        done_at,
        most_kept * costs.resource_kb / 1000,
        costs.base_mb + memory,
        unrecorded + unread,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"  # noqa: PLR2004 -- what is small has a decimal


def needs(costs: Costs = Costs()) -> list[str]:
    """A table: what a load needs at its peak, and how many control planes that are."""
    rows = [
        (
            "| uploads per day | mean/s | peak/s | shards | API server cores | etcd writes/s | NATS cores "
            "| control planes |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    plant = Plant()
    for per_day in (0.1e6, 1e6, 10e6, 30e6, 100e6):
        load = Load(per_day)
        peak = load.mean * load.peak
        whole = limits(plant)
        planes = math.ceil(peak / min(whole["API server"], whole["etcd writes"], whole["NATS"]))
        shards = shards_for(peak / planes, plant)
        each = f"{shards} each" if planes > 1 else f"{shards}"
        rows.append(
            f"| {per_day:,.0f} | {_number(load.mean)} | {_number(peak)} | {each} | "
            f"{peak * costs.api_ms / 1000:.1f} | {_number(peak * costs.writes)} | "
            f"{peak * costs.nats_ms / 1000:.1f} | {planes} |"
        )
    return rows


def first_limits() -> list[str]:
    """A table: what each part of one control plane takes, for some numbers of shards."""
    rows = [
        "| shards | operator | API server | etcd writes | NATS | first limit |",
        "|---|---|---|---|---|---|",
    ]
    for shards in (1, 2, 3, 4, 6):
        found = limits(replace(Plant(), shards=shards))
        first = min(found, key=lambda name: found[name])
        rows.append(
            f"| {shards} | " + " | ".join(f"{value:,.0f}/s" for value in found.values()) + f" | {first} |"
        )
    return rows


def days() -> list[str]:
    """A table: how a day of 10 million uploads goes with some numbers of shards and cores."""
    rows = [
        (
            "| shards | API server cores | longest wait of an event | most unrecorded uploads | "
            "longest delay of a record | all recorded again after | space in etcd | memory per owner |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    load = Load()
    for shards, cores in ((1, 4.0), (2, 4.0), (2, 3.0), (2, 2.0)):
        day = simulate(load, replace(Plant(), shards=shards, api_cores=cores))
        again = "never" if day.left > load.mean else f"{day.recorded_at / 60:,.0f} min"
        rows.append(
            f"| {shards} | {cores:.0f} | {day.longest_wait_seconds:,.0f} s | {day.most_unrecorded:,.0f} | "
            f"{day.longest_lag_seconds:,.0f} s | {again} | {day.most_etcd_mb:,.0f} MB | "
            f"{day.memory_mb:,.0f} MB |"
        )
    return rows


def tables() -> str:
    """What `make gen` writes into docs/scale.md."""
    parts = (
        ("What a load needs at its peak", needs()),
        ("Uploads per second that each part sustains", first_limits()),
        ("A day of 10 million uploads", days()),
    )
    return "\n".join(f"### {title}\n\n" + "\n".join(rows) + "\n" for title, rows in parts)


def page(text: str) -> str:
    """The page with its tables as the model has them now."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + "\n" + tables() + "\n" + END + rest.split(END)[1]


def main(arguments: list[str] | None = None) -> int:
    """Print what a load needs, or write the tables of the page."""
    parser = argparse.ArgumentParser(prog="scale", description="What many uploads need.")
    parser.add_argument("--uploads-per-day", type=float, default=Load().uploads_per_day)
    parser.add_argument(
        "--peak", type=float, default=3.0, help="the busiest moment, as a multiple of the mean"
    )
    parser.add_argument("--bulk", type=int, default=50_000, help="files within a minute at that moment")
    parser.add_argument("--shards", type=int, default=0, help="as many as are needed by default")
    parser.add_argument("--api-cores", type=float, default=4.0)
    parser.add_argument("--etcd-writes", type=float, default=2_000.0, help="a second")
    parser.add_argument("--write", action="store_true", help="write docs/scale.md")
    chosen = parser.parse_args(arguments)
    path = ROOT / "docs" / "scale.md"
    if chosen.write:
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    load = Load(chosen.uploads_per_day, chosen.peak, bulk=chosen.bulk)
    plant = Plant(api_cores=chosen.api_cores, etcd_writes=chosen.etcd_writes)
    peak = load.mean * load.peak
    plant = replace(plant, shards=chosen.shards or shards_for(peak, plant) or 1)
    print(f"{_number(load.mean)} uploads/s in the mean, {_number(peak)} at the peak, {plant.shards} shards")
    for name, most in sorted(limits(plant).items(), key=lambda each: each[1]):
        print(f"  {name}: {_number(most)}/s, {peak / most:.0%} used at the peak")
    day = simulate(load, plant)
    for field in fields(Day):
        print(f"  {field.name}: {getattr(day, field.name):,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
