"""Writing states to the API server, coalesced: at most one write per upload in flight (law 2.2).

A bounded number of writers takes uploads in the order they became storable, as many at a
time as `runtime.pace` allows. Whatever happens to an upload while it waits or is being
written goes into its next write, so an idle system writes every transition and a flooded
one only the last.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from uploadpp.api.codec import ShownField, to_resource, to_status
from uploadpp.api.timestamps import format_time
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Origin, Upload
from uploadpp.kube.errors import ConflictError, NotFoundError, RefusedError, UnavailableError
from uploadpp.kube.sealing import SealError
from uploadpp.kube.store import Stored, stored
from uploadpp.runtime.coordinator import Coordinator
from uploadpp.runtime.entry import Entry
from uploadpp.runtime.metrics import Metrics
from uploadpp.runtime.pace import QUIET_SECONDS
from uploadpp.runtime.ports import Json, Notices, Resources, Seals

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Form:
    """How an upload becomes a resource."""

    seals: Seals
    namespace: str
    shown: frozenset[ShownField]

    def resource(self, upload: Upload) -> Json:
        """The resource to create."""
        sealed = self.seals.seal(upload.origin)
        return to_resource(upload, namespace=self.namespace, shown=self.shown, sealed=sealed)

    def opens_to(self, sealed: str, origin: Origin) -> bool:
        """Whether this is what a resource has sealed."""
        try:
            return bool(sealed) and self.seals.open(sealed) == origin
        except SealError:
            return False


class Watcher(Protocol):
    """Told when a resource is not what we left it as."""

    async def confirm_ownership(self) -> None:
        """Make sure that we still own the shard; raises when we do not or cannot tell."""

    async def may_create(self) -> None:
        """Raises unless nobody else can own the shard at this moment."""

    def seen(self, resource: Json) -> None:
        """The resource as it is now."""

    def claimed(self, entry: Entry, resource: Json) -> None:
        """The resource was there before we could make it."""


class Checkpoint:
    """The writers of one shard."""

    def __init__(
        self,
        coordinator: Coordinator,
        resources: Resources,
        notices: Notices,
        metrics: Metrics,
        form: Form,
        watcher: Watcher,
    ) -> None:
        self._coordinator = coordinator
        self._resources = resources
        self._notices = notices
        self._metrics = metrics
        self._form = form
        self._watcher = watcher
        self._queue: deque[tuple[float, Entry]] = deque()
        self._wake = asyncio.Event()
        self._let_through: asyncio.Queue[Entry] = asyncio.Queue()
        self._writing = 0
        self._quiet_until = 0.0
        coordinator.on_storable = self.put

    def put(self, entry: Entry) -> None:
        """Have an upload written soon."""
        if not entry.queued:
            entry.queued = True
            self._queue.append((asyncio.get_running_loop().time(), entry))
            self._wake.set()

    @property
    def backlog(self) -> int:
        """Uploads that wait to be written or are being written."""
        return len(self._queue) + self._writing

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being written."""
        return not self._queue and not self._writing

    async def run(self, width: Callable[[float], int]) -> None:
        """Let uploads through to the writers, until cancelled.

        `width` says how many may be written at a time when the oldest has waited so many seconds.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            while self._queue and self._writing < width(loop.time() - self._queue[0][0]):
                self._writing += 1
                self._let_through.put_nowait(self._queue.popleft()[1])
            try:
                async with asyncio.timeout(QUIET_SECONDS if self._queue else None):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def write(self) -> None:
        """One writer; as many run as writes may be in flight. Until cancelled."""
        while True:
            entry = await self._let_through.get()
            try:
                await self._store(entry)
            finally:
                self._writing -= 1
                entry.queued = False
                self._wake.set()
            if entry.storable:
                self.put(entry)

    async def _store(self, entry: Entry) -> None:
        pause = FIRST_PAUSE_SECONDS
        upload, version = entry.upload, entry.version
        while not entry.gone:
            if entry.unpublished == 0:
                upload, version = entry.upload, entry.version
            elif pause == FIRST_PAUSE_SECONDS:
                return  # a newer state is being published; it comes back when that is done
            try:
                written = await self._write_or_reconcile(entry, upload)
            except NotFoundError:
                log.info("resource deleted; the upload is forgotten", extra={"upload": upload.id})
                self._coordinator.forget(entry)
            except RefusedError as error:
                self._metrics.writes.labels("any", "refused").inc()
                self._coordinator.set_aside(entry, str(error))
            except (TypeError, ValueError, KeyError) as error:
                # A state that cannot be encoded is a bug; it must not stop the writer (law 2.7).
                log.exception("checkpoint failed", extra={"upload": upload.id})
                self._coordinator.set_aside(entry, f"cannot be encoded: {type(error).__name__}")
            except UnavailableError as error:
                self._metrics.writes.labels("any", "unavailable").inc()
                self._complain(error, upload)
                await asyncio.sleep(max(pause, error.retry_after))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                if written:
                    self._coordinator.saved(entry, version)
                    self._post_notices(entry)
                    return

    def _complain(self, error: UnavailableError, upload: Upload) -> None:
        """Warn from time to time: when the API server is away, each writer finds that out for itself."""
        now = asyncio.get_running_loop().time()
        level = logging.WARNING if now >= self._quiet_until else logging.DEBUG
        if level == logging.WARNING:
            self._quiet_until = now + LONGEST_PAUSE_SECONDS
        log.log(level, "checkpoint not written, trying again: %s", error, extra={"upload": upload.id})

    async def _write_or_reconcile(self, entry: Entry, upload: Upload) -> bool:
        """Write a state; False when somebody else had written and the entry caught up with that."""
        try:
            await self._write(entry, upload)
        except ConflictError:
            self._metrics.writes.labels("any", "conflict").inc()
            await self._reconcile(entry)
            return False
        return True

    async def _write(self, entry: Entry, upload: Upload) -> None:
        is_new, origin = entry.stored is None, upload.origin
        if entry.stored is None:
            # Nothing to compare with: a successor may have ended and removed the upload long ago.
            await self._watcher.may_create()
            entry.stored = await self._timed("create", self._create(entry, upload))
        elif origin.has_url and not (entry.sealed and entry.sealed.has_url):
            # The first URL may be from a Secret: no message brings it again once the upload has begun.
            entry.stored = await self._seal(entry, entry.stored, origin)
        status = to_status(upload)
        write = self._resources.write_status(entry.name, entry.stored.version, status)
        written = entry.stored = await self._timed("status", write)
        if not is_new and entry.sealed is not origin:
            # Last: were it there before the run that it began, its announcement would count as a duplicate.
            entry.stored = await self._seal(entry, written, origin)

    async def _timed(self, verb: str, write: Awaitable[Stored]) -> Stored:
        began = time.perf_counter()
        written = await write
        self._metrics.write_seconds.labels(verb).observe(time.perf_counter() - began)
        self._metrics.writes.labels(verb, "ok").inc()
        return written

    async def _seal(self, entry: Entry, known: Stored, origin: Origin) -> Stored:
        sealed = self._form.seals.seal(origin)
        write = self._resources.write_sealed(entry.name, known.version, sealed)
        written = await self._timed("patch", write)
        entry.sealed = origin
        return written

    async def _create(self, entry: Entry, upload: Upload) -> Stored:
        try:
            made = await self._resources.create(self._form.resource(upload))
        except ConflictError:
            # An answer of ours that got lost, a person's resource that the watch has not shown yet, or a
            # new owner's while we are the zombie.
            await self._watcher.confirm_ownership()
            existing = await self._resources.get(entry.name)
            if existing is None:
                raise
            if existing["spec"]["upload"]["id"] != upload.id:
                raise RefusedError(f"the name {entry.name} belongs to another upload") from None
            return await self._claim(entry, existing)
        entry.sealed = upload.origin
        return made

    async def _claim(self, entry: Entry, existing: Json) -> Stored:
        """Go on with a resource that is there already; what we know of the upload has to be in it."""
        spec, origin = existing["spec"], entry.upload.origin
        if spec["upload"].get("receivedTime") != format_time(entry.upload.received_at):
            # Everything published carries the time of the announcement, which this spec does not say.
            origin = evolve(origin, announced_at=entry.upload.received_at)
            entry.upload = evolve(entry.upload, origin=origin)
        claimed = stored(existing)
        if self._form.opens_to(spec.get("sealed", ""), origin):
            entry.sealed = origin
        else:
            claimed = await self._seal(entry, claimed, origin)
        self._watcher.claimed(entry, existing)
        return claimed

    async def _reconcile(self, entry: Entry) -> None:
        """Somebody else has written: make sure we still own the shard, then look at what it is."""
        await self._watcher.confirm_ownership()
        current = await self._resources.get(entry.name)
        if current is None:
            self._coordinator.forget(entry)
            return
        now = stored(current)
        if entry.stored is not None and entry.stored.uid != now.uid:
            self._coordinator.forget(entry)
            self._watcher.seen(current)
            return
        first, entry.stored = entry.stored is None, now
        if first:
            self._watcher.claimed(entry, current)
        else:
            self._watcher.seen(current)

    def _post_notices(self, entry: Entry) -> None:
        if entry.stored is None:
            return
        for notice in entry.notices:
            self._notices.post(entry.name, entry.stored.uid, notice)
        entry.notices = ()
