"""One ownership of a shard, from the Lease to its end.

    Lease → new epoch consumer → list → replay → act          (law 2.3, docs/adr/0003)

Crash-only: whatever goes wrong (Lease taken, consumer gone, watch dead) ends the ownership
and everything in memory with it; the next one starts from what is stored.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from uploadpp.core.model import Millis, Upload
from uploadpp.core.sharding import Shard
from uploadpp.core.tracing import trace_of
from uploadpp.kube.errors import UnavailableError
from uploadpp.kube.eventlog import LEASE
from uploadpp.kube.lease import Lease
from uploadpp.ownership.dependencies import Dependencies
from uploadpp.ownership.drain import ended, release_lease, wait_for_writes, wait_until_drained
from uploadpp.ownership.legacy_service import LegacyService
from uploadpp.ownership.membership import Membership
from uploadpp.ownership.readiness import Abilities, FullWindow
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.checkpoint import Checkpoint, ResourceEncoder
from uploadpp.pipeline.coordinator import Coordinator
from uploadpp.pipeline.fence import Fence
from uploadpp.pipeline.lost_uploads import LostUploads, Questions
from uploadpp.pipeline.missed_messages import Missed
from uploadpp.pipeline.overfull import Overfull
from uploadpp.pipeline.ports import Json, Watching
from uploadpp.pipeline.record_limit import RecordLimit
from uploadpp.pipeline.rehearsal import REHEARSE_AFTER, Rehearsal
from uploadpp.pipeline.timers import Timers
from uploadpp.pipeline.tracked_upload import Entry
from uploadpp.pipeline.write_throttle import LoadSample, MessageRate, max_writers
from uploadpp.process.tasks import end_tasks
from uploadpp.resources.deletions import Vanished
from uploadpp.resources.event_handler import ResourceEventHandler
from uploadpp.resources.finished import FinishedUploads
from uploadpp.resources.relist import Lister
from uploadpp.resources.ttl import TTLController
from uploadpp.resources.url_secrets import UrlSecretReader
from uploadpp.wire.client import trouble
from uploadpp.wire.publisher import Publisher
from uploadpp.wire.reader import LogReader, Raw
from uploadpp.wire.stream import Place, end_predecessors, take_over

log = logging.getLogger(__name__)

DEAF_MS = 1000
LEAVING_SECONDS, REST_SECONDS = 0.2, 2.0


class Ownership:
    """Owns a shard until it is told to stop or loses it."""

    def __init__(self, deps: Dependencies, lease: Lease, shard: Shard, membership: Membership) -> None:
        self._deps = deps
        self._membership = membership
        self._lease = lease
        self._shard = shard
        self._label = str(shard.index)
        self._js = deps.client.jetstream()
        looking = (self._js, deps.metrics, deps.replaced.look_seconds, deps.owner)
        self._legacy = LegacyService(*looking, policy=deps.replaced, client=deps.client)
        self._acks = AckTracker()
        self._timers = Timers(deps.clock)
        self._fence = Fence(lease, deps.monotonic)
        self._publisher = Publisher(deps.client, self._fence.pass_through, self._may_resend)
        self._coordinator = Coordinator(
            deps.config, self._publisher, self._acks, self._timers, deps.metrics, deps.clock
        )
        self._coordinator.shard = shard
        self._coordinator.tracing = deps.tracing
        self._admission = StepAdmission(deps.config, shard, deps.metrics, self._coordinator.on_granted)
        if deps.config.max_in_flight:
            self._coordinator.admit_by(self._admission)
        self._secrets = UrlSecretReader(self._coordinator, deps.store, deps.events, deps.clock)
        self._finished = FinishedUploads(self._coordinator, self._acks, deps.metrics)
        self._resources = ResourceEventHandler(
            self._coordinator, deps.seals, deps.config, self._secrets, deps.events, self._finished
        )
        self._listing = Lister(self._coordinator, self._finished, self._resources, deps.store, shard.selector)
        self._ttl = TTLController(self._finished, self._resources, deps.store, deps.clock, deps.max_ended)
        encoder = ResourceEncoder(deps.seals, deps.namespace, deps.shown)
        to = deps.store, deps.events, deps.metrics
        self._checkpoint = Checkpoint(self._coordinator, *to, encoder, self)
        self.limit = RecordLimit(deps.max_recorded // shard.count, self._coordinator, self._finished)
        self._checkpoint.limit = self.limit
        self._coordinator.on_ended = self._ttl.watch
        asks = Questions(deps.ask, deps.ask_seconds), deps.metrics, deps.clock, self._hears
        self._lost_uploads = LostUploads(self._coordinator, *asks)
        self._vanished = Vanished(self._coordinator, deps.store, self._resources, self._checkpoint)
        refusals = self._checkpoint.refusals
        refusals.on_news = lambda notice: deps.events.post(lease.name, lease.uid, notice, LEASE)
        self._legacy.on_news, self._legacy.waited_for = refusals.on_news, deps.held_for
        process, counter = self._coordinator.on_message, deps.metrics.messages_set_aside
        self._rehearsal = Rehearsal(deps.rehearse, process, self._acks, counter, refusals.on_news)
        self._overfull = Overfull(self._coordinator, self._acks, deps.store)
        window = FullWindow(self._overfull, refusals, deps.monotonic)
        self.abilities = Abilities(window, self._publisher, refusals, lease)
        self._message_rate = MessageRate()
        self._reader: LogReader | None = None
        self._watch: Watching | None = None
        self._replayed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._volition: list[asyncio.Task[None]] = []
        self._place: Place | None = None
        self._reading: list[asyncio.Task[None]] = []
        self._recording: list[asyncio.Task[None]] = []
        self.entered, self._ending, self._replay_to = False, False, 0

    @property
    def processing(self) -> int:
        """The sequence of the message that is worked on; 0 while there is none."""
        return self._reader.processing if self._reader is not None else 0

    @property
    def problem(self) -> str:
        """What keeps this ownership from working, in words; empty when nothing does."""
        if self._reader is None or not self._replayed.is_set():
            return self._legacy.problem or self.abilities.problem or "replaying the log"
        watching = self._watch.problem if self._watch is not None else "the watch has not started"
        return trouble(self._deps.client) or self.abilities.problem or watching or self._legacy.problem

    @property
    def unrecorded(self) -> int:
        """Uploads whose present state the API server refuses."""
        return self._checkpoint.refusals.refused

    @property
    def acting(self) -> bool:
        """Whether replay is over, and nobody has asked us to hand over."""
        return self._replayed.is_set() and self._watch is not None and not self._ending

    @property
    def unacknowledged(self) -> int:
        """Messages read whose effects are not all in etcd."""
        return len(self._acks)

    @property
    def unread(self) -> int:
        """Messages of the log not read yet, as far as we know."""
        return self._reader.unread if self._reader is not None else 0

    @property
    def lag_seconds(self) -> float:
        """How far what we read lies in the past; 0 when all is read."""
        return self._reader.lag_seconds(self._deps.clock()) if self._reader is not None else 0.0

    @property
    def entries(self) -> Iterable[Entry]:
        """The uploads in memory."""
        return self._coordinator.entries

    @property
    def unsaved(self) -> int:
        """Uploads whose state is newer than etcd's and may be written."""
        return self._checkpoint.backlog

    def trace_id(self, upload_id: str) -> str:
        """The trace of an upload; empty when there is no such upload."""
        entry = self._coordinator.upload_entry(upload_id)
        return f"{trace_of(entry.upload).id:032x}" if entry is not None else ""

    @property
    def uploads(self) -> list[Upload]:
        """What is in memory of the uploads of this shard."""
        return [entry.upload for entry in self._coordinator.entries]

    async def run(self, epoch: int, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then hand over cleanly.

        Raises:
            Exception: the ownership ended otherwise; everything in memory is void.
        """
        holding = self._spawn(self._lease.hold())
        try:
            ready = await self._until(self._prepare(epoch), stop) and await self._until(
                self._catch_up(), stop
            )
            if ready and await self._until(self._finished.settled(), stop):
                self._act()
                await self._until(None, stop)
                await self._hand_over(holding)
        finally:
            await self._end()

    async def _prepare(self, epoch: int) -> None:
        deps, lease = self._deps, self._lease
        await self._legacy.wait()
        self._spawn(self._legacy.run())
        # Before listing: what a predecessor still acknowledges must be in what we list.
        where = (self._js, self._shard, epoch, deps.start_from, deps.lost_after, deps.owner)
        place = self._place = await take_over(*where, handed_over=lease.handed_over, keeper=lease)
        self._fence.bind(self._js, place)
        self._coordinator.stream = place.stream
        self._coordinator.marks = deps.marks.reading(place.unsigned_until, deps.metrics.count_foreign)
        self._acks.start(place.first - 1)
        self._overfull.window = place.window
        await self._listing.initial_list(deps.soon_read + place.backlog)
        self._resources.keys.settle()
        deps.metrics.epoch.labels(self._label).set(place.epoch)
        known = {"resources": len(self._coordinator) + len(self._finished), "messages": place.backlog}
        log.info("replaying the log", extra={"consumer": place.consumer, **known})
        self.entered = True
        self._start_reading(place)

    def _start_reading(self, place: Place) -> None:
        self._reader = self.abilities.reader = LogReader(self._deps.client, place, self._on_raw)
        missed = Missed(self._deps.metrics.messages_missed, self._checkpoint.refusals.on_news)
        self._reader.on_missed, self._reader.on_drained = missed, self._replayed.set
        if place.missed:
            missed(place.first - place.missed, place.first - 1)
        self._legacy.check = self._reader.overtaken
        if place.backlog == 0:
            self._replayed.set()
        self._reading = [self._spawn(self._reader.run()), self._spawn(self._publisher.run())]
        self._spawn(self._finished.run(self._deps.store, self._resources))

    async def _catch_up(self) -> None:
        """Read the log to its end; if it was handed over, then once more without its last owner."""
        await self._replayed.wait()
        if self._place is None or self._reader is None or not self._place.predecessors:
            return
        self._replay_to = await end_predecessors(self._js, self._place)
        if self._reader.sequence < self._replay_to:
            self._replayed.clear()
            with contextlib.suppress(TimeoutError):  # messages may have been removed from the stream
                async with asyncio.timeout(REST_SECONDS):
                    await self._replayed.wait()
            self._replayed.set()

    async def _on_raw(self, raw: Raw) -> None:
        careful = self._lease.unfinished >= REHEARSE_AFTER and not self._replayed.is_set()
        if careful and self._reader is not None:
            await self._rehearsal.take(raw, self._reader.waits)
        else:
            self._coordinator.on_message(raw)
        if self._lease.valid:  # otherwise somebody has to be asked first, which is no reason not to read on
            await self._publisher.send_queued()
        if not self._replayed.is_set() and raw.pending == 0 and raw.sequence >= self._replay_to:
            self._replayed.set()

    def _act(self) -> None:
        """Replay is over: from here on everything decided goes out."""
        deps = self._deps
        self._coordinator.act()
        self._legacy.go_on(self._reader if self._shard.index == 0 else None)
        self._resources.reconcile_all()
        self._admission.open()
        for entry in self._coordinator.entries:
            if entry.upload.stage.ended and not entry.dirty:
                self._ttl.watch(entry)
        self._recording = [self._spawn(self._checkpoint.run(self._max_writers))]
        self._recording += [self._spawn(self._checkpoint.write()) for _ in range(deps.writers)]
        own = self._ttl, self._secrets, self._lost_uploads, self._vanished, self._overfull
        self._volition = [self._spawn(each.run()) for each in own]  # not because of a message
        self._volition.append(self._spawn(self._timers.run(self._on_tick)))
        self._spawn(self._publisher.run_resends())
        self._recording.append(self._spawn(self._acknowledge()))
        watch = self._watch = deps.watch(
            self._on_watch, deps.namespace, self._shard.selector, self._resources.is_own_write
        )
        watch.start()
        self._volition.append(self._spawn(self._listing.run(watch, deps.resync_seconds)))
        self._spawn(ended(watch.ended))
        deps.metrics.owner.labels(self._label).set(1)

    async def _hand_over(self, holding: asyncio.Task[None]) -> None:
        """End the ownership without a pause for the uploads (law 2.8, docs/adr/0025).

        When nobody can take over, all is driven and stored first. Otherwise what is not stored is left to
        the successor's replay, and messages are answered until its consumer has taken the place of ours.
        """
        log.info("handing over")
        self._ending = True
        await asyncio.sleep(LEAVING_SECONDS)  # whoever is told to stop as well says so
        if self._membership.alone and not await wait_until_drained(
            self._publisher, self._checkpoint, self._lease, hurry=lambda: not self._membership.alone
        ):
            log.warning("not everything could be stored; the next owner replays it")
        # Timers too: the answer to what is overdue may be among what we do not read any more.
        for task in self._volition:
            task.cancel()
        self._admission.close()
        if self._watch is not None:
            self._spawn(self._watch.stop())
        if self._membership.alone and self._reader is not None:
            await self._reader.stop()
        await wait_for_writes(self._checkpoint)
        for task in (*self._recording, holding):
            task.cancel()
        await self._ack()
        await release_lease(self._lease, self._membership, self._shard.index, self._reading)

    async def _end(self) -> None:
        self._deps.metrics.owner.labels(self._label).set(0)
        self._admission.close()
        if self._watch is not None:
            await self._watch.stop()
        await end_tasks(self._tasks)
        for entry in list(self._coordinator.entries):
            with self._coordinator.faults.isolated(entry):
                self._coordinator.forget(entry)
        self._finished.clear()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def _until(self, work: Coroutine[Any, Any, Any] | None, stop: asyncio.Event) -> bool:
        """Wait for some work, or forever; False when `stop` came first. A task that fails raises."""
        waiting = asyncio.create_task(stop.wait())
        mine = {waiting} | ({asyncio.create_task(work)} if work is not None else set())
        try:
            while True:
                done, _ = await asyncio.wait({*mine, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # raises what ended it
                if done & mine:
                    return not stop.is_set()
                raise RuntimeError(f"a task ended that should run forever: {done}")
        finally:
            await end_tasks(mine)

    async def _acknowledge(self) -> None:
        while True:
            await asyncio.sleep(self._deps.ack_seconds)
            await self._ack()

    async def _ack(self) -> None:
        if self._reader is None:
            return
        self._acks.acknowledged = self._reader.acknowledged
        self._lease.note_settled(settled=self._reader.acknowledged >= self._rehearsal.last)
        self._coordinator.unknown.settle(self._deps.clock())
        floor = self._acks.take_ack()
        if floor is not None:
            await self._reader.acknowledge(*floor)

    async def confirm_ownership(self) -> None:
        """A write met somebody else's: make sure that we still own the shard."""
        await self._lease.confirm()
        if not self._lease.ours:
            raise UnavailableError("whether the shard is still ours cannot be told at the moment")

    async def may_create(self) -> None:
        """Make sure that nobody else can own the shard.

        Raises:
            LeaseLostError: somebody does.
            UnavailableError: that cannot be found out at present.
        """
        if not self._lease.ours:
            await self._lease.confirm()
        if not self._lease.ours:
            raise UnavailableError(f"the Lease cannot be renewed: {self._lease.doubt}")

    def seen(self, resource: Json) -> None:
        """A resource as the API server has it now."""
        self._resources.seen(resource)

    def claimed(self, entry: Entry, resource: Json) -> None:
        """A resource was there before we could make it."""
        self._resources.claimed(entry, resource)

    def _on_watch(self, kind: str | None, resource: Json) -> None:
        if kind == "DELETED":
            self._resources.deleted(resource)
        else:
            self._resources.seen(resource)

    def _on_tick(self, entry: Entry) -> None:
        """A timer is due; while we cannot hear answers nobody is late with one."""
        if self._hears():
            self._coordinator.on_tick(entry)
        else:
            self._timers.set(entry, Millis(self._deps.clock() + DEAF_MS))

    def _hears(self) -> bool:
        return self._reader is not None and self._reader.hears

    def _max_writers(self, oldest_seconds: float) -> int:
        if self._ending:
            return self._deps.writers if self._membership.alone else 0
        message_rate = self._message_rate
        message_rate.seen(self._deps.monotonic(), self._reader.delivered if self._reader is not None else 0)
        load = LoadSample(message_rate.quiet_seconds, message_rate.rate, oldest_seconds, len(self._acks))
        return max_writers(load, self._deps.writers)

    def _may_resend(self) -> bool:
        return self._reader is not None and self._reader.caught_up
