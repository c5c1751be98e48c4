"""`prune`: delete the resources of uploads that have ended some time ago."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable

from kubectl_pp import selection
from kubectl_pp.change import Batch, BatchResult, Delete, Disposition, confirm
from kubectl_pp.client import Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, UsageError
from kubectl_pp.screen import Color
from kubectl_pp.sorting import NEEDS_A_PERSON
from kubectl_pp.times import parse_age
from kubectl_pp.upload import QUALIFIED, Upload

KEPT = ("name", "namespace", "uid", "resourceVersion")


def run(context: Context) -> int:
    """Delete what has ended; returns the exit code."""
    options = context.options
    if not options.older:
        raise UsageError(
            "--older is missing",
            "--older=7d deletes the resources of uploads that ended more than a week ago",
        )
    earliest = time.time() - parse_age(options.older, "--older")

    def is_over(upload: Upload) -> bool:
        ended_at = upload.time("completionTime")
        if not upload.ended or ended_at is None or ended_at >= earliest:
            return False
        return upload.failed if options.failed else upload.stage not in NEEDS_A_PERSON

    uploads = context.client.retried(lambda: _find(context, is_over))
    if not uploads:
        context.screen.note(f"nothing matched: no such upload has ended more than {options.older} ago")
        return ExitCode.OK
    confirm(context, "delete the resources of", len(uploads))
    # What was listed was looked at then. A resource that has changed since is read again.
    batch = Batch(context, lambda _: Delete(), lambda upload: not upload.raw.get("status") or is_over(upload))
    return _report(context, batch.run(uploads, options.verb))


def _find(context: Context, is_over: Callable[[Upload], bool]) -> list[Upload]:
    """Of each resource no more than its name and version: there may be very many."""
    base = selection.params(context.options)
    found: list[Upload] = []

    def take(page: Json) -> None:
        over = filter(is_over, map(Upload, page.get("items", [])))
        found.extend(Upload({"metadata": {key: upload.meta[key] for key in KEPT}}) for upload in over)

    selection.read_pages(context, [selection.narrowed(base, selection.ENDED)], take)
    return found


def _report(context: Context, batch_result: BatchResult) -> int:
    options = context.options
    counts: dict[str, int] = {}
    for result in batch_result.results:
        word = {
            Disposition.APPLIED: "would be deleted" if options.dry_run else "deleted",
            Disposition.LEFT: "unchanged",
            Disposition.REFUSED: "refused",
            Disposition.UNTRIED: "not asked",
        }[result.disposition]
        counts[word] = counts.get(word, 0) + 1
        name = f"{QUALIFIED}/{result.upload.name}"
        if options.output == "name":
            if result.disposition is Disposition.APPLIED:
                context.screen.line(name)
            continue
        place = f" in {result.upload.namespace}" if options.all_namespaces else ""
        if result.disposition is Disposition.APPLIED:
            context.screen.line(f"{name}{place} {word}")
        elif result.disposition is not Disposition.UNTRIED:
            color = Color.BAD if result.disposition is Disposition.REFUSED else None
            context.screen.line(f"{name}{place} {context.screen.paint(word, color)}: {result.text}")
    if len(batch_result.results) > 1:
        context.screen.note(", ".join(f"{count:,} {word}" for word, count in counts.items()))
    if batch_result.interrupted or batch_result.broken is not None:
        again = shlex.join(["kubectl", "pp", *sys.argv[1:]])
        context.screen.note(f"interrupted; to continue with the rest: {again}")
        if batch_result.broken is not None:
            raise batch_result.broken
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if "refused" in counts else ExitCode.OK
