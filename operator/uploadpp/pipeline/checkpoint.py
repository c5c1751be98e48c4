"""Writing states to the API server, coalesced: at most one write per upload in flight (invariant 2.2).

A bounded number of writers takes uploads in the order they became storable, as many at a
time as `pipeline.write_throttle` allows. Whatever happens to an upload while it waits or is being
written goes into its next write, so an idle system writes every transition and a flooded
one only the last. What cannot be written is parked (`pipeline.refusals`) and does not keep a writer.

A writer takes state and version together, before its first request. What it reports as saved is that
version, never the one that the upload has when the answer comes. So a change during a write leaves the upload
dirty, and it is queued again.

    version   1 ─── 2 ─── 3                 `queued` is set by 1: 2 and 3 do not queue it again
    writer          └─ writes 2 ─┐          it has taken the state when 2 was the newest
    saved                        2 ─ 3      dirty, so it is written once more

A write is allowed only while nobody else can own the shard. Each one but a creation compares with the version
that we know, and after a conflict we look at what somebody else has written.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from uploadpp.api.codec import to_status
from uploadpp.api.plan import tells_plan
from uploadpp.api.timestamps import format_time
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Origin, Upload
from uploadpp.core.naming import ENDED_ANNOTATION
from uploadpp.kube import errors
from uploadpp.kube.errors import ApiError, ConflictError, Refusal, RefusedError, UnavailableError
from uploadpp.kube.lease import LeaseLostError
from uploadpp.kube.sealing import TooLargeError, sealed_with
from uploadpp.kube.store import Stored, altered_in, is_terminating, stored
from uploadpp.pipeline.ports import Json, Notices, Resources
from uploadpp.pipeline.record_limit import RecordLimit
from uploadpp.pipeline.refusals import Refusals
from uploadpp.pipeline.resource_encoder import ResourceEncoder
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.uploads import Uploads
from uploadpp.pipeline.write_guard import WriteGuard
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.pipeline.write_throttle import QUIET_SECONDS

log = logging.getLogger(__name__)

CONFLICTS_IN_A_ROW = 5
"""After this many conflicts in a row, give way for a while to whatever keeps changing the resource."""
CREATE, STATUS, SEALED = "create", "status", "spec.sealed"


class ResourceHandler(Protocol):
    """Called when a resource is not as we wrote it (`resources.event_handler.ResourceEventHandler`)."""

    def seen(self, resource: Json) -> None:
        """The resource as it is now."""

    def claimed(self, tracked: TrackedUpload, resource: Json) -> None:
        """The resource existed before we could create it, or asks for something that we do not."""

    def vanished(self, tracked: TrackedUpload) -> None:
        """The resource no longer exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Where states are written to, and whether they may be."""

    resources: Resources
    notices: Notices
    encoder: ResourceEncoder
    guard: WriteGuard
    limit: RecordLimit
    refusals: Refusals


class Checkpoint:
    """The writers of one shard."""

    def __init__(
        self,
        shared: Shared,
        uploads: Uploads,
        queue: WriteQueue,
        records: Records,
        handler: ResourceHandler,
    ) -> None:
        self._metrics = shared.metrics
        self._faults = shared.faults
        self._uploads = uploads
        self._queue = queue
        self._resources = records.resources
        self._notices = records.notices
        self._encoder = records.encoder
        self._guard = records.guard
        self._limit = records.limit
        self._refusals = records.refusals
        self._handler = handler
        self._let_through: asyncio.Queue[TrackedUpload] = asyncio.Queue()
        self._writing = 0

    @property
    def backlog(self) -> int:
        """Uploads that wait to be written, are being written, or are tried again later."""
        return len(self._queue) + self._writing + len(self._refusals)

    @property
    def in_flight(self) -> int:
        """Number of writes in progress."""
        return self._writing

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being written. Refused uploads do not count."""
        return not self._queue and not self._writing

    async def run(self, max_writers: Callable[[float], int]) -> None:
        """Let uploads through to the writers, until cancelled.

        `max_writers` says how many may be written at a time when the oldest has waited so many seconds.
        """
        queue = self._queue
        while True:
            queue.begin_round()
            self._try_again()
            while queue and self._writing < max_writers(queue.oldest_seconds):
                self._let_one_through(queue.pop())
            await queue.wait(QUIET_SECONDS if queue else self._refusals.next_in())

    def _let_one_through(self, tracked: TrackedUpload) -> None:
        verb = CREATE if tracked.stored is None else STATUS
        if tracked.refused is None and self._refusals.blocks(verb):
            with self._faults.isolated(tracked):
                self._refusals.park(tracked, verb)
                self._queue.note_end(tracked)
        else:
            self._writing += 1
            self._let_through.put_nowait(tracked)

    def _try_again(self) -> None:
        for tracked in self._refusals.due():
            self._queue.again(tracked)
        for tracked in self._refusals.expired():
            said = {"upload": tracked.upload.id, "stage": tracked.upload.stage}
            log.warning("the upload has ended but could not be recorded; dropping it from memory", extra=said)
            with self._faults.isolated(tracked):
                self._uploads.forget(tracked)

    async def write(self) -> None:
        """One writer; as many run as writes may be in flight. Until cancelled."""
        while True:
            tracked = await self._let_through.get()
            tracked.creating = tracked.stored is None and not tracked.is_unrecorded_end
            try:
                error = await self._store(tracked)
            finally:
                self._writing -= 1
                self._queue.wake()
            tracked.creating = False  # not if we are cancelled: it is on its way then
            with self._faults.isolated(tracked):
                self._stored(tracked, error)

    def _stored(self, tracked: TrackedUpload, error: ApiError | None) -> None:
        if error is not None and not tracked.gone:  # it stays `queued`: parked
            self._refusals.park(tracked, CREATE if tracked.stored is None else STATUS, error)
            self._queue.note_end(tracked)
            return
        tracked.queued = False
        if tracked.storable:
            self._queue.put(tracked)

    async def _store(self, tracked: TrackedUpload) -> ApiError | None:
        """Write the present state; returns why that has failed."""
        for _ in range(CONFLICTS_IN_A_ROW):
            if tracked.gone or tracked.unpublished:
                return None  # a newer state is being published; it comes back when that is done
            upload, version, is_new = tracked.upload, tracked.version, tracked.stored is None
            try:
                if not await self._write_or_reconcile(tracked, upload):
                    continue
                self._uploads.saved(tracked, version)
                self._post_notices(tracked)
                self._refusals.written(tracked, (CREATE, STATUS) if is_new else (STATUS,))
            except errors.NotFoundError:
                self._vanished(tracked)
                return None
            except ApiError as error:
                away = isinstance(error, UnavailableError)
                self._metrics.writes.labels("any", "unavailable" if away else "refused").inc()
                return error
            except LeaseLostError:
                raise
            except Exception as error:  # noqa: BLE001 -- a bug, or too much for a resource: the writer goes on
                if not isinstance(error, TooLargeError):
                    self._faults.report(tracked, error)
                self._metrics.writes.labels("any", "refused").inc()
                return _unencodable(error)
            return None
        return errors.ContendedError(f"{tracked.name}: another client keeps changing the resource")

    def _vanished(self, tracked: TrackedUpload) -> None:
        try:
            self._handler.vanished(tracked)
        except Exception as error:  # noqa: BLE001 -- logged in `Faults.report`
            self._faults.report(tracked, error)
            tracked.gone = True  # nothing is to be written any more

    async def _write_or_reconcile(self, tracked: TrackedUpload, upload: Upload) -> bool:
        """Write a state; False when somebody else had written and the upload caught up with that."""
        try:
            await self._write(tracked, upload)
        except ConflictError as error:
            self._metrics.writes.labels("any", "conflict").inc()
            await self._reconcile(tracked, error)
            return False
        return True

    async def _write(self, tracked: TrackedUpload, upload: Upload) -> None:
        # No version tells that a successor has removed the resource long ago, or made one we do not know.
        await self._guard.may_write()
        is_new, origin, altered = tracked.stored is None, upload.origin, ""
        if tracked.stored is None:
            self._limit.check()
            made = tracked.stored = await self._timed(CREATE, self._create(tracked, upload))
            altered = made.altered
            upload = _as_recorded(upload, tracked.upload)
            if made.renamed:
                self._uploads.rename(tracked, made.renamed)
        status = to_status(upload, tracked.stored.uid, tracked.sealed_with, tracked.unserved)
        write = self._resources.write_status(tracked.name, tracked.stored.version, status)
        written = tracked.stored = await self._timed(STATUS, write)
        altered = written.altered or altered
        if tracked.sealed is None or not (is_new or tracked.sealed is origin):
            # Last: were it there before the run that it began, its announcement would count as a duplicate.
            latest = tracked.upload.origin  # it tells when an upload was announced whose resource was there
            origin = latest if latest.url == origin.url else evolve(origin, announced_at=latest.announced_at)
            tracked.stored = await self._seal(tracked, written, origin)
            altered = tracked.stored.altered or altered
        if altered and not (upload.stage.ended and altered == SEALED):
            # After a restart we could not go on with that. Not a fight: it is tried again rarely.
            tracked.sealed = None
            raise RefusedError(_changed(tracked.name, altered), Refusal.CHANGED)

    async def _timed(self, verb: str, write: Awaitable[Stored]) -> Stored:
        began = time.perf_counter()
        written = await write
        self._metrics.write_seconds.labels(verb).observe(time.perf_counter() - began)
        self._metrics.writes.labels(verb, "ok").inc()
        return written

    async def _seal(self, tracked: TrackedUpload, known: Stored, origin: Origin) -> Stored:
        sealed = self._encoder.seal(origin, tracked.upload)
        write = self._resources.write_sealed(tracked.name, known.version, sealed)
        written = await self._timed("patch", write)
        tracked.sealed, tracked.sealed_with = origin, sealed_with(sealed)
        return written

    async def _create(self, tracked: TrackedUpload, upload: Upload) -> Stored:
        try:
            resource = self._encoder.resource(upload)
            if tracked.refused is not None and upload.stage.ended:
                # Were we killed before the status, no message would tell the end. Its messages may have been
                # acknowledged even if the last attempt was not answered: an earlier one was refused.
                resource["metadata"].setdefault("annotations", {})[ENDED_ANNOTATION] = str(upload.stage)
            made = await self._resources.create(resource)
        except ConflictError:
            # An answer of ours that got lost, a person's resource that the watch has not shown yet, or a
            # new owner's while we are the zombie.
            await self._guard.confirm_ownership()
            existing = await self._resources.get(tracked.name)
            if existing is None:
                raise
            return await self._claim_own(tracked, existing)
        except ApiError as error:
            hidden = tracked.refused is not None and tracked.refused.reason is Refusal.PROXY
            if not tracked.maybe_made or (error.reason is Refusal.UNREACHABLE and not hidden):
                raise
            # Refused now, but a person, or an earlier attempt whose answer was lost, may have made it.
            existing = await self._resources.get(tracked.name)
            if existing is None:
                raise
            await self._guard.confirm_ownership()
            return await self._claim_own(tracked, existing)
        await self._keep_or_remove(tracked, made.renamed or tracked.name, made.uid, made.altered)
        _fix_plan(tracked, resource["spec"])
        tracked.sealed, tracked.sealed_with = upload.origin, sealed_with(resource["spec"].get("sealed", ""))
        if made.asks is not None:  # no watch tells: the generation is that of our own creation
            self._handler.claimed(tracked, made.asks)
        return made if made.asks is None else replace(made, asks=None)

    async def _keep_or_remove(self, tracked: TrackedUpload, name: str, uid: str, altered: str) -> None:
        """Remove a resource of ours that is another than we wrote: a restart would go by what it says."""
        if altered and altered != SEALED:
            tracked.maybe_made = True
            with contextlib.suppress(ApiError):  # then it is found, and removed, at the next attempt
                await self._resources.delete(name, uid)
                tracked.maybe_made = False
            raise RefusedError(_changed(name, altered), Refusal.CHANGED)

    async def _claim_own(self, tracked: TrackedUpload, existing: Json) -> Stored:
        meta, upload = existing["metadata"], tracked.upload
        if existing["spec"]["upload"]["id"] != upload.id or is_terminating(existing):
            raise RefusedError(f"{tracked.name} belongs to another upload, or is being deleted", Refusal.NAME)
        tracked.maybe_made = True  # if this fails, a restart would begin the upload from that resource
        announced = existing["spec"]["upload"].get("receivedTime") == format_time(upload.received_at)
        over = upload.stage.ended and ENDED_ANNOTATION in (meta.get("annotations") or {})  # no step starts
        if announced and not over and existing["spec"].get("sealed") and not existing.get("status"):  # ours
            altered = altered_in(self._encoder.resource(upload), existing)
            await self._keep_or_remove(tracked, tracked.name, meta["uid"], altered)
        return await self._claim(tracked, existing)

    async def _claim(self, tracked: TrackedUpload, existing: Json) -> Stored:
        """Go on with a resource that is there already; what we know of the upload has to be in it."""
        spec, origin = existing["spec"], tracked.upload.origin
        if spec["upload"].get("receivedTime") != format_time(tracked.upload.received_at):
            # Everything published carries the time of the announcement, which this spec does not say.
            origin = evolve(origin, announced_at=tracked.upload.received_at)
            tracked.upload = evolve(tracked.upload, origin=origin)
        _fix_plan(tracked, spec)
        claimed = stored(existing)
        sealed = spec.get("sealed", "")
        if self._encoder.opens_to(sealed, tracked.upload):
            tracked.sealed, tracked.sealed_with = origin, sealed_with(sealed)
        elif "status" not in existing or not self._encoder.is_by_hand(sealed, tracked.upload.id):
            claimed = await self._seal(tracked, claimed, origin)
        # A status of somebody's run that does not count is overwritten first: sealed, it would count again.
        self._handler.claimed(tracked, existing)
        return claimed

    async def _reconcile(self, tracked: TrackedUpload, conflict: ConflictError) -> None:
        """Somebody else has written: make sure we still own the shard, then look at what it is."""
        await self._guard.confirm_ownership()
        known, current = tracked.stored, await self._resources.get(tracked.name)
        if current is None:
            if tracked.stored is None:  # a quota's conflict, for example: there is nothing that was removed
                raise UnavailableError(str(conflict), reason=conflict.reason)
            self._handler.vanished(tracked)
            return
        now = stored(current)
        self._guard.check_not_older(known, now)
        held = tracked.stored
        if held is not None and (held.uid, held.version) == (now.uid, now.version):
            raise RefusedError(str(conflict))  # nothing has changed: it only looks like a conflict
        if held is not None and held.uid != now.uid:
            self._uploads.forget(tracked)
            self._handler.seen(current)
            return
        first, tracked.stored = held is None, now
        if first:
            self._handler.claimed(tracked, current)
        else:
            self._handler.seen(current)

    def _post_notices(self, tracked: TrackedUpload) -> None:
        if tracked.stored is None:
            return
        for notice in tracked.notices:
            self._notices.post(tracked.name, tracked.stored.uid, notice)
        tracked.notices = ()


def _as_recorded(upload: Upload, now: Upload) -> Upload:
    """A state as the first status tells it, given what its resource has made of the upload.

    The resource may not contain the plan. What it asks for was heard after this state: were we killed before
    the next status, the next owner would not look at it.
    """
    heard = upload.observed_generation if now.control == upload.control else 0
    return evolve(upload, plan_in_status=now.plan_in_status, observed_generation=heard)


def _changed(name: str, altered: str) -> str:
    return (
        f"{name}: the API server has not stored {altered} as it was written: a webhook changes it, "
        "or the CRD is older than this operator (kubectl apply -f crds/)"
    )


def _unencodable(error: Exception) -> RefusedError:
    """Why a resource cannot be created, without quoting it."""
    if isinstance(error, TooLargeError):
        return RefusedError(str(error), Refusal.SIZE)
    text = f"cannot be encoded: {type(error).__name__}; this is a bug, please report it"
    return RefusedError(text, Refusal.UNENCODABLE)


def _fix_plan(tracked: TrackedUpload, spec: Json) -> None:
    """The resource is there: from here on it tells the plan, and an event of an owner before us does not.

    Where it tells another one than that by which the upload has begun, or will, the status has to.
    """
    if tells_plan(spec, tracked.upload):
        tracked.upload = evolve(tracked.upload, plan_fixed=True)
    else:
        tracked.upload = evolve(tracked.upload, plan_in_status=True)
