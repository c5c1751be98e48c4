"""Ownership of a shard through a `coordination.k8s.io` Lease (invariant 2.4).

The number of transitions is the epoch. A process that was paused finds `valid` false before it
does anything else, because it is a comparison of our own clock with the last renewal.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from uploadpp.core.lease_claim import LONGEST_FACTOR, Claim, Record, claim, record_of
from uploadpp.kube.api import Api, Json
from uploadpp.kube.claimant import ANYBODY, Claimant
from uploadpp.kube.errors import ApiError, ConflictError, ForbiddenError, NotFoundError, UnavailableError
from uploadpp.kube.leasenotes import (
    HANDED_OVER_ANNOTATION,
    SHARDS_ANNOTATION,
    EndsInLease,
    PositionInLease,
    position_of,
    say,
    unfinished_of,
    went_back,
)
from uploadpp.kube.leaseobject import check_kept, new_lease, spec_of, unkept, without_ballast
from uploadpp.kube.paths import api_path
from uploadpp.kube.sightings import Sightings

log = logging.getLogger(__name__)

KEEP_ATTEMPTS = 3
GONE_BACK = "the Lease is older than our last renewal: etcd was restored from an older copy"
MARGIN = 0.2
"""Share of the lease time in which we stop acting although others must still wait."""
SLOW_SECONDS = 2.0
"""A renewal that takes longer than this is logged."""
READ_SECONDS = 1.0
"""How long a read of the Lease with our name in it counts, if it could not be renewed."""
RELEASE_SECONDS = 2.0
"""How long a release may take, so that a slow API server does not delay the end of the process."""


class LeaseLostError(Exception):
    """Somebody else owns the shard now."""


class Lease:
    """One Lease object, as seen by one process."""

    def __init__(  # noqa: PLR0913 -- which Lease, and who competes for it
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        duration_seconds: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        claimant: Claimant = ANYBODY,
    ) -> None:
        self._api = api
        self._collection = api_path("apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases")
        self._name = name
        self._identity = identity
        self._duration = duration_seconds
        self._clock = clock
        self._claimant = claimant
        self._sightings = claimant.sightings if claimant.sightings is not None else Sightings()
        self._free_since: float | None = None
        self._resting: asyncio.Future[None] | None = None
        self._renewed_at = self._read_at = float("-inf")
        self._object: Json | None = None
        self._doubt = self._unkept = ""
        self.owners_annotations: dict[str, str] = {}
        """What the Lease said of its owner when we last looked."""
        self._position = PositionInLease(duration_seconds / 5)
        self.ends = EndsInLease()
        self._unsure = False
        """Whether a write of ours was begun whose answer we have not seen."""
        self._is_void = self._settled = False
        self.problem = ""
        self.unfinished = 0
        """How many owners in a row before us have ended without being past the same part of the log."""
        self.handed_over = False
        """Whether its last owner has handed it over, when we took it."""
        self.held_elsewhere = False
        self.holder = ""
        """The holder when we last looked."""
        self.forbidden = False
        """Whether we lacked the permission to renew it when we last tried."""

    @property
    def valid(self) -> bool:
        """Whether nobody else can own the shard at this moment."""
        return self._clock() < self._renewed_at + self._duration * (1 - MARGIN)

    @property
    def ours(self) -> bool:
        """Whether nobody else owns the shard: we have renewed it, or else have just read that it is ours.

        A policy may refuse every renewal for long. It refuses others as well, or we read who has taken it.
        """
        return self.valid or self._clock() < self._read_at + READ_SECONDS

    @property
    def doubt(self) -> str:
        """Why it cannot be renewed, or lacks what we note in it; empty if the API server has stored all."""
        silent = self._clock() - self._renewed_at
        if self._doubt or silent < self._duration / 4 + SLOW_SECONDS:
            return self._doubt or self._unkept
        return f"the API server has not answered for {silent:.0f} s"

    @property
    def name(self) -> str:
        """Name of the object."""
        return self._name

    @property
    def uid(self) -> str:
        """The object's uid; empty before we have written it."""
        return str((self._object or {}).get("metadata", {}).get("uid", ""))

    @property
    def silence(self) -> str:
        """A warning if the holder has not renewed it within our own lease duration; otherwise empty."""
        seconds = self._sightings.silence(self._name)
        if not self.held_elsewhere or seconds <= self._duration:
            return ""
        return f"standing by for {self.holder}, which has not renewed for {seconds:.0f} s"

    def hurry(self) -> None:
        """Check the Lease now: another replica says that it is free."""
        if self._resting is not None:
            self._resting.cancel()

    async def _rest(self, seconds: float) -> None:
        resting = self._resting = asyncio.ensure_future(asyncio.sleep(seconds))
        try:
            await asyncio.wait({resting})
        finally:
            resting.cancel()
            self._resting = None

    async def acquire(self, stop: asyncio.Event | None = None) -> int | None:
        """Wait until the shard is ours; returns the epoch, None when told to stop first."""
        waiting_for = ""
        while stop is None or not stop.is_set():
            try:
                epoch, holder = await self._try_to_acquire()
            except ApiError as error:  # also what a policy or webhook refuses: that can end
                problem = f"cannot get the lease {self._name}: {error}"
                level = logging.WARNING if problem != self.problem else logging.DEBUG
                log.log(level, "cannot get the lease yet: %s", error)
                epoch, holder = None, ""
                self._sightings.failed(self._name)
                self.problem = problem
            else:
                self.problem = ""
            self.held_elsewhere, self.holder = epoch is None and bool(holder), holder
            if epoch is None and self._claimant.bid is not None:
                self._claimant.bid.outbid()
            if epoch is not None:
                log.info("lease acquired", extra={"lease": self._name, "epoch": epoch})
                return epoch
            if holder and holder != waiting_for:
                waiting_for = holder
                log.info("waiting for the lease", extra={"lease": self._name, "holder": holder})
            await self._rest(min(1.0, self._duration / 10))
        return None

    async def held_by_another_layout(self, name: str) -> str:
        """Who holds a Lease for another number of shards and is alive, as far as we saw; empty for nobody."""
        started = self._clock()
        try:
            other = await self._get(name)
        except ApiError:
            self._sightings.failed(name)
            raise
        record = self._record(other)
        if other is None or record is None or not record.holder or record.holder == self._identity:
            return ""
        if (other["metadata"].get("annotations") or {}).get(SHARDS_ANNOTATION, "1") == str(
            self._claimant.shards
        ):
            return ""
        return record.holder if self._claim(name, record, started) is Claim.WAIT else ""

    async def hold(self) -> None:
        """Renew until cancelled.

        While the API server is unavailable nobody can take the Lease either, so that alone does
        not end an ownership; it only makes `valid` false.

        Raises:
            LeaseLostError: somebody else has taken it.
        """
        while True:
            # A holder that has lost time to an API server that was unavailable renews first when it is back.
            await asyncio.sleep(self._duration / 4 if not self._doubt else min(1.0, self._duration / 10))
            await self.renew()

    async def renew(self) -> None:
        """Renew the Lease now, if the API server can be reached.

        It proves again that the shard is ours. What prevents it is said in `doubt`.

        Raises:
            LeaseLostError: as for `hold`.
        """
        try:
            epoch, holder = await self._claim_once(may_take=False)
        except ApiError as error:
            self.forbidden = isinstance(error, ForbiddenError)
            level = logging.WARNING if self._doubt != str(error) else logging.DEBUG
            log.log(level, "lease not renewed, retrying: %s", error)
            self._doubt = str(error)
            return
        self.forbidden, self._doubt = False, ""
        if epoch is None:
            raise self._lost(f"taken by {holder or 'nobody'}")

    @property
    def kept(self) -> str:
        """The position that is kept in the Lease; empty when there is none."""
        return position_of(self._object)

    async def keep(self, position: str) -> None:
        """Keep a position in the Lease from now on; none when it is empty.

        Raises:
            ApiError: whether it is kept is not known.
            LeaseLostError: as for `hold`.
        """
        self._position.keep(position)
        for left in reversed(range(KEEP_ATTEMPTS)):
            try:
                epoch, holder = await self._claim_once(may_take=False)
            except ConflictError:  # a renewal of ours came between
                if not left:
                    raise
            else:
                break
        if epoch is None:
            raise self._lost(f"taken by {holder or 'nobody'}")

    def follow(self, position: Callable[[], str]) -> None:
        """Keep what this says with each renewal from now on, and at the release."""
        self._position.follow(position)

    def note_settled(self, *, settled: bool) -> None:
        """Whether we are past the part of the log that owners before us did not survive."""
        self._settled = settled

    async def release(self, *, handing_over: bool = False, failed: bool = False) -> None:
        """Give the shard back so that another replica need not wait.

        `handing_over` tells the next owner that we go on answering messages until it does, `failed` that our
        ownership has ended by a failure.
        """
        if self._is_void or (not self._unsure and (self._object is None or not self.valid)):
            return
        self._renewed_at = self._read_at = float("-inf")
        try:
            async with asyncio.timeout(RELEASE_SECONDS / 4 if self._doubt else RELEASE_SECONDS):
                await self._release(handing_over=handing_over, failed=failed)
        except ForbiddenError as error:
            # Helm removes Role and ServiceAccount while the Pod is ending.
            log.warning(
                "lease not released: the permissions were removed, as when the release is uninstalled; "
                "the next owner waits until it expires",
                extra={"lease": self._name, "answer": str(error)},
            )
        except (ApiError, TimeoutError) as error:
            log.warning("lease not released: %s", str(error) or "the API server does not answer")

    async def is_taken(self) -> bool:
        """Whether somebody has it; False when that cannot be told."""
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                record = self._record(await self._get(self._name))
        except (ApiError, TimeoutError):
            return False
        return record is not None and bool(record.holder)

    async def _release(self, *, handing_over: bool, failed: bool) -> None:
        last, known = self._object, None if self._unsure else self._object
        for current in (known, None):
            # A renewal whose answer we did not wait for has changed what we know of it.
            found = current or await self._get(self._name)
            record = self._record(found)
            if found is None or record is None or record.holder != self._identity:
                return
            if went_back(last, found):
                raise UnavailableError(GONE_BACK)
            spec = {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
            meta = {**found["metadata"], "annotations": {**(found["metadata"].get("annotations") or {})}}
            if handing_over:
                meta["annotations"][HANDED_OVER_ANNOTATION] = self._identity
            say(meta["annotations"], self._unfinished + failed, self._position.present, self.ends)
            try:
                await self._put({**found, "metadata": meta, "spec": spec})
            except ConflictError:
                if current is None:
                    raise
            else:
                self._object, self._unsure = None, False
                log.info("lease released", extra={"lease": self._name})
                return

    async def _try_to_acquire(self) -> tuple[int | None, str]:
        """Take or renew it: the epoch and our name, or None and the present holder's name."""
        return await self._claim_once(may_take=True)

    async def _claim_once(self, *, may_take: bool) -> tuple[int | None, str]:
        started, known = self._clock(), self._object  # another renewal of ours may be answered meanwhile
        current = await self._get(self._name)
        if not may_take and went_back(known, current):
            raise self.gone_back(GONE_BACK)
        self.owners_annotations = (current or {}).get("metadata", {}).get("annotations") or {}
        record = self._record(current)
        verdict = Claim.TAKE if record is None else self._claim(self._name, record, started)
        if verdict is Claim.WAIT or (not may_take and verdict is Claim.TAKE):
            self._free_since = None
            return None, record.holder if record else ""
        if verdict is Claim.TAKE and not await self._wants(started):
            return None, record.holder if record else ""
        if verdict is Claim.KEEP:
            self._read_at = started
        transitions = (record.transitions if record else 0) + (verdict is Claim.TAKE)
        self._unsure = True
        try:
            await self._write(current, transitions, taken=verdict is Claim.TAKE)
        except ConflictError:
            self._unsure = False
            raise
        self._unsure, self._free_since = False, None
        self._renewed_at = started
        return transitions, self._identity

    def gone_back(self, why: str) -> LeaseLostError:
        """The API server has an older state: no note may be written over the one in the Lease."""
        self._is_void = True
        return self._lost(why)

    def _lost(self, why: str) -> LeaseLostError:
        self._renewed_at = self._read_at = float("-inf")
        return LeaseLostError(why)

    def _claim(self, name: str, record: Record, now: float) -> Claim:
        silent = self._sightings.saw(name, record, now, blind_seconds=self._duration / 4)
        longest, alive = self._duration * LONGEST_FACTOR, self._claimant.is_alive(record.holder)
        return claim(record, self._identity, now - silent, now, longest, alive=alive)

    async def _wants(self, now: float) -> bool:
        if self._claimant.bid is None:
            return True
        if self._free_since is None:
            self._free_since = now
        return await self._claimant.bid.wants(now - self._free_since)

    def _record(self, lease: Json | None) -> Record | None:
        return None if lease is None else record_of(lease.get("spec"), self._duration)

    async def _get(self, name: str) -> Json | None:
        path = self._collection + api_path(name)
        try:
            return await self._api.request("GET", path, timeout=self._duration / 2)
        except NotFoundError:
            return None

    async def _write(self, current: Json | None, transitions: int, *, taken: bool) -> None:
        old = (current or {}).get("spec") or {}
        spec = spec_of(self._identity, self._duration, transitions, old, taken=taken)
        annotations = {**((current or {}).get("metadata", {}).get("annotations") or {})}
        annotations |= {SHARDS_ANNOTATION: str(self._claimant.shards)} | dict(self._claimant.annotations)
        handed_over = annotations.pop(HANDED_OVER_ANNOTATION, None)
        if taken:
            self.handed_over = bool(handed_over) and not old.get("holderIdentity")
            self.unfinished = unfinished_of(annotations) + bool(old.get("holderIdentity"))
        started, present = self._clock(), self._position.present
        say(annotations, self._unfinished, self._position.at(started), self.ends)
        if current is None:
            body = new_lease(self._name, annotations, spec)
            made = await self._api.request("POST", self._collection, body, timeout=self._duration / 2)
        else:
            metadata = {**current["metadata"], "annotations": annotations}
            made = await self._put({**current, "metadata": metadata, "spec": spec})
        self._object = check_kept(self._name, spec, made)
        self._unkept = unkept(self._name, annotations, made, self._unkept)
        self.ends.written(made)
        self._position.written(started, present)

    @property
    def _unfinished(self) -> int:
        return 0 if self._settled else self.unfinished

    async def _put(self, body: Json) -> Json:
        path, body = self._collection + api_path(self._name), without_ballast(body)
        return await self._api.request("PUT", path, body, timeout=self._duration / 2)
