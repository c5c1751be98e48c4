"""What the page counts: groups, states, steps, and the last hour minute by minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kubectl_pp.sanitize import Json
from kubectl_pp.ui.model import Model
from kubectl_pp.ui.rows import ATTENTION, LONG, RETRYING, Row
from kubectl_pp.upload import FINISHED, Stage

MINUTES = 60
ANSWERS_SECONDS = 600.0
_GROUPS = {ATTENTION: "attention", RETRYING: "retrying", LONG: "long"}
_WAITING = frozenset({Stage.QUEUED, Stage.BACKING_OFF, Stage.RELEASE_BACKING_OFF, Stage.HELD})


def counts(model: Model, rows: Iterable[Row], now: float, unwell: frozenset[str]) -> Json:
    """How many uploads are in each group and each state.

    The rows are those in flight. Of the others the model has the numbers.
    """
    groups: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for (status, failed), number in model.ended.copy().items():
        states[status] += number
        groups["failed" if failed else "succeeded"] += number
        groups["all"] += number
    for row in rows:
        states[row.status] += 1
        groups["all"] += 1
        groups[""] += 1
        rank = row.rank(now, unwell)
        if rank in _GROUPS:
            groups[_GROUPS[rank]] += 1
        if row.completed:
            groups["failed" if row.failed else "succeeded"] += 1
    order = [str(stage) for stage in Stage]
    place = {name: order.index(name) if name in order else -1 for name in states}
    named = sorted(((place[name], name), number) for name, number in states.items() if number)
    return {"groups": +groups, "states": [[name, number] for (_, name), number in named]}


def steps(model: Model, rows: Iterable[Row], now: float, unwell: frozenset[str]) -> list[Json]:
    """Of each step what is there, what waits, and how fast it answers; the storage is the last."""
    names = list(model.steps)
    found = {name: _step(model, name, now, unwell) for name in [*names, FINISHED]}
    for row in rows:
        if not row.step or row.completed or row.stage == Stage.AWAITING_TURN:  # the storage is not asked yet
            continue
        step = found.get(row.step)
        if step is None:
            step = found[row.step] = _step(model, row.step, now, unwell)
        if row.stuck:
            step["stuck"] += 1
        elif row.stage in _WAITING:
            step["queued" if row.stage == Stage.QUEUED else "retrying"] += 1
        else:
            step["running"] += 1
        if row.unwell and not 0 < step["open"] < row.unwell:
            step["open"] = row.unwell
        if not step["oldest"] or row.since < step["oldest"]:
            step["oldest"] = round(row.since)
    last = found.pop(FINISHED)
    return [*found.values(), last]


def _step(model: Model, name: str, now: float, unwell: frozenset[str]) -> Json:
    answers = model.answers.get(name, ())
    seconds = sorted(took for at, took in answers if now - at < ANSWERS_SECONDS)
    slots = model.operator.get("slots", {}).get(name) or [None, model.steps.get(name) or None]
    return {
        "name": name,
        "running": 0,
        "queued": 0,
        "retrying": 0,
        "stuck": 0,
        "oldest": 0,
        "open": 0,
        "used": slots[0],
        "slots": slots[1],
        "answers": sum(1 for at, _ in answers if now - at < 60),  # noqa: PLR2004 -- a minute
        "median": _rank(seconds, 50),
        "slow": _rank(seconds, 90),
        "unwell": name in unwell,
    }


def _rank(ordered: list[float], percent: int) -> float | None:
    return round(ordered[max(-(-len(ordered) * percent // 100) - 1, 0)], 1) if ordered else None


def hour(rows: Iterable[Row], now: float) -> Json:
    """The last hour in minutes: ended well and badly, in flight, and the age of the oldest in flight.

    All of it follows from the times of the resources that are there, so it is complete from the start. Ages
    are those at the end of each minute.
    """
    last = int(now // 60)
    first = last - MINUTES + 1
    good, bad = [0] * MINUTES, [0] * MINUTES
    born = [0] * (MINUTES + 1)
    eldest: dict[tuple[int, int], float] = {}
    for row in rows:
        end = int(row.completed // 60) if row.completed else last + 1
        if end < first:
            continue
        if end <= last:
            (bad if row.failed else good)[end - first] += 1
        begin = min(max(int(row.created // 60), first), last) - first
        until = min(end, last + 1) - first
        if begin < until:
            born[begin] += 1
            born[until] -= 1
            eldest[begin, until] = min(eldest.get((begin, until), row.created), row.created)
    flight, there, ages = [], 0, []
    for minute in range(MINUTES):
        there += born[minute]
        flight.append(there)
        since = [at for (begin, until), at in eldest.items() if begin <= minute < until]
        ages.append(round(min((first + minute + 1) * 60.0, now) - min(since)) if since else 0)
    return {"good": good, "bad": bad, "flight": flight, "ages": ages, "end": last * 60}
