"""Finished uploads: of each, only what is needed to delete its resource stays in memory.

An upload may be evicted once its end is stored and no message about it can be read again.
A message that concerns it nevertheless (a late answer, a duplicate, a request) reloads
it: its resource is read, and the messages that come meanwhile wait for that.

Until all resources are listed (`resources.relist`) an upload that is not known may be one of
them, and the API server is asked for it by name.
"""

import asyncio
import contextlib
import heapq
import logging
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from uploadpp.api.field_reader import FieldReader
from uploadpp.core.conditions import ConditionType
from uploadpp.core.inputs import BytesReceived
from uploadpp.core.model import LogPosition, Millis
from uploadpp.core.naming import resource_name
from uploadpp.core.states import Stage
from uploadpp.kube.errors import ApiError
from uploadpp.kube.store import Stored, stored
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.deferred import DeferredMessage, DeferredMessages
from uploadpp.pipeline.ports import Json, Resources
from uploadpp.pipeline.router import Router
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.uploads import Uploads
from uploadpp.wire.decode import Event

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
AT_ONCE = 16
"""Maximum number of concurrent reloads."""
SETTLE_SECONDS = 10.0
"""How long the end of a replay waits for uploads that are being reloaded."""
LOOKED_AT = 2000
"""Maximum number of expired uploads checked in a round; more at once would block the event loop."""


@dataclass(slots=True, eq=False)
class FinishedUpload:
    """An upload that has ended, as its resource says it in full."""

    name: str
    upload_id: str
    stage: Stage
    step: str
    stalled: bool
    stored: Stored
    expires_at: Millis | None
    not_before: Millis = Millis(0)
    """When its removal, which was refused, is retried."""
    refusals: int = 0


class ReloadHandler(Protocol):
    """Called with the result when an upload is reloaded (`resources.event_handler.ResourceEventHandler`)."""

    def on_reloaded(self, resource: Json) -> None:
        """Take the upload into memory again."""

    def gone(self, name: str, uid: str) -> None:
        """Its resource is not there any more."""


class FinishedUploads:
    """The finished uploads of one shard."""

    def __init__(self, shared: Shared, uploads: Uploads) -> None:
        self._shard = shared.shard
        self._acks = shared.acks
        self._metrics = shared.metrics
        self._faults = shared.faults
        self._uploads = uploads
        self._by_name: dict[str, FinishedUpload] = {}
        self._by_id: dict[str, FinishedUpload] = {}
        self._heap: list[tuple[Millis, int, FinishedUpload]] = []
        self._overdue: deque[FinishedUpload] = deque()
        self._unnoted: deque[tuple[int, FinishedUpload]] = deque()
        """Uploads that the next owner may still read about, with the last position of that. They are kept."""
        self._count = 0
        self._deferred = DeferredMessages()
        self._asked_for: asyncio.Queue[str] = asyncio.Queue()
        self._pauses: dict[str, float] = {}
        self._late: set[str] = set()
        """Those that could not be read when the replay was over."""
        self.is_complete = True
        """Whether every finished upload with a resource is known here."""
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def stored(self) -> list[tuple[str, Stored]]:
        """Name and version of every resource in here."""
        return [(each.name, each.stored) for each in self._by_name.values()]

    def get(self, name: str) -> FinishedUpload | None:
        """The upload behind a resource."""
        return self._by_name.get(name)

    def find(self, upload_id: str) -> FinishedUpload | None:
        """The upload with an id."""
        return self._by_id.get(upload_id)

    def at(self, step: str, among: Collection[str] | None = None) -> list[str]:
        """The ids of the uploads that are over and still at a step: `finished`, not released.

        Only those with the ids in `among`, unless that is None.
        """
        known = self._by_id
        found = known.values() if among is None else (known[each] for each in among if each in known)
        return [each.upload_id for each in found if each.step == step]

    def expect_more(self) -> None:
        """Not all are listed: until `complete` is called an upload that is not known may be one of these."""
        self.is_complete = False

    def complete(self) -> None:
        """From now on, every finished upload with a resource is known here."""
        self.is_complete = True

    # -- coming and going -----------------------------------------------------------------

    def evict(self, tracked: TrackedUpload) -> bool:
        """Take over an upload from the table, if it has ended and nothing about it is pending."""
        upload = tracked.upload
        idle = not (tracked.dirty or tracked.queued or tracked.unpublished or tracked.notices)
        if not (upload.stage.ended and idle and tracked.stored and self._acks.is_read(upload.log)):
            return False
        self._uploads.evict(tracked)
        self._put(
            FinishedUpload(
                name=tracked.name,
                upload_id=upload.id,
                stage=upload.stage,
                step=upload.current_step,
                stalled=upload.stalled_at is not None,
                stored=tracked.stored,
                expires_at=upload.expires_at,
            )
        )
        return True

    def admits(self, resource: Json) -> bool:
        """Add a listed resource whose upload has ended, without parsing the rest of it."""
        try:
            evicted = self._over(resource)
        except ValueError:
            return False  # reading it in full says what is wrong
        if evicted is not None:
            self._put(evicted)
        return evicted is not None

    def _over(self, resource: Json) -> FinishedUpload | None:
        """What to keep of a resource whose upload is over, with nothing left to read or to look at."""
        meta, status = resource["metadata"], FieldReader(resource.get("status", {}), "status")
        conditions = {each.text("type"): each for each in status.children("conditions")}
        log = status.child("log")
        where = LogPosition(log.text("stream"), log.number("sequence"), log.optional_number("start"))
        upload_id = id_in(resource)
        if (
            ConditionType.SUCCEEDED not in conditions
            or not (upload_id and "completionTime" in status and "expirationTime" in status)
            or status.number("observedGeneration") != meta.get("generation")
            or not self._acks.is_read(where)
            or upload_id in self._by_id
            or self._uploads.by_id(upload_id) is not None
            or not self._shard.owns(upload_id)
        ):
            return None
        stage = Stage(conditions[ConditionType.SUCCEEDED].text("reason"))
        if not stage.ended:
            return None
        return FinishedUpload(
            name=meta["name"],
            upload_id=upload_id,
            stage=stage,
            step=status.text("currentStep"),
            stalled=ConditionType.STALLED in conditions,
            stored=stored(resource),
            expires_at=status.time("expirationTime"),
        )

    def drop(self, evicted: FinishedUpload) -> None:
        """Forget an upload: its resource is gone, or it is taken into memory again."""
        if self._by_name.get(evicted.name) is evicted:
            del self._by_name[evicted.name]
            del self._by_id[evicted.upload_id]
            self._account(evicted, -1)

    def clear(self) -> None:
        """Forget all."""
        for evicted in list(self._by_name.values()):
            self.drop(evicted)

    def overdue(self, now: Millis, keep: int) -> int:
        """How many have expired, or are more than may be kept, as far as was looked: some more each time."""
        while self._unnoted and self._unnoted[0][0] <= self._acks.noted:
            self.later(self._unnoted.popleft()[1])
        waiting: list[FinishedUpload] = []
        for _ in range(LOOKED_AT):
            if not self._heap or (
                self._heap[0][0] > now and len(self._by_name) - len(self._overdue) - len(waiting) <= keep
            ):
                break
            evicted = heapq.heappop(self._heap)[2]
            if self._by_name.get(evicted.name) is evicted:
                (self._overdue if evicted.not_before <= now else waiting).append(evicted)
        for evicted in waiting:
            self.later(evicted)
        return len(self._overdue)

    def due(self, most: int) -> list[FinishedUpload]:
        """That many of those, in the order in which they expire."""
        due: list[FinishedUpload] = []
        while self._overdue and len(due) < most:
            evicted = self._overdue.popleft()
            if self._by_name.get(evicted.name) is evicted:
                due.append(evicted)
        return due

    def later(self, evicted: FinishedUpload) -> None:
        """Its removal failed; retry it later."""
        if self._by_name.get(evicted.name) is evicted and evicted.expires_at is not None:
            self._count += 1
            at = max(evicted.expires_at, evicted.not_before)
            heapq.heappush(self._heap, (at, self._count, evicted))

    def _put(self, evicted: FinishedUpload) -> None:
        self._by_name[evicted.name] = self._by_id[evicted.upload_id] = evicted
        self._account(evicted, 1)
        self._unnoted.append((self._acks.acknowledged, evicted))

    def _account(self, evicted: FinishedUpload, amount: int) -> None:
        self._metrics.uploads.labels(evicted.stage, evicted.step).inc(amount)
        if evicted.stalled:
            self._metrics.stalled.inc(amount)

    # -- reloading ---------------------------------------------------------------------

    def defer(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> bool:
        """Keep a message until its upload is reloaded; False when that is not in here."""
        upload_id = event.upload_id
        if upload_id not in self._deferred and not self._may_hold(upload_id):
            return False
        if upload_id not in self._deferred:
            self._asked_for.put_nowait(upload_id)
        if isinstance(event.input, BytesReceived):
            self._uploads.expect(upload_id, event.input, sequence, timestamp)
        self._deferred.keep(DeferredMessage(event, sequence, timestamp, message))
        return True

    def _may_hold(self, upload_id: str) -> bool:
        if self.is_complete:
            return upload_id in self._by_id
        return self._uploads.by_id(upload_id) is None

    async def settled(self) -> None:
        """Wait until the uploads that are being reloaded now are back, as far as they can be read."""
        waiting = set(self._deferred)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while not waiting.isdisjoint(self._deferred):
                    self._moved.clear()
                    await self._moved.wait()
        self._late = waiting.intersection(self._deferred)
        if self._late:
            log.warning(
                "continuing without finished uploads that cannot be read", extra={"uploads": len(self._late)}
            )

    async def run(self, resources: Resources, handler: ReloadHandler, router: Router) -> None:
        """Reload the uploads that are asked for, at most `AT_ONCE` at a time, until cancelled.

        `handler` takes them into memory, `router` is given the messages back that wait for them.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work(resources, handler, router))

    async def _work(self, resources: Resources, handler: ReloadHandler, router: Router) -> None:
        """Reload one after another. One that cannot be read is retried later, after the others."""
        while True:
            upload_id = await self._asked_for.get()
            try:
                await self._reload(upload_id, resources, handler, router)
            except ApiError as error:
                log.warning("cannot read a finished upload, retrying: %s", error)
                pause = self._pauses.get(upload_id, FIRST_PAUSE_SECONDS)
                self._pauses[upload_id] = min(pause * 2, LONGEST_PAUSE_SECONDS)
                asyncio.get_running_loop().call_later(pause, self._asked_for.put_nowait, upload_id)
            else:
                self._pauses.pop(upload_id, None)
                self._moved.set()

    async def _reload(
        self, upload_id: str, resources: Resources, handler: ReloadHandler, router: Router
    ) -> None:
        before = self._by_id.get(upload_id)
        try:
            if self._may_hold(upload_id):
                name = before.name if before is not None else resource_name(upload_id)
                self._found(upload_id, before, await resources.get(name), handler)
        except ApiError:
            raise
        except Exception as error:
            # Taken as unknown it might begin again although it is over: what came for it is passed over.
            log.exception(
                "cannot reload a finished upload; continuing with the others", extra={"upload": upload_id}
            )
            if before is not None:
                self._faults.resource_fault(before.name, before.stored.uid, error, upload_id)
            self._acks.release_all(each.message for each in self._deferred.take(upload_id))
            self._uploads.arrived(upload_id)
            return
        late = upload_id in self._late
        self._late.discard(upload_id)
        router.hand_back(upload_id, self._deferred.take(upload_id), late=late)
        self._uploads.arrived(upload_id)
        tracked = self._uploads.by_id(upload_id)
        if tracked is not None:
            with self._faults.isolated(tracked):
                self._uploads.note_end(tracked)

    def _found(
        self, upload_id: str, before: FinishedUpload | None, resource: Json | None, handler: ReloadHandler
    ) -> None:
        evicted = self._by_id.get(upload_id)
        if evicted is not before and before is not None:
            return  # the watch was faster
        if resource is None or (before is not None and resource["metadata"]["uid"] != before.stored.uid):
            if before is not None:
                handler.gone(before.name, before.stored.uid)
        elif self._uploads.by_id(upload_id) is None and id_in(resource) == upload_id:
            if evicted is not None:
                self.drop(evicted)
            handler.on_reloaded(resource)


def id_in(resource: Json) -> str:
    """The id of the upload that a resource names."""
    found: object = resource
    for name in ("spec", "upload", "id"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""
