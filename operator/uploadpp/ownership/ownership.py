"""One ownership of a shard, from the Lease to its end.

    Lease → new epoch consumer → list → replay → act          (invariant 2.3, docs/adr/0003)

Crash-only: whatever goes wrong (Lease taken, consumer gone, watch dead) ends the ownership
and everything in memory with it; the next one starts from what is stored.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from uploadpp.core.model import Millis, Upload
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.sharding import Shard
from uploadpp.core.tracing import trace_of
from uploadpp.kube.errors import OlderStoreError
from uploadpp.kube.lease import Lease
from uploadpp.ownership.dependencies import Dependencies
from uploadpp.ownership.drain import ended, release_lease, wait_for_writes, wait_until_drained
from uploadpp.ownership.legacy_service import LegacyNews, LegacyServiceWatch
from uploadpp.ownership.membership import Membership
from uploadpp.ownership.past import check_past
from uploadpp.ownership.position_note import PositionNote
from uploadpp.ownership.readiness import Abilities, FullWindow, replay_problem
from uploadpp.ownership.wiring import Hearing, wire
from uploadpp.pipeline.missed_messages import Missed
from uploadpp.pipeline.ports import Json, Watching
from uploadpp.pipeline.rehearsal import REHEARSE_AFTER, Rehearsal
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.write_throttle import LoadSample, MessageRate, max_writers
from uploadpp.process.tasks import end_tasks
from uploadpp.wire.client import trouble
from uploadpp.wire.noted_position import Notes
from uploadpp.wire.reader import LogReader
from uploadpp.wire.reader_callbacks import ReaderCallbacks
from uploadpp.wire.stream import ConsumerPosition, end_predecessors, take_over
from uploadpp.wire.stream_message import StreamMessage

log = logging.getLogger(__name__)

DEAF_MS = 1000
PUT_BACK = "etcd was restored from an older copy"
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
        components = wire(deps, lease, shard, Hearing(has_read=self._has_read, may_resend=self._may_resend))
        self._components, self._uploads, self._acks = components, components.uploads, components.acks
        self.limit = components.limit
        looking = (self._js, deps.metrics, deps.legacy_policy.look_seconds, deps.owner)
        told = LegacyNews(components.news, deps.held_for)
        self._legacy = LegacyServiceWatch(*looking, policy=deps.legacy_policy, client=deps.client, news=told)
        process, counter = components.router.on_message, deps.metrics.messages_set_aside
        self._rehearsal = Rehearsal(deps.rehearse, process, components.acks, counter, components.news)
        window = FullWindow(components.overfull, components.refusals, deps.monotonic)
        self.abilities = Abilities(window, components.publisher, components.refusals, lease)
        self._message_rate = MessageRate()
        self._reader: LogReader | None = None
        self._watch: Watching | None = None
        self._replayed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._volition: list[asyncio.Task[None]] = []
        self._position: ConsumerPosition | None = None
        self._note: PositionNote | None = None
        self._reading: list[asyncio.Task[None]] = []
        self._recording: list[asyncio.Task[None]] = []
        self.entered, self._ending, self._replay_to = False, False, 0

    @property
    def processing(self) -> int:
        """The sequence of the message that is worked on; 0 while there is none."""
        return self._reader.processing if self._reader is not None else 0

    @property
    def problem(self) -> str:
        """Why this ownership does not work; empty if it does."""
        if self._reader is None or not self._replayed.is_set():
            full = replay_problem(self._reader, self._acks.most) if self._reader is not None else ""
            return self._legacy.problem or self.abilities.problem or full or "replaying the log"
        watching = self._watch.problem if self._watch is not None else "the watch has not started"
        return trouble(self._deps.client) or self.abilities.problem or watching or self._legacy.problem

    @property
    def unrecorded(self) -> int:
        """Uploads whose present state the API server refuses."""
        return self._components.refusals.refused

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
        """Age of the last message read; 0 if all are read."""
        return self._reader.lag_seconds(self._deps.clock()) if self._reader is not None else 0.0

    @property
    def in_memory(self) -> Iterable[TrackedUpload]:
        """The uploads in memory."""
        return self._uploads.in_memory

    @property
    def unsaved(self) -> int:
        """Uploads whose state is newer than etcd's and may be written."""
        return self._components.checkpoint.backlog

    def trace_id(self, upload_id: str) -> str:
        """The trace of an upload; empty when there is no such upload."""
        tracked = self._uploads.by_id(upload_id)
        return f"{trace_of(tracked.upload).id:032x}" if tracked is not None else ""

    @property
    def open_breakers(self) -> Iterable[str]:
        """The steps whose breakers are open."""
        breakers = self._components.admission.breakers
        return breakers.are_open() if breakers is not None else ()

    @property
    def slot_limits(self) -> Mapping[str, tuple[int, int, int]]:
        """Floor, present limit and ceiling of each step with `minInFlight`."""
        return self._components.admission.limits

    @property
    def uploads(self) -> list[Upload]:
        """What is in memory of the uploads of this shard."""
        return [tracked.upload for tracked in self._uploads.in_memory]

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
            if ready and await self._until(self._components.finished.settled(), stop):
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
        notes = Notes(lease, deps.marks, deps.clock)
        position = self._position = await take_over(*where, handed_over=lease.handed_over, notes=notes)
        if position.note is not None:
            self._note = PositionNote(position.note, notes.text, deps.clock)
            lease.follow(self._note)
        components = self._components
        components.fence.bind(self._js, position)
        components.applier.begin(deps.marks.reading(position.unsigned_until, deps.metrics.count_foreign))
        components.acks.start(position.stream, position.first - 1, position.window)
        components.noted_ends.begin()
        await components.lister.initial_list(deps.soon_read + position.backlog)
        components.noted_ends.listed()
        components.handler.keys.settle()
        components.handler.versions.settle()
        await check_past(self._js, position, self.uploads)
        deps.metrics.epoch.labels(self._label).set(position.epoch)
        known = {
            "resources": len(components.uploads) + len(components.finished),
            "messages": position.backlog,
        }
        log.info("replaying the log", extra={"consumer": position.consumer, **known})
        self.entered = True
        self._start_reading(position)

    def _start_reading(self, position: ConsumerPosition) -> None:
        components = self._components
        missed = Missed(self._deps.metrics.messages_missed, components.news)
        callbacks = ReaderCallbacks(on_missed=missed, on_drained=self._replayed.set)
        self._reader = LogReader(self._deps.client, position, self._on_raw, callbacks)
        self.abilities.reads_through(self._reader)
        if position.missed:
            missed(position.first - position.missed, position.first - 1)
        self._legacy.also_check(self._reader.overtaken)
        if position.backlog == 0:
            self._replayed.set()
        self._reading = [self._spawn(self._reader.run()), self._spawn(components.publisher.run())]
        self._spawn(components.finished.run(self._deps.store, components.handler, components.router))

    async def _catch_up(self) -> None:
        """Read the log to its end; if it was handed over, then once more without its last owner."""
        await self._replayed.wait()
        if self._position is None or self._reader is None:
            return
        if self._position.predecessors:
            await self._read_the_rest(self._position, self._reader)
        await self._rehearsal.finish(self._reader.waits)

    async def _read_the_rest(self, position: ConsumerPosition, reader: LogReader) -> None:
        self._replay_to = await end_predecessors(self._js, position)
        if reader.sequence < self._replay_to:
            self._replayed.clear()
            with contextlib.suppress(TimeoutError):  # messages may have been removed from the stream
                async with asyncio.timeout(REST_SECONDS):
                    await self._replayed.wait()
            self._replayed.set()

    async def _on_raw(self, raw: StreamMessage) -> None:
        careful = self._lease.unfinished >= REHEARSE_AFTER and not self._rehearsal.is_over
        if careful and self._reader is not None:
            await self._rehearsal.take(raw, self._reader.waits)
        else:
            self._components.router.on_message(raw)
        if self._lease.valid:  # otherwise somebody has to be asked first, which is no reason not to read on
            await self._components.publisher.send_queued()
        if not self._replayed.is_set() and raw.pending == 0 and raw.sequence >= self._replay_to:
            self._replayed.set()

    def _act(self) -> None:
        """The replay has ended: from now on, everything decided is published."""
        deps, components = self._deps, self._components
        components.applier.act()
        self._legacy.go_on(self._reader if self._shard.index == 0 else None)
        components.handler.reconcile_all()
        components.lines.open(components.applier.on_order)  # who need not wait any more waited long enough
        components.timers.fire(self._on_tick)  # a breaker may open, before anybody is granted its step
        breakers = components.admission.breakers
        if breakers is not None:
            breakers.open(components.admission.queued)
            components.applier.look_at_breakers()
        components.admission.open(components.applier.on_granted)
        for tracked in components.uploads.in_memory:
            with components.faults.isolated(tracked):
                components.uploads.note_end(tracked)
        self._recording = [self._spawn(components.checkpoint.run(self._max_writers))]
        self._recording += [self._spawn(components.checkpoint.write()) for _ in range(deps.writers)]
        own = (  # not because of a message
            components.ttl.run(),
            components.secrets.run(),
            components.past_ends.run(),
            components.lost_uploads.run(components.uploads, components.applier.on_input),
            components.vanished.run(components.router),
            components.labels.run(),
            components.void_marks.run(),
            components.unseen.run(),
            components.overfull.run(),
            components.noted_ends.run(),
            components.unserved_steps.run(),
        )
        self._volition = [self._spawn(each) for each in own]
        if breakers is not None:
            self._volition.append(self._spawn(breakers.run(components.applier.look_at_breakers)))
        self._volition.append(self._spawn(components.timers.run(self._on_tick)))
        self._spawn(components.publisher.run_resends())
        self._recording.append(self._spawn(self._acknowledge()))
        watch = self._watch = deps.watch(
            self._on_watch, deps.namespace, self._shard.selector, components.handler.is_own_write
        )
        watch.start()
        self._volition.append(self._spawn(components.lister.run(watch, deps.resync_seconds)))
        self._spawn(ended(watch.ended))
        deps.metrics.owner.labels(self._label).set(1)

    async def _hand_over(self, holding: asyncio.Task[None]) -> None:
        """End the ownership without a pause for the uploads (invariant 2.8, docs/adr/0025).

        When nobody can take over, all is driven and stored first. Otherwise what is not stored is left to
        the successor's replay, and messages are answered until its consumer has taken the place of ours.
        """
        log.info("handing over")
        self._ending = True
        await asyncio.sleep(LEAVING_SECONDS)  # whoever is told to stop as well says so
        if self._membership.alone and not await wait_until_drained(
            self._components.publisher,
            self._components.checkpoint,
            self._lease,
            hurry=lambda: not self._membership.alone,
        ):
            log.warning("some states could not be stored; the next owner replays their messages")
        # Timers too: the answer to what is overdue may be among what we do not read any more.
        for task in self._volition:
            task.cancel()
        self._components.admission.close()
        self._components.lines.close()
        if self._watch is not None:
            self._spawn(self._watch.stop())
        if self._membership.alone and self._reader is not None:
            await self._reader.stop()
        await wait_for_writes(self._components.checkpoint)
        for task in (*self._recording, holding):
            task.cancel()
        await self._ack()
        await release_lease(self._lease, self._membership, self._shard.index, self._reading)

    async def _end(self) -> None:
        self._deps.metrics.owner.labels(self._label).set(0)
        self._components.admission.close()
        self._components.lines.close()
        if self._watch is not None:
            await self._watch.stop()
        await end_tasks(self._tasks)
        for tracked in list(self._uploads.in_memory):
            with self._components.faults.isolated(tracked):
                self._uploads.forget(tracked)
        self._components.finished.clear()

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
                    try:
                        task.result()  # raises what ended it
                    except OlderStoreError as error:
                        raise self._lease.gone_back(f"{error}: {PUT_BACK}") from error
                if done & mine:
                    return not stop.is_set()
                raise RuntimeError(f"a task that should run forever ended: {done}")
        finally:
            await end_tasks(mine)

    async def _acknowledge(self) -> None:
        while True:
            await asyncio.sleep(self._deps.ack_seconds)
            await self._ack()

    async def _ack(self) -> None:
        if self._reader is None:
            return
        noted = self._note.noted(self._lease.kept) if self._note is not None else self._reader.acknowledged
        self._acks.confirm(self._reader.acknowledged, noted)
        # The next owner reads from the note, which lags: until then it may meet the same message again.
        self._lease.note_settled(settled=min(self._reader.acknowledged, noted) >= self._rehearsal.last)
        floor = self._acks.take_ack()
        if self._note is not None:
            self._note.read(self._reader.sequence, self._reader.stored_at)
            self._note.acknowledged(floor[0] if floor is not None else 0)
        if floor is not None:
            await self._reader.acknowledge(*floor)

    def _on_watch(self, kind: str | None, resource: Json) -> None:
        if kind == "DELETED":
            self._components.handler.deleted(resource)
        else:
            self._components.handler.seen(resource)

    def _on_tick(self, tracked: TrackedUpload) -> None:
        """A timer is due; nobody is late with an answer that may be in the log and unread."""
        now = self._deps.clock()
        if self._has_read(min(wake_at(tracked.upload, self._deps.config) or now, now)):
            self._components.applier.on_tick(tracked)
        else:
            self._components.timers.set(tracked, Millis(now + DEAF_MS))

    def _has_read(self, until: Millis) -> bool:
        return self._reader is not None and self._reader.has_read(until)

    def _max_writers(self, oldest_seconds: float) -> int:
        if self._ending:
            return self._deps.writers if self._membership.alone else 0
        message_rate = self._message_rate
        message_rate.seen(self._deps.monotonic(), self._reader.delivered if self._reader is not None else 0)
        load = LoadSample(message_rate.quiet_seconds, message_rate.rate, oldest_seconds, len(self._acks))
        return max_writers(load, self._deps.writers)

    def _may_resend(self) -> bool:
        return self._reader is not None and self._reader.caught_up
