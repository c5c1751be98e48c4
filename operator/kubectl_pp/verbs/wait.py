"""`wait`: until uploads have ended; its exit code says how."""

import time

from kubectl_pp import selection
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, UsageError
from kubectl_pp.times import parse_duration
from kubectl_pp.tracker import Tracker
from kubectl_pp.upload import QUALIFIED, Upload
from kubectl_pp.words import state


def run(context: Context) -> int:
    """Wait, and say how each ended."""
    options = context.options
    limit = parse_duration(options.timeout, "--timeout")
    deadline = time.monotonic() + limit if limit else None
    uploads = _chosen(context)
    if not uploads:
        context.screen.note("nothing matched: there is no upload to wait for")
        return ExitCode.NOT_FOUND
    tracker = Tracker(context, uploads)
    told: set[tuple[str, str]] = set()

    def tell(upload: Upload) -> None:
        if upload.ended and upload.key not in told:
            told.add(upload.key)
            if not options.quiet:
                context.screen.line(f"{QUALIFIED}/{upload.name} {state(upload)}")
                context.screen.out.flush()

    for upload in uploads:
        tell(upload)
    pending = tracker.follow(lambda upload: upload.ended, deadline=deadline, on_change=tell)
    for key in pending:
        context.screen.note(f"timed out: {key[1]} is {state(tracker.uploads[key])}")
    if any(upload.failed for upload in tracker.uploads.values()):
        return ExitCode.FAILED
    lost = [key for key in tracker.gone if not tracker.uploads[key].ended]
    for _, name in lost:
        context.screen.note(f"{name} was deleted before it ended")
    if lost:
        return ExitCode.NOT_FOUND
    return ExitCode.TIMEOUT if pending else ExitCode.OK


def _chosen(context: Context) -> list[Upload]:
    options = context.options
    selected = options.selector or options.field_selector
    if bool(options.names) == bool(selected):
        raise UsageError("wait needs names or a selector", "kubectl pp wait NAME, or -l, --field-selector")
    if options.names:
        return selection.find_named(context, options.names)
    return selection.find_all(context)[0]
