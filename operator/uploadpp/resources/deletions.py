"""Resources that are not there any more: deleted by a person, or gone with their kind (docs/adr/0034).

A person who deletes a resource wants its upload forgotten. When the CRD or the namespace is removed, every
resource goes with it, and nobody has decided anything about the uploads. So before an upload that is
not over is forgotten, the API server is asked whether it would take such a resource at all. It answers no
while the CRD or the namespace is being removed, and after that. Until it has answered, messages of the
upload wait here; whatever the answer is, they are then applied to what the upload is.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, field

from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.core.naming import resource_name
from uploadpp.core.sharding import bucket_label
from uploadpp.kube.errors import ApiError
from uploadpp.kube.store import Stored, stored
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.checkpoint import Checkpoint
from uploadpp.pipeline.coordinator import Coordinator
from uploadpp.pipeline.ports import Resources
from uploadpp.pipeline.tracked_upload import Entry
from uploadpp.resources.event_handler import ResourceEventHandler
from uploadpp.wire.decode import Event

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.05
SECOND_LOOK_SECONDS = 1.0
"""One API server of several may learn later than the others that a CRD is being removed."""
AFTERWARDS_SECONDS = 5.0
"""What is told so soon after the CRD was not there has gone with it; it may be back already."""
LABEL_SECONDS = 30.0
"""A label is put back no more often than this."""
REMEMBERED = 10_000
UNDECIDED_SECONDS = 10.0
"""When nobody can tell for so long, the upload goes on: what is forgotten cannot be had back."""


@dataclass(slots=True, eq=False)
class _Doubt:
    """An upload whose resource is not there any more."""

    entry: Entry
    since: float
    messages: list[tuple[Event, int, Millis, PendingMessage]] = field(default_factory=list)


class Vanished:
    """The uploads of one shard whose resources are not there any more, until it is clear why."""

    def __init__(
        self,
        coordinator: Coordinator,
        resources: Resources,
        inputs: ResourceEventHandler,
        checkpoint: Checkpoint,
    ) -> None:
        self._coordinator = coordinator
        self._resources = resources
        self._doubts: dict[str, _Doubt] = {}
        self._missing_until = 0.0
        self._wake = asyncio.Event()
        self._defer = coordinator.defer
        coordinator.defer = self._hold
        self._inputs = inputs
        self._mislabelled: OrderedDict[str, tuple[str, Stored, str]] = OrderedDict()
        self._labelled: OrderedDict[str, float] = OrderedDict()
        inputs.on_vanished = checkpoint.on_vanished = self.doubt
        inputs.on_mislabelled = self._mislabel

    def __len__(self) -> int:
        return len(self._doubts)

    def _hold(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> bool:
        """Keep a message until it is clear what becomes of its upload."""
        doubt = self._doubts.get(event.upload_id)
        if doubt is None:
            return self._defer(event, sequence, timestamp, message)
        message.open += 1
        doubt.messages.append((event, sequence, timestamp, message))
        return True

    def doubt(self, entry: Entry, *, with_kind: bool = False) -> None:
        """A resource is not there any more; `with_kind` says that its kind was not there either."""
        if entry.gone or entry.upload.id in self._doubts:
            return
        if entry.upload.stage.ended and not entry.dirty:
            self._forget(entry)
            return
        now = asyncio.get_running_loop().time()
        if with_kind or now < self._missing_until:
            self._keep(entry)
        else:
            self._doubts[entry.upload.id] = _Doubt(entry, now)
            entry.unpublished += 1  # no timer, and no write, until it is clear
            self._wake.set()

    async def run(self) -> None:
        """Find out why resources are gone, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECOND_LOOK_SECONDS if self._doubts else None):
                    await self._wake.wait()
            self._wake.clear()
            asked, began = list(self._doubts.values()), loop.time()
            taken = await self._are_taken() if asked else None
            if taken is False:
                self._missing_until = loop.time() + AFTERWARDS_SECONDS
                asked = list(self._doubts.values())
            for doubt in asked:
                age = began - doubt.since
                if taken is False or (taken is None and age >= UNDECIDED_SECONDS):
                    self._decide(doubt, keep=True)
                elif taken and age >= SECOND_LOOK_SECONDS:
                    await self._look_again(doubt)
            await self._label()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look_again(self, doubt: _Doubt) -> None:
        """Forget an upload whose resource is gone. A fault of ours on one keeps nobody from the others."""
        try:
            if not await self._is_there(doubt):
                self._decide(doubt, keep=False)
        except Exception as error:  # noqa: BLE001 -- logged in `Faults.report`
            self._coordinator.faults.report(doubt.entry, error)
            if self._doubts.get(doubt.entry.upload.id) is doubt:
                self._decide(doubt, keep=True)

    async def _is_there(self, doubt: _Doubt) -> bool:
        """Whether it is not gone at all: of what has another label now the watch says that it is deleted."""
        entry = doubt.entry
        try:
            found = await self._resources.get(entry.name)
        except ApiError as error:
            log.debug("whether a resource is gone cannot be told: %s", error)
            return True  # it is asked for again
        if found is None or entry.gone or entry.stored is None or stored(found).uid != entry.stored.uid:
            return False
        entry.stored = stored(found)
        self._inputs.restore(entry.stored.uid)
        self._inputs.check_label(found, entry.upload.id)
        self._decide(doubt, keep=None)
        return True

    def _mislabel(self, name: str, known: Stored, upload_id: str) -> None:
        if len(self._mislabelled) < REMEMBERED:
            self._mislabelled[known.uid] = name, known, upload_id
            self._wake.set()

    async def _label(self) -> None:
        """Put labels back that somebody has changed."""
        now = asyncio.get_running_loop().time()
        while self._mislabelled:
            uid, (name, known, upload_id) = self._mislabelled.popitem(last=False)
            if now < self._labelled.get(uid, 0.0):
                continue  # not a fight; the next listing finds it again
            self._labelled[uid] = now + LABEL_SECONDS
            if len(self._labelled) > REMEMBERED:
                self._labelled.popitem(last=False)
            try:
                written = await self._resources.write_bucket(name, known.version, bucket_label(upload_id))
            except ApiError as error:
                log.warning("the label of a resource is not put back: %s", error)
                continue
            except Exception as error:  # noqa: BLE001 -- logged there
                self._coordinator.faults.resource_fault(name, uid, error, upload_id)
                continue
            log.warning("put the label of a resource back", extra={"upload": upload_id})
            entry = self._coordinator.upload_entry(upload_id)
            if entry is not None and entry.stored is not None and entry.stored.uid == uid:
                entry.stored = written

    async def _are_taken(self) -> bool | None:
        """Whether the API server takes such resources; None when it cannot be told."""
        try:
            return await self._resources.takes_new()
        except ApiError as error:
            log.debug("whether the CRD is there cannot be told: %s", error)
            return None

    def _decide(self, doubt: _Doubt, *, keep: bool | None) -> None:
        """What becomes of an upload: recorded anew, forgotten, or, with None, nothing at all."""
        entry = doubt.entry
        del self._doubts[entry.upload.id]
        with self._coordinator.faults.isolated(entry):
            if not entry.gone:
                entry.unpublished -= 1
                if keep is None:
                    self._go_on(entry)
                else:
                    (self._keep if keep else self._forget)(entry)
        for event, sequence, timestamp, message in doubt.messages:
            self._coordinator.on_deferred(event, sequence, timestamp, message)

    def _forget(self, entry: Entry) -> None:
        log.info("resource deleted; the upload is forgotten", extra={"upload": entry.upload.id})
        self._coordinator.forget(entry)

    def _go_on(self, entry: Entry) -> None:
        self._coordinator.schedule(entry)
        if entry.storable:
            self._coordinator.on_storable(entry)

    def _keep(self, entry: Entry) -> None:
        """Go on with an upload from memory, and record it as if it had never been."""
        log.warning(
            "the resource is gone with its CRD or namespace; the upload goes on and is recorded anew",
            extra={"upload": entry.upload.id},
        )
        upload = entry.upload
        entry.stored = entry.sealed = None
        entry.version += 1
        # The generations of a new resource begin anew.
        control = evolve(upload.control, generation=1)
        entry.upload = evolve(upload, control=control, observed_generation=1)
        self._coordinator.rename(entry, resource_name(upload.id))
        self._go_on(entry)
