"""One shard, as one replica sees it: compete for it, work on it, give it back."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from nats.errors import Error as NatsError

from uploadpp.core.sharding import Shard
from uploadpp.kube.claimant import Claimant
from uploadpp.kube.errors import ApiError
from uploadpp.kube.lease import Lease, LeaseLostError
from uploadpp.ownership.dependencies import Dependencies
from uploadpp.ownership.legacy_service import LegacyServiceError
from uploadpp.ownership.membership import PATIENCE_SECONDS, Membership
from uploadpp.ownership.ownership import Ownership
from uploadpp.ownership.readiness import told
from uploadpp.pipeline.fence import FencedError
from uploadpp.process.stopping import or_stop
from uploadpp.resources.keys import KEY_ANNOTATION, STEPS_ANNOTATION, WrongKeyError, differences
from uploadpp.resources.versions import LaterVersionError
from uploadpp.wire.errors import LogLostError, TailLostError
from uploadpp.wire.stream import ensure_stream

log = logging.getLogger(__name__)

CONNECTING = "connecting"
RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 15.0
STEADY_SECONDS = 10.0
"""An ownership that lasted this long was not a failure in a row."""
EXPECTED_ENDS = (
    LeaseLostError,
    FencedError,
    LogLostError,
    WrongKeyError,
    LaterVersionError,
    LegacyServiceError,
    ApiError,
    NatsError,
    TimeoutError,
)


BLOCKED = "replicas with a different number of shards are still running; waiting for them to stop"
COMPARE_SECONDS = 5.0
UNHEARD_LOOKS = 4
"""This many checks in a row without a heartbeat of the holder, which sends one per second."""


class _Other(NamedTuple):
    """A replica with another number of shards."""

    lease: str
    holder: str


class ShardCandidate:
    """Competes for one shard until it is told to stop."""

    def __init__(
        self,
        deps: Dependencies,
        membership: Membership,
        shard: Shard,
        new_lease: Callable[[Shard, Claimant], Lease],
        stream_max_age_seconds: float | None,
    ) -> None:
        self._deps = deps
        self._membership = membership
        self._new_lease = new_lease
        self._stream_max_age_seconds = stream_max_age_seconds
        self._give_up = asyncio.Event()
        self._lost_after: datetime | None = None
        self._held_for: tuple[str, ...] = ()
        self.shard = shard
        self.ownership: Ownership | None = None
        self._lease: Lease | None = None
        self._unheard = 0
        self.state = CONNECTING
        self.wrong_key = ""
        """Which uploads could not be opened when we last owned the shard, in words."""
        self.too_old = ""
        """Which uploads a later version had written when we last owned the shard, in words."""

    @property
    def problem(self) -> str:
        """Why this candidate can neither work nor stand by; empty if it can."""
        if self.ownership is not None and (self.ownership.entered or not self._unfit):
            return self.ownership.problem
        if wrong := self._unfit or self._differs()[0]:
            return wrong
        if self._lease is not None and (self._lease.held_elsewhere or self._blocked_by):
            return self._lease.silence or self._nobody(self._lease)
        # First what is wrong now, then why we had to start over: that may be minutes ago.
        return (self._lease.problem if self._lease is not None else "") or self.state

    @property
    def _unfit(self) -> str:
        """Why nothing was read when we last owned the shard; it may still be so."""
        return self.wrong_key or self.too_old

    @property
    def report(self) -> list[str]:
        """What can be done here and what cannot, a line each."""
        where = f"shard-{self.shard.index}/"
        other = self._blocked_by
        states = self.ownership.abilities.states() if self.ownership is not None else []
        problem, holder = self.problem, self._lease.holder if self._lease is not None else ""
        ok = "owned" if states else f"standing by for {holder}"
        ok = f"waiting for {other.holder}, which has another number of shards" if other else ok
        whole = f"[-]{where}work failed: {problem}" if problem else f"[+]{where}work ok: {ok}"
        return [*(told(state, where) for state in states), whole]

    def _differs(self) -> tuple[str, str]:
        """How the owner's settings differ from ours, as long as we stand by."""
        lease = self._lease
        if lease is None or self.ownership is not None or not lease.held_elsewhere:
            return "", ""
        keys = getattr(self._deps.seals, "fingerprints", ())
        return differences(lease.owners_annotations, annotations_of(self._deps), keys)

    def _lacks_key_of(self, lease: Lease) -> bool:
        """Whether the last owner has sealed with a key that we do not have."""
        keys = getattr(self._deps.seals, "fingerprints", ())
        return bool(differences(lease.owners_annotations, {}, keys)[0])

    @property
    def lacks_key(self) -> bool:
        """Whether we cannot open what is under way, or what the owner seals."""
        return bool(self.wrong_key or self._differs()[0])

    @property
    def differing_steps(self) -> str:
        """That the owner has other steps than we, in words; empty when it has not."""
        return self._differs()[1]

    @property
    def working(self) -> bool:
        """Whether we own the shard and have caught up with the log."""
        return self.ownership is not None and self.ownership.acting and not self._give_up.is_set()

    def give_up(self) -> bool:
        """Hand the shard over; False when that is under way already."""
        begins = not self._give_up.is_set()
        self._give_up.set()
        return begins

    def hurry(self) -> None:
        """Check the Lease now: another replica says that it is free."""
        if self.ownership is None and self._lease is not None:
            self._lease.hurry()

    async def wants(self, free_seconds: float) -> bool:
        """Whether to take the Lease, which could be had for so long (`kube.claimant.Bid`)."""
        if self._lease is None or await self._membership.layouts.held(self._lease):
            return False
        if not self._deps.policies_known():
            return False  # uploads would get fewer steps than a policy asks for
        if free_seconds < PATIENCE_SECONDS and (self._unfit or self._lacks_key_of(self._lease)):
            return False  # a replica that has the key goes first
        return self._membership.claims(self.shard.index, free_seconds)

    def outbid(self) -> None:
        """The Lease was not taken after all."""
        self._membership.unclaim(self.shard.index)

    async def run(self, stop: asyncio.Event) -> None:
        """Compete and work until `stop` is set; after failures in a row at longer and longer intervals."""
        comparing = asyncio.create_task(self._compare())
        try:
            await self._compete_and_work(stop)
        finally:
            comparing.cancel()

    @property
    def _blocked_by(self) -> "_Other | None":
        """A replica with another number of shards, which keeps this one from beginning; None without one."""
        if self.ownership is not None or self._lease is None or self._lease.held_elsewhere:
            return None
        return next((_Other(*each) for each in self._membership.layouts.holders.items()), None)

    def _nobody(self, lease: Lease) -> str:
        """That the holder of the Lease may be nobody who works, in words; empty while it is heard."""
        if self._unheard < UNHEARD_LOOKS:
            return ""
        other = self._blocked_by
        waits = f"standing by for {lease.holder}"
        if other is not None:
            waits = f"waiting for a replica with another number of shards to stop: {other.holder}"
        name, silent = other.lease if other is not None else lease.name, self._unheard * COMPARE_SECONDS
        return (
            f"{waits}, which has sent no heartbeat on NATS for {silent:.0f} s; if that replica does not run, "
            f"another client renews the Lease {name}; if it works with another NATS, install each in a "
            "namespace of its own"
        )

    def _listen(self) -> None:
        """Anybody who may write Leases can keep one renewed; only a replica that works heartbeats as well."""
        lease, other = self._lease, self._blocked_by
        waits = lease is not None and self.ownership is None and (lease.held_elsewhere or other is not None)
        deaf = not self._deps.client.is_connected or self._membership.is_deaf
        holder = other.holder if other is not None else lease.holder if lease is not None else ""
        heard = not holder or self._membership.is_alive(holder)
        self._unheard = self._unheard + 1 if waits and not deaf and not heard else 0

    async def _compare(self) -> None:
        """Say once that the owner has other settings than we, or may be nobody."""
        said, other = "", None
        while True:
            await asyncio.sleep(COMPARE_SECONDS)
            self._listen()
            before, other = other, self._blocked_by
            if other is not None and before is None:
                log.warning(BLOCKED, extra={"lease": other.lease, "holder": other.holder})
            if self._unheard == UNHEARD_LOOKS and self._lease is not None:
                log.warning(self._nobody(self._lease), extra={"shard": self.shard.index})
            found = "; ".join(filter(None, self._differs()))
            if found and found != said:
                log.warning("replicas have different settings: %s", found, extra={"shard": self.shard.index})
            said = found or said

    async def _compete_and_work(self, stop: asyncio.Event) -> None:
        loop, pause = asyncio.get_running_loop(), RESTART_SECONDS
        while not stop.is_set():
            started = loop.time()
            try:
                await self._own(stop)
                self.state = ""
                continue
            except EXPECTED_ENDS as error:
                self.state = str(error)
                self.wrong_key = self.state if isinstance(error, WrongKeyError) else ""
                self.too_old = self.state if isinstance(error, LaterVersionError) else ""
                log.warning("the ownership ended: %s", error, extra={"shard": self.shard.index})
                self._held_for = error.members if isinstance(error, LegacyServiceError) else ()
                if isinstance(error, TailLostError):
                    self._lost_after = error.lost_after
            except Exception as error:
                self.state = f"retrying after {type(error).__name__}"
                log.exception("the ownership failed; retrying", extra={"shard": self.shard.index})
            pause = RESTART_SECONDS if loop.time() - started > STEADY_SECONDS else pause
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()
            pause = min(pause * 2, LONGEST_RESTART_SECONDS)

    async def _own(self, stop: asyncio.Event) -> None:
        claimant = Claimant(
            shards=self.shard.count,
            annotations=annotations_of(self._deps),
            sightings=self._membership.sightings,
            is_alive=self._membership.is_alive,
            bid=self,
        )
        lease = self._lease = self._new_lease(self.shard, claimant)
        ending: asyncio.Task[None] | None = None
        owns = failed = False
        try:
            epoch = await or_stop(self._compete(lease), stop)
            if epoch is None:
                return
            self._give_up.clear()
            ending = asyncio.create_task(self._until_either(stop))
            self._membership.took(self.shard.index)
            self.outbid()
            owns = True
            deps = replace(self._deps, lost_after=self._lost_after, held_for=self._held_for)
            self.ownership = Ownership(deps, lease, self.shard, self._membership)
            ended = asyncio.Event()
            ending.add_done_callback(lambda _: ended.set())
            await self.ownership.run(epoch, ended)
            self._lost_after = None
        except Exception as error:
            failed = isinstance(error, LogLostError) or not isinstance(error, EXPECTED_ENDS)
            raise
        finally:
            self.ownership = None
            if ending is not None:
                ending.cancel()
            self.outbid()
            if owns:
                self._membership.lost(self.shard.index)
            await lease.release(failed=failed)

    async def _compete(self, lease: Lease) -> int | None:
        """The epoch, once the Lease is ours and no other number of shards is alive."""
        await ensure_stream(self._deps.client.jetstream(), self._stream_max_age_seconds)
        if self.state == CONNECTING:
            self.state = ""
        layouts = self._membership.layouts
        looking = asyncio.create_task(layouts.watch(lease))
        try:
            while True:
                epoch = await lease.acquire()
                others = await layouts.held(lease, fresh_seconds=0)
                if not others:
                    return epoch
                await lease.release()
                log.warning(BLOCKED, extra={"leases": others})
                await asyncio.sleep(1 + random.random())  # noqa: S311 -- only to not meet again
        finally:
            looking.cancel()

    async def _until_either(self, stop: asyncio.Event) -> None:
        waiting = [asyncio.ensure_future(each.wait()) for each in (stop, self._give_up)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()


def annotations_of(deps: Dependencies) -> dict[str, str]:
    """What the Lease says of its owner, for standbys to compare: never the key, only its fingerprint."""
    sealed_with = next(iter(getattr(deps.seals, "fingerprints", ())), "")
    steps = ",".join(step.name for step in deps.config.steps)
    return {name: text for name, text in ((KEY_ANNOTATION, sealed_with), (STEPS_ANNOTATION, steps)) if text}
