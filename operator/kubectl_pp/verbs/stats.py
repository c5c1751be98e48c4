"""`stats`: how many uploads are where, what is oldest, what is retried, how long steps take."""

import json
import sys
import time
from collections import Counter

from kubectl_pp import selection
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode
from kubectl_pp.screen import Color, Screen
from kubectl_pp.table import Paint, layout
from kubectl_pp.times import human
from kubectl_pp.upload import Stage, Step, Upload, stage_color
from kubectl_pp.words import state

NO_STEP = "-"
SOON_SECONDS = 60
OLDEST_SHOWN = 3


def run(context: Context) -> int:
    """Print the numbers."""
    uploads, _ = selection.find_all(context)
    now = time.time()
    if context.options.output:
        sys.stdout.write(json.dumps(_numbers(uploads, now)) + "\n")
        return ExitCode.OK
    if not uploads:
        context.screen.note("No uploads found.")
        return ExitCode.OK
    screen = context.screen
    screen.lines(_counts(screen, uploads))
    screen.lines(["", *_oldest(screen, uploads, now)])
    screen.lines(["", *_pressure(screen, uploads, now)])
    if durations := _durations(uploads):
        rows = [("STEP", "ATTEMPTS", "P50", "P95", "LONGEST")]
        rows += [
            (name, str(len(v)), human(rank(v, 50)), human(rank(v, 95)), human(v[-1]))
            for name, v in durations.items()
        ]
        screen.lines(["", *layout(rows)])
    return ExitCode.OK


def rank(ordered: list[float], percent: int) -> float:
    """A percentile of sorted values: the smallest that `percent` of them do not exceed."""
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]


def _table_of(uploads: list[Upload]) -> tuple[list[str], list[str], Counter[tuple[str, str]]]:
    counts = Counter((upload.step or NO_STEP, upload.stage) for upload in uploads)
    order = [str(stage) for stage in Stage]
    stages = sorted(
        {stage for _, stage in counts}, key=lambda s: (order.index(s) if s in order else len(order), s)
    )
    steps = {step.name: None for upload in uploads for step in upload.steps}
    known = [name for name in (*steps, "finished", NO_STEP) if any(step == name for step, _ in counts)]
    return known + sorted({step for step, _ in counts} - set(known)), stages, counts


def _counts(screen: Screen, uploads: list[Upload]) -> list[str]:
    steps, stages, counts = _table_of(uploads)
    rows = [["STEP", "STATE", "UPLOADS"]]
    paint: Paint = {}
    for step in steps:
        for stage in stages:
            if count := counts[(step, stage)]:
                paint[(len(rows), 1)] = stage_color(stage)
                rows.append([step, stage, f"{count:,}"])
    rows.append(["all", "", f"{len(uploads):,}"])
    return layout(rows, screen, paint)


def _oldest(screen: Screen, uploads: list[Upload], now: float) -> list[str]:
    moving = sorted((u for u in uploads if not u.ended), key=lambda u: u.newest)[:OLDEST_SHOWN]
    if not moving:
        return [screen.paint("Oldest in postprocessing", Color.TITLE), "  none: everything has ended"]
    rows = [(u.name, human(now - u.created), state(u)) for u in moving]
    return [screen.paint("Oldest in postprocessing", Color.TITLE), *[f"  {line}" for line in layout(rows)]]


def _pressure(screen: Screen, uploads: list[Upload], now: float) -> list[str]:
    retried = [u for u in uploads if u.retries and not u.ended]
    due = [
        u.time("nextAttemptTime")
        for u in uploads
        if u.stage in (Stage.BACKING_OFF, Stage.RELEASE_BACKING_OFF)
    ]
    soon = sum(1 for at in due if at is not None and at <= now + SOON_SECONDS)
    stuck = sum(1 for u in uploads if u.stuck and not u.ended)
    return [
        screen.paint("Retries", Color.TITLE),
        f"  {len(retried):,} uploads were retried, {sum(u.retries for u in retried):,} times in all",
        f"  {len(due):,} wait for their next try, {soon:,} of them for less than a minute",
        f"  {stuck:,} are stuck" + (" (kubectl pp list --stalled)" if stuck else ""),
    ]


def _durations(uploads: list[Upload]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    steps: list[Step] = [step for upload in uploads for step in upload.steps]
    for step in steps:
        if step.seconds is not None:
            found.setdefault(step.name, []).append(step.seconds)
    return {name: sorted(values) for name, values in found.items()}


def _numbers(uploads: list[Upload], now: float) -> dict[str, object]:
    _, _, counts = _table_of(uploads)
    moving = [u for u in uploads if not u.ended]
    return {
        "uploads": len(uploads),
        "counts": [{"step": s, "state": st, "uploads": n} for (s, st), n in sorted(counts.items())],
        "oldestSeconds": round(max((now - u.created for u in moving), default=0.0)),
        "stuck": sum(1 for u in moving if u.stuck),
        "retries": sum(u.retries for u in moving),
        "steps": [
            {
                "step": name,
                "attempts": len(v),
                "p50Seconds": round(rank(v, 50), 3),
                "p95Seconds": round(rank(v, 95), 3),
            }
            for name, v in _durations(uploads).items()
        ],
    }
