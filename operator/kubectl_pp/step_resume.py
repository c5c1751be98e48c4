"""Resuming everything that is in a step by one request, which the operator hands on through its log.

A patch for each upload costs the API server as much as the statuses that answer it, and more
than all the rest; 5,000 of them are a matter of minutes on a small cluster.
"""

from __future__ import annotations

import threading

from kubectl_pp.change import CONFLICTS, BatchResult, Decide, Disposition, Interrupt, Result, Skip
from kubectl_pp.context import Context
from kubectl_pp.errors import ConflictError, MissingError, PluginError, UnavailableError
from kubectl_pp.upload import DesiredState, Outcome, Upload, collection
from uploadpp.core.states import RestartMode

MANY = 50
"""With fewer uploads, each gets a patch of its own and shows the request that it answers."""


class StepResume:
    """The request that all uploads in a step go on."""

    def __init__(self, context: Context, step: str, token: str, decide: Decide) -> None:
        self._client = context.client
        self._dry_run: bool = context.options.dry_run
        self._step = step
        self._token = token
        self._decide = decide

    def was_made(self, namespace: str | None) -> bool:
        """Whether an upload has this very request already, in whatever step it is by now."""
        found = self._client.items(collection(namespace), {})
        requests = (item["spec"].get("restart", {}) for item in found)
        same = {"token": self._token, "mode": RestartMode.RESUME_STEP}
        return any(same.items() <= request.items() for request in requests)

    def make(self, uploads: list[Upload], version: str) -> BatchResult:
        """Send the request, once in each namespace.

        Args:
            uploads: those in the step, as listed.
            version: of that list.

        Raises:
            PluginError: the CRD is older than such requests.
        """
        results = [self._alone(upload) for upload in uploads]
        todo = {result.upload.namespace for result in results if result.disposition is Disposition.APPLIED}
        proofs: dict[tuple[str, str], str] = {}
        broken: UnavailableError | None = None
        with Interrupt(threading.Event()) as interrupt:
            for namespace in sorted(todo):
                if interrupt.came:
                    break
                mine = [
                    r.upload
                    for r in results
                    if r.disposition is Disposition.APPLIED and r.upload.namespace == namespace
                ]
                try:
                    proofs[self._ask(mine).key] = self._token
                except UnavailableError as error:
                    broken = error
                    break
                todo.discard(namespace)
        if todo:
            results = [
                r._replace(disposition=Disposition.UNTRIED)
                if r.disposition is Disposition.APPLIED and r.upload.namespace in todo
                else r
                for r in results
            ]
            return BatchResult(results, has_moved, interrupted=interrupt.came, broken=broken)
        return BatchResult(results, has_moved, interrupt.came, version=version, proofs=proofs)

    def _alone(self, upload: Upload) -> Result:
        """What the request means for one of them."""
        if upload.desired == DesiredState.SUSPENDED:
            return Result(Disposition.LEFT, upload, "it is suspended; unsuspend continues it")
        if upload.outcome == Outcome.ABORT:
            text = "an abort is not repeated: that would make the storage remove the bytes"
            return Result(Disposition.REFUSED, upload, text)
        request = self._decide(upload)
        if isinstance(request, Skip):
            return Result(Disposition.REFUSED if request.refused else Disposition.LEFT, upload, request.why)
        return Result(Disposition.APPLIED, upload, request.word)

    def _ask(self, uploads: list[Upload]) -> Upload:
        """Write the request into one of them, it does not matter which; returns that one."""
        request = {"token": self._token, "mode": RestartMode.RESUME_STEP, "fromStep": self._step}
        for upload in uploads[: CONFLICTS * 10]:
            identity = {"uid": upload.meta["uid"], "resourceVersion": upload.meta["resourceVersion"]}
            body = {"metadata": identity, "spec": {"restart": request}}
            try:
                self._client.patch(upload.path(), body, dry_run=self._dry_run)
            except (ConflictError, MissingError):
                continue  # it has moved; another will do
            return upload
        raise PluginError("all uploads keep changing", "try again")


def has_moved(now: Upload, before: Upload) -> bool:
    """Whether an upload has changed since it was listed."""
    return _place(now) != _place(before)


def _place(upload: Upload) -> tuple[object, ...]:
    status = upload.status
    attempts = [step.attempts for step in upload.steps]
    return upload.stage, upload.refusal, status.get("stageTime"), status.get("run"), attempts
