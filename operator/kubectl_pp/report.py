"""After a change: waits for the operator's answers, and reports what happened to each upload."""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from kubectl_pp.change import BatchResult, Disposition, Progress, Result
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode
from kubectl_pp.screen import Color
from kubectl_pp.tracker import Tracker
from kubectl_pp.upload import QUALIFIED, Upload
from kubectl_pp.words import state

ANSWER_SECONDS = 5.0
"""How long nothing may happen to the uploads before the report says that nobody answers."""

SHOWN_SECONDS = 10.0
"""How long to wait for resources to show what the operator did, before continuing without them."""


class BulkReport(NamedTuple):
    """What the report is about."""

    verb: str
    again: str
    """The command that continues after an interruption."""
    limit: float
    """Seconds that --wait may last; 0 is any number."""


def conclude(context: Context, batch_result: BatchResult, asked: BulkReport) -> int:
    """Report, and return the exit code."""
    options, results = context.options, batch_result.results
    changed = {r.upload.key: r.upload for r in results if r.disposition is Disposition.APPLIED}

    def answered(upload: Upload) -> bool:
        return batch_result.answered(upload, changed[upload.key])

    late = set() if options.dry_run else set(changed)
    timed_out = False
    interrupted = batch_result.interrupted
    latest = dict(changed)
    if changed and not options.dry_run and not interrupted and batch_result.broken is None:
        try:
            tracker = Tracker(context, changed.values(), batch_result.version)
            latest = tracker.uploads
            _until_answered(context, tracker, batch_result, answered)
            if options.wait:
                deadline = time.monotonic() + asked.limit if asked.limit else None
                timed_out = bool(
                    tracker.follow(lambda upload: answered(upload) and upload.ended, deadline=deadline)
                )
        except KeyboardInterrupt:
            interrupted = True
        late = {key for key, upload in latest.items() if not answered(upload)}
    report = _Report(context, asked, latest, late, carried_out=_is_carried_out(batch_result, latest))
    for result in results:
        report.tell(result)
    report.total(results)
    if interrupted:
        context.screen.note(f"interrupted; to continue with the rest: {asked.again}")
        return ExitCode.INTERRUPTED
    if batch_result.broken is not None:
        context.screen.note(f"to continue with the rest: {asked.again}")
        raise batch_result.broken
    if report.refused or (options.wait and any(u.failed for u in latest.values())):
        return ExitCode.FAILED
    return ExitCode.TIMEOUT if timed_out else ExitCode.OK


def _until_answered(
    context: Context, tracker: Tracker, batch_result: BatchResult, answered: Callable[[Upload], bool]
) -> None:
    """Wait for the answers; where one stands for all, do not wait long until every resource shows it."""
    answers = Progress(context.screen.steerable and sys.stderr.isatty(), "answered", len(tracker.uploads))
    deadline = None
    if batch_result.proofs:
        tracker.follow(
            lambda u: u.key not in batch_result.proofs or u.observed_token == batch_result.proofs[u.key],
            idle=ANSWER_SECONDS,
        )
        if _is_carried_out(batch_result, tracker.uploads):
            deadline = time.monotonic() + SHOWN_SECONDS
    tracker.follow(answered, idle=ANSWER_SECONDS, deadline=deadline, on_progress=answers.tell)
    answers.end()


def _is_carried_out(batch_result: BatchResult, latest: dict[tuple[str, str], Upload]) -> bool:
    """Whether one request for many was granted."""
    proofs = [(latest[key], token) for key, token in batch_result.proofs.items() if key in latest]
    return bool(proofs) and all(u.observed_token == token and not u.refusal for u, token in proofs)


class _Report:
    """Prints a line for each upload and one for all."""

    def __init__(
        self,
        context: Context,
        asked: BulkReport,
        latest: dict[tuple[str, str], Upload],
        late: set[tuple[str, str]],
        *,
        carried_out: bool,
    ) -> None:
        self._context, self._asked, self._latest, self._late = context, asked, latest, late
        self._carried_out = carried_out
        self._counts: dict[str, int] = {}
        self.refused = 0

    def tell(self, result: Result) -> None:
        """One upload."""
        word, text = self._words(result)
        self._counts[word] = self._counts.get(word, 0) + 1
        upload, options = result.upload, self._context.options
        if options.output == "name":
            if result.disposition is Disposition.APPLIED:
                self._context.screen.line(f"{QUALIFIED}/{upload.name}")
            return
        if result.disposition is Disposition.UNTRIED:
            return
        color = Color.BAD if word == "refused" else None
        place = f" in {upload.namespace}" if options.all_namespaces else ""
        self._context.screen.line(
            f"{QUALIFIED}/{upload.name}{place} {self._context.screen.paint(word, color)}{text}"
        )

    def _words(self, result: Result) -> tuple[str, str]:
        upload = self._latest.get(result.upload.key, result.upload)
        if result.disposition is Disposition.APPLIED and self._context.options.dry_run:
            return f"would be {result.text}", f" (dry run), now {state(upload)}"
        if result.disposition is Disposition.APPLIED and upload.key in self._late and self._carried_out:
            return result.text, "; the resource does not show it yet"
        if result.disposition is Disposition.APPLIED and (
            upload.key in self._late or self._context.options.dry_run
        ):
            return "requested", f": the operator has not {result.text} it yet"
        if result.disposition is Disposition.APPLIED and upload.refusal:
            self.refused += 1
            return "refused", f": {upload.refusal.replace('mode ForceRestart', 'restart --force')}"
        if result.disposition is Disposition.APPLIED:
            return result.text, f", now {state(upload)}"
        if result.disposition is Disposition.REFUSED:
            self.refused += 1
            return "refused", f": {result.text}"
        if result.disposition is Disposition.LEFT:
            return "unchanged", f": {result.text}"
        return "not requested", ""

    def total(self, results: list[Result]) -> None:
        """All uploads, if there are several; and what to do when nobody answers."""
        if len(results) > 1:
            self._context.screen.note(", ".join(f"{count:,} {word}" for word, count in self._counts.items()))
        if self._late and self._carried_out:
            self._context.screen.note(
                f"the operator has resumed all of them; {len(self._late):,} resources follow when the API "
                f"server takes them, see {self._context.command('watch')}"
            )
        elif self._late:
            self._context.screen.note(f"is the operator running? {self._context.command('doctor')}")
