"""After a change: wait for the operator's answers, and say of each upload what became of it."""

import sys
import time
from typing import NamedTuple

from kubectl_pp.change import Batch, Fate, Progress, Result
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode
from kubectl_pp.screen import Color
from kubectl_pp.tracker import Tracker
from kubectl_pp.upload import QUALIFIED, Upload
from kubectl_pp.words import state

ANSWER_SECONDS = 5.0
"""How long no answer may arrive before we say that there is none."""


class Asked(NamedTuple):
    """What the report is about."""

    verb: str
    again: str
    """The command that goes on after an interruption."""


def conclude(context: Context, batch: Batch, results: list[Result], asked: Asked) -> int:
    """Report, and return the exit code."""
    options = context.options
    changed = {r.upload.key: r.upload for r in results if r.fate is Fate.ASKED}
    late = set() if options.dry_run else set(changed)
    timed_out = False
    interrupted = batch.interrupted
    latest = dict(changed)
    if changed and not options.dry_run and not interrupted and batch.broken is None:
        tracker = Tracker(context, changed.values())
        try:
            answers = Progress(context.screen.tty and sys.stderr.isatty(), "answered", len(changed))
            tracker.follow(
                lambda upload: _answered(upload, changed), idle=ANSWER_SECONDS, on_progress=answers.tell
            )
            answers.end()
            if options.wait:
                deadline = time.monotonic() + batch.limit if batch.limit else None
                timed_out = bool(tracker.follow(lambda upload: _over(upload, changed), deadline=deadline))
        except KeyboardInterrupt:
            interrupted = True
        latest = tracker.uploads
        late = {key for key, upload in latest.items() if not _answered(upload, changed)}
    report = _Report(context, asked, latest, late)
    for result in results:
        report.tell(result)
    report.total(results)
    if interrupted:
        context.screen.note(f"interrupted; to go on with the rest: {asked.again}")
        return ExitCode.INTERRUPTED
    if batch.broken is not None:
        context.screen.note(f"to go on with the rest: {asked.again}")
        raise batch.broken
    if report.refused or (options.wait and any(u.failed for u in latest.values())):
        return ExitCode.FAILED
    return ExitCode.TIMEOUT if timed_out else ExitCode.OK


def _answered(upload: Upload, changed: dict[tuple[str, str], Upload]) -> bool:
    """Whether the operator has acted on the very change we made."""
    wanted = changed[upload.key].meta.get("generation", 1)
    return int(upload.status.get("observedGeneration", 0)) >= int(wanted)


def _over(upload: Upload, changed: dict[tuple[str, str], Upload]) -> bool:
    return _answered(upload, changed) and upload.ended


class _Report:
    """Prints a line for each upload and one for all."""

    def __init__(
        self,
        context: Context,
        asked: Asked,
        latest: dict[tuple[str, str], Upload],
        late: set[tuple[str, str]],
    ) -> None:
        self._context, self._asked, self._latest, self._late = context, asked, latest, late
        self._counts: dict[str, int] = {}
        self.refused = 0

    def tell(self, result: Result) -> None:
        """One upload."""
        word, text = self._words(result)
        self._counts[word] = self._counts.get(word, 0) + 1
        upload, options = result.upload, self._context.options
        if options.output == "name":
            if result.fate is Fate.ASKED:
                self._context.screen.line(f"{QUALIFIED}/{upload.name}")
            return
        if result.fate is Fate.UNTRIED:
            return
        color = Color.BAD if word == "refused" else None
        place = f" in {upload.namespace}" if options.all_namespaces else ""
        self._context.screen.line(
            f"{QUALIFIED}/{upload.name}{place} {self._context.screen.paint(word, color)}{text}"
        )

    def _words(self, result: Result) -> tuple[str, str]:
        upload = self._latest.get(result.upload.key, result.upload)
        match result.fate:
            case Fate.ASKED if self._context.options.dry_run:
                return f"would be {result.text}", f" (dry run), now {state(upload)}"
            case Fate.ASKED if upload.key in self._late or self._context.options.dry_run:
                return "asked", f": to be {result.text}; the operator has not answered yet"
            case Fate.ASKED if upload.refusal:
                self.refused += 1
                return "refused", f": {upload.refusal.replace('mode ForceRestart', 'restart --force')}"
            case Fate.ASKED:
                return result.text, f", now {state(upload)}"
            case Fate.REFUSED:
                self.refused += 1
                return "refused", f": {result.text}"
            case Fate.LEFT:
                return "unchanged", f": {result.text}"
            case Fate.UNTRIED:
                return "not asked", ""

    def total(self, results: list[Result]) -> None:
        """All uploads, if there are several; and what to do when nobody answers."""
        if len(results) > 1:
            self._context.screen.note(", ".join(f"{count:,} {word}" for word, count in self._counts.items()))
        if self._late:
            self._context.screen.note(f"is the operator running? {self._context.command('doctor')}")
