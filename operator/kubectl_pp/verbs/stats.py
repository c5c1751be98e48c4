"""`stats`: how many uploads are where, what is oldest, what is retried, how long steps take."""

import json
import sys
import time
from collections import Counter

from kubectl_pp import selection
from kubectl_pp.client import PAGE, TABLE, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode
from kubectl_pp.screen import Color, Screen
from kubectl_pp.table import Paint, cell, layout
from kubectl_pp.times import human
from kubectl_pp.upload import Stage, Upload, collection, stage_color
from kubectl_pp.words import state

NO_STEP = "-"
SOON_SECONDS = 60
OLDEST_SHOWN = 3


def run(context: Context) -> int:
    """Print the numbers."""
    numbers = context.client.retried(lambda: _Numbers(context))
    now = time.time()
    if context.options.output:
        sys.stdout.write(json.dumps(_as_json(numbers, now)) + "\n")
        return ExitCode.OK
    if not numbers.total:
        context.screen.note("No uploads found.")
        return ExitCode.OK
    screen = context.screen
    screen.lines(_counts(screen, numbers))
    if numbers.unwell:
        screen.lines(["", *_unwell(screen, numbers, now)])
    if numbers.slots:
        screen.lines(["", *_slots(screen, numbers)])
    screen.lines(["", *_oldest(screen, numbers.oldest, now)])
    screen.lines(["", *_pressure(screen, numbers, now)])
    if numbers.durations:
        rows = [("STEP", "ATTEMPTS", "P50", "P95", "LONGEST")]
        rows += [
            (name, str(len(v)), human(rank(v, 50)), human(rank(v, 95)), human(v[-1]))
            for name, v in numbers.sorted_durations()
        ]
        screen.lines(["", *layout(rows)])
    return ExitCode.OK


class _Numbers:
    """All numbers, and of the uploads themselves only the oldest.

    How long steps took is read from all uploads that have not ended, and from one page of those that have.
    """

    def __init__(self, context: Context) -> None:
        self._checks = selection.tests(context.options)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.steps: dict[str, None] = {}
        self.oldest: list[Upload] = []
        self.retried = self.retries = self.stuck = 0
        self.due: list[float | None] = []
        self.durations: dict[str, list[float]] = {}
        self.slots: dict[str, tuple[float, tuple[int, int, int]]] = {}
        """Steps with an adaptive limit: what the upload says that was queued last, and when."""
        self.unwell: dict[str, float] = {}
        """Steps whose breakers are open, and since when."""
        if self._checks:
            selection.read(context, selection.queries(context.options), self._take)
            return
        base = selection.params(context.options)
        ended = selection.narrowed(base, selection.ENDED)
        selection.read(context, [selection.narrowed(base, selection.NOT_ENDED)], self._take)
        selection.read(context, [{**ended, "includeObject": "None"}], self._take_rows, TABLE)
        sample = context.client.select(collection(context.namespace), {**ended, "limit": str(PAGE)})
        for upload in map(Upload, sample.get("items", [])):
            self._measure(upload)

    @property
    def total(self) -> int:
        """Uploads that were counted."""
        return sum(self.counts.values())

    def sorted_durations(self) -> list[tuple[str, list[float]]]:
        """Steps, and how long their last attempts took, in seconds."""
        return [(name, sorted(values)) for name, values in self.durations.items()]

    def _take(self, page: Json) -> None:
        for upload in map(Upload, page.get("items", [])):
            if all(check(upload) for check in self._checks):
                self._count(upload)

    def _take_rows(self, page: Json) -> None:
        names = [column["name"].lower() for column in page["columnDefinitions"]]
        step, status = names.index("step"), names.index("status")
        for row in page.get("rows") or []:
            cells = row["cells"]
            self.counts[(cell(cells[step]) or NO_STEP, cell(cells[status]))] += 1

    def _count(self, upload: Upload) -> None:
        self.counts[(upload.step or NO_STEP, upload.stage)] += 1
        self._measure(upload)
        if upload.stage in (Stage.BACKING_OFF, Stage.RELEASE_BACKING_OFF):
            self.due.append(upload.time("nextAttemptTime"))
        if upload.ended:
            return
        if (since := upload.unwell_since) is not None:
            self.unwell[upload.step] = min(since, self.unwell.get(upload.step, since))
        if (slots := upload.slots) is not None:
            self.slots[upload.step] = max((upload.since, slots), self.slots.get(upload.step, (0.0, slots)))
        self.stuck += upload.stuck
        self.retried += upload.retries > 0
        self.retries += upload.retries
        self.oldest = sorted([*self.oldest, upload], key=lambda u: u.newest)[:OLDEST_SHOWN]

    def _measure(self, upload: Upload) -> None:
        for step in upload.steps:
            self.steps[step.name] = None
            if step.seconds is not None:
                self.durations.setdefault(step.name, []).append(step.seconds)


def rank(ordered: list[float], percent: int) -> float:
    """A percentile of sorted values: the smallest that `percent` of them do not exceed."""
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]


def _places(numbers: _Numbers) -> tuple[list[str], list[str]]:
    """Steps and stages that occur, in the order of the plans and of a run."""
    counts = numbers.counts
    order = [str(stage) for stage in Stage]
    stages = sorted(
        {stage for _, stage in counts}, key=lambda s: (order.index(s) if s in order else len(order), s)
    )
    known = [
        name for name in (*numbers.steps, "finished", NO_STEP) if any(step == name for step, _ in counts)
    ]
    return known + sorted({step for step, _ in counts} - set(known)), stages


def _counts(screen: Screen, numbers: _Numbers) -> list[str]:
    steps, stages = _places(numbers)
    rows = [["STEP", "STATE", "UPLOADS"]]
    paint: Paint = {}
    for step in steps:
        for stage in stages:
            if count := numbers.counts[(step, stage)]:
                paint[(len(rows), 1)] = stage_color(stage)
                rows.append([step, stage, f"{count:,}"])
    rows.append(["all", "", f"{numbers.total:,}"])
    return layout(rows, screen, paint)


def _unwell(screen: Screen, numbers: _Numbers, now: float) -> list[str]:
    rows = [
        (step, f"for {human(now - since)}", f"{numbers.counts[(step, Stage.QUEUED)]:,} queued")
        for step, since in sorted(numbers.unwell.items())
    ]
    title = screen.paint("Steps that are not well", Color.TITLE)
    return [f"{title} (their breakers are open)", *[f"  {line}" for line in layout(rows)]]


def _slots(screen: Screen, numbers: _Numbers) -> list[str]:
    rows = [
        (step, f"{slots} of {floor} to {ceiling}", f"{numbers.counts[(step, Stage.QUEUED)]:,} queued")
        for step, (_, (slots, floor, ceiling)) in sorted(numbers.slots.items())
    ]
    title = screen.paint("Slots that follow their service", Color.TITLE)
    return [f"{title} (when the last upload was queued)", *[f"  {line}" for line in layout(rows)]]


def _oldest(screen: Screen, oldest: list[Upload], now: float) -> list[str]:
    title = screen.paint("Oldest in postprocessing", Color.TITLE)
    if not oldest:
        return [title, "  none: everything has ended"]
    rows = [(u.name, human(now - u.created), state(u)) for u in oldest]
    return [title, *[f"  {line}" for line in layout(rows)]]


def _pressure(screen: Screen, numbers: _Numbers, now: float) -> list[str]:
    soon = sum(1 for at in numbers.due if at is not None and at <= now + SOON_SECONDS)
    return [
        screen.paint("Retries", Color.TITLE),
        f"  {numbers.retried:,} uploads were retried, {numbers.retries:,} times in all",
        f"  {len(numbers.due):,} waiting to retry ({soon:,} due within a minute)",
        f"  {numbers.stuck:,} are stuck" + (" (kubectl pp list --stalled)" if numbers.stuck else ""),
    ]


def _as_json(numbers: _Numbers, now: float) -> dict[str, object]:
    return {
        "uploads": numbers.total,
        "counts": [{"step": s, "state": st, "uploads": n} for (s, st), n in sorted(numbers.counts.items())],
        "oldestSeconds": round(max((now - u.created for u in numbers.oldest), default=0.0)),
        "stuck": numbers.stuck,
        "retries": numbers.retries,
        "openBreakers": [
            {"step": step, "openSeconds": round(now - at)} for step, at in sorted(numbers.unwell.items())
        ],
        "adaptiveSlots": [
            {"step": step, "slots": slots, "floor": floor, "ceiling": ceiling}
            for step, (_, (slots, floor, ceiling)) in sorted(numbers.slots.items())
        ],
        "steps": [
            {
                "step": name,
                "attempts": len(v),
                "p50Seconds": round(rank(v, 50), 3),
                "p95Seconds": round(rank(v, 95), 3),
            }
            for name, v in numbers.sorted_durations()
        ],
    }
