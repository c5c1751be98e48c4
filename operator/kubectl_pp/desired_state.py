"""What `suspend`, `unsuspend` and `cancel` ask for: spec.desiredState."""

from __future__ import annotations

import shlex
import sys

from kubectl_pp import selection
from kubectl_pp.change import Batch, Patch, Skip, confirm
from kubectl_pp.client import Json
from kubectl_pp.context import Context
from kubectl_pp.report import BulkReport, conclude
from kubectl_pp.times import parse_duration
from kubectl_pp.upload import DesiredState, Stage, Upload
from uploadpp.core.states import CancelPolicy


def change_all(context: Context, desired: DesiredState, word: str) -> int:
    """Change the desired state of the chosen uploads; `word` says it in the past tense."""
    options = context.options
    limit = parse_duration(options.timeout, "--timeout")
    uploads, _ = selection.choose(context)
    if not uploads:
        return selection.nothing_matched(context)
    if options.all:
        confirm(context, options.verb, len(uploads))
    tests = [] if options.names else selection.tests(options)
    batch = Batch(
        context,
        lambda upload: _decide(context, upload, desired, word),
        lambda u: all(test(u) for test in tests),
    )
    again = shlex.join(["kubectl", "pp", *sys.argv[1:]])
    return conclude(context, batch.run(uploads, options.verb), BulkReport(options.verb, again, limit))


def _decide(context: Context, upload: Upload, desired: DesiredState, word: str) -> Patch | Skip:
    if upload.left_alone:
        return Skip(upload.message, refused=True)
    if upload.ended:
        return Skip(f"it has ended: {upload.stage}", refused=desired is DesiredState.CANCELLED)
    if upload.desired == desired:
        return Skip(f"it is already {word}" if desired is not DesiredState.ACTIVE else "it is not suspended")
    if upload.desired == DesiredState.CANCELLED:
        return Skip("it is being cancelled", refused=True)
    if desired is not DesiredState.CANCELLED:
        return Patch({"desiredState": desired}, word)
    if upload.stage == Stage.AWAITING_READY and not upload.stuck:
        return Skip(f"the storage already has the outcome {upload.outcome}", refused=True)
    policy = CancelPolicy.DELETE if context.options.delete else CancelPolicy.ABORT
    spec: Json = {"desiredState": desired, "cancelPolicy": policy}
    return Patch(spec, word)
