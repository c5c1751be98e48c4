"""`restart` and `resume`: a new token in spec.restart, and the words of the command they replace."""

from __future__ import annotations

import secrets
import shlex
import sys
import time

from kubectl_pp import selection
from kubectl_pp.change import Batch, BatchResult, Disposition, Patch, Result, Skip, acted_on, confirm
from kubectl_pp.client import Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ConflictError, ExitCode, MissingError, PluginError, UnavailableError, UsageError
from kubectl_pp.report import BulkReport, conclude
from kubectl_pp.step_resume import MANY, StepResume
from kubectl_pp.times import parse_duration
from kubectl_pp.upload import (
    FINISHED,
    GROUP,
    KIND,
    VERSION,
    DesiredState,
    Stage,
    Upload,
    collection,
    resource_name,
)
from uploadpp.core.states import RestartMode

ASKED_BEFORE = "it already has this token"


def ask_again(context: Context) -> int:
    """Restart or resume."""
    options = context.options
    _check(context)
    old = _old_language(context)
    token = options.repeat or f"pp-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    limit = parse_duration(options.timeout, "--timeout")
    version = ""
    if options.upload_id:
        try:
            uploads = selection.find_named(context, [options.upload_id])
        except MissingError as error:
            if not options.create:
                create = context.command(f"{options.verb} -u {shlex.quote(options.upload_id)} --create")
                error.remedy += f"; or ask the storage for it: {create}"
                raise
            return _create(context, options.upload_id)
    else:
        uploads, version = selection.choose(context)
    if not uploads:
        return selection.nothing_matched(context)
    if options.all:
        confirm(context, options.verb, len(uploads))
    again = _again(token)
    if len(uploads) > 1 and not options.dry_run:
        context.screen.note(
            f"{len(uploads):,} uploads; if this is interrupted, continue with --repeat={token}"
        )
    requests = _Requests(context, token, old=old)
    batch_result = _by_step(context, requests, uploads, version, token) if requests.of_step else None
    if batch_result is None:
        batch_result = Batch(context, requests.decide, requests.still).run(uploads, options.verb)
    return conclude(context, batch_result, BulkReport(options.verb, again, limit))


def _by_step(
    context: Context, requests: _Requests, uploads: list[Upload], version: str, token: str
) -> BatchResult | None:
    """Ask by one request for the whole step; None when each upload has to be asked."""
    request = StepResume(context, context.options.step, token, requests.decide)
    if context.options.repeat and request.was_made(context.namespace):
        return BatchResult([Result(Disposition.LEFT, u, ASKED_BEFORE) for u in uploads], acted_on)
    if len(uploads) < MANY:
        return None
    try:
        return request.make(uploads, version)
    except UnavailableError:
        raise
    except PluginError as error:
        context.screen.note(
            f"cannot resume the whole step with one request, so each upload gets its own: {error}"
        )
        return None


def _check(context: Context) -> None:
    options = context.options
    if options.upload_id and (options.names or options.s or options.selector or options.all):
        raise UsageError("-u already selects one upload", "omit the other selectors")
    if options.create and not options.upload_id:
        raise UsageError("--create requires -u")
    if options.s and options.step:
        raise UsageError("-s and --step both select a step", "omit one of them")


def _old_language(context: Context) -> bool:
    """Whether the command is put as for `ocis postprocessing restart`; -s is the default there."""
    options = context.options
    chosen = options.names or options.selector or options.field_selector or options.step
    if not (chosen or options.failed or options.stalled or options.all or options.upload_id or options.s):
        options.s = FINISHED
    old = bool(options.upload_id or options.s) and not chosen
    options.step = options.step or options.s
    return old and not (options.verb == "restart" and (options.restart or options.from_step or options.force))


class _Requests:
    """What to ask of each upload."""

    def __init__(self, context: Context, token: str, *, old: bool) -> None:
        options = context.options
        self._verb: str = options.verb
        self._force: bool = getattr(options, "force", False)
        self._from_step: str | None = getattr(options, "from_step", None)
        self._step: str | None = options.step
        self._token, self._old = token, old
        self._tests = selection.tests(options) if not options.names else []
        selected = options.selector or options.field_selector or options.failed or options.stalled
        fresh = self._force or self._from_step or (self._verb == "restart" and not old)
        self.of_step = bool(options.step) and not (selected or fresh or options.names)
        """Whether all uploads of a step are to be resumed, and nothing else is asked."""

    def still(self, upload: Upload) -> bool:
        """Whether the upload is still one of those selected."""
        if self._step and upload.step != self._step:
            return False
        return all(test(upload) for test in self._tests) or self._has_token(upload)

    def decide(self, upload: Upload) -> Patch | Skip:
        """The patch for one upload."""
        if upload.left_alone:
            return Skip(upload.message, refused=True)
        if self._has_token(upload):
            return Skip(ASKED_BEFORE)
        mode = self._mode(upload)
        spec: Json = {"restart": {"token": self._token, "mode": mode, "fromStep": self._from_step}}
        if upload.desired == DesiredState.CANCELLED:
            if mode is not RestartMode.FORCE_RESTART:
                return Skip("it was cancelled; restart --force begins a new run anyway", refused=True)
            spec["desiredState"] = DesiredState.ACTIVE
        return Patch(spec, "resumed" if mode is RestartMode.RESUME else "restarted")

    def _mode(self, upload: Upload) -> RestartMode:
        if self._verb == "resume":
            return RestartMode.RESUME
        if self._force:
            return RestartMode.FORCE_RESTART
        if self._old and (not upload.ended or upload.stage in {Stage.UPLOAD_FAILED, Stage.UNANSWERED}):
            return RestartMode.RESUME
        return RestartMode.RESTART

    def _has_token(self, upload: Upload) -> bool:
        return bool(upload.spec.get("restart", {}).get("token") == self._token)


def _create(context: Context, upload_id: str) -> int:
    """Put in an upload nobody knows: the operator asks the storage for it."""
    namespace = context.default_namespace
    body = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": resource_name(upload_id), "namespace": namespace},
        "spec": {"upload": {"id": upload_id}},
    }
    if not context.options.dry_run:
        try:
            context.client.post(collection(namespace), body)
        except ConflictError as error:
            raise UsageError(
                f"{error}", "another upload has that name; create the resource by hand"
            ) from error
    context.screen.line(
        f"{KIND.lower()}.{GROUP}/{resource_name(upload_id)} created; the storage is asked for the upload"
    )
    return ExitCode.OK


def _again(token: str) -> str:
    """The same command with its token."""
    words = [word for word in sys.argv[1:] if not word.startswith("--repeat")]
    return shlex.join(["kubectl", "pp", *words, f"--repeat={token}"])
