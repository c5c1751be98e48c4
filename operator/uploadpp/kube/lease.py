"""Ownership of a shard through a `coordination.k8s.io` Lease (law 2.4).

The number of transitions is the epoch. Whoever was paused finds `valid` false before it
does anything else, because it is a comparison of our own clock with the last renewal.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from uploadpp.core.lease import Claim, Record, claim
from uploadpp.core.naming import LABELS
from uploadpp.kube.api import Api, Json
from uploadpp.kube.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from uploadpp.kube.paths import api_path

log = logging.getLogger(__name__)

SHARDS_ANNOTATION = "uploadpp.io/shards"
MARGIN = 0.2
"""Share of the lease time in which we stop acting although others must still wait."""

SLOW_SECONDS = 2.0
"""A renewal that takes longer than this is said."""


class LeaseLostError(Exception):
    """Somebody else owns the shard now."""


class Lease:
    """One Lease object, as seen by one process."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        duration_seconds: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._collection = api_path("apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases")
        self._name = name
        self._identity = identity
        self._duration = duration_seconds
        self.shards = 1
        self._clock = clock
        self._others_seen: dict[tuple[str, str], float] = {}
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._renewed_at = float("-inf")
        self._object: Json | None = None
        self._doubt = ""
        self.annotations: dict[str, str] = {}
        """What we write of ourselves into the Lease, for those who stand by."""
        self.owners_annotations: dict[str, str] = {}
        """What the Lease said of its owner when we last looked."""
        self.problem = ""
        self.held_elsewhere = False
        self.forbidden = False
        """Whether we had no right to renew it when we last tried."""

    @property
    def valid(self) -> bool:
        """Whether nobody else can own the shard at this moment."""
        return self._clock() < self._renewed_at + self._duration * (1 - MARGIN)

    @property
    def doubt(self) -> str:
        """What keeps us from renewing it, in words; empty when the API server answered lately."""
        silent = self._clock() - self._renewed_at
        if self._doubt or silent < self._duration / 4 + SLOW_SECONDS:
            return self._doubt
        return f"the API server has not answered for {silent:.0f} s"

    @property
    def name(self) -> str:
        """Name of the object."""
        return self._name

    @property
    def uid(self) -> str:
        """The object's uid; empty before we have written it."""
        return str((self._object or {}).get("metadata", {}).get("uid", ""))

    async def acquire(self, stop: asyncio.Event | None = None) -> int | None:
        """Wait until the shard is ours; returns the epoch, None when told to stop first."""
        waiting_for = ""
        while stop is None or not stop.is_set():
            try:
                epoch, holder = await self._try()
            except (UnavailableError, ConflictError) as error:
                log.warning("cannot get the lease yet: %s", error)
                epoch, holder = None, ""
                self.problem = f"cannot get the lease {self._name}; the log says why"
            else:
                self.problem = ""
            self.held_elsewhere = epoch is None and bool(holder)
            if epoch is not None:
                log.info("lease acquired", extra={"lease": self._name, "epoch": epoch})
                return epoch
            if holder and holder != waiting_for:
                waiting_for = holder
                log.info("waiting for the lease", extra={"lease": self._name, "holder": holder})
            await asyncio.sleep(min(1.0, self._duration / 10))
        return None

    async def held_by_another_layout(self, name: str) -> bool:
        """Whether a Lease is held, and alive as far as we have watched it, for another number of shards."""
        other = await self._get(name)
        record = _record(other)
        if other is None or record is None or not record.holder or record.holder == self._identity:
            return False
        if other["metadata"].get("annotations", {}).get(SHARDS_ANNOTATION, "1") == str(self.shards):
            return False
        seen_at = self._others_seen.setdefault((name, record.renewed), self._clock())
        return self._clock() - seen_at < record.duration_seconds

    async def hold(self) -> None:
        """Renew until cancelled.

        While the API server is away nobody can take the Lease either, so that alone does
        not end an ownership; it only makes `valid` false.

        Raises:
            LeaseLostError: somebody else has taken it.
        """
        while True:
            await asyncio.sleep(self._duration / 4)
            await self.confirm()

    async def confirm(self) -> None:
        """Renew now, if the API server can be reached.

        Raises:
            LeaseLostError: as for `hold`.
        """
        try:
            epoch, holder = await self._try(renew_only=True)
        except (UnavailableError, ConflictError) as error:
            self.forbidden = isinstance(error, ForbiddenError)
            self._doubt = str(error)
            log.warning("lease not renewed, trying again: %s", error)
            return
        self.forbidden, self._doubt = False, ""
        if epoch is None:
            self._renewed_at = float("-inf")
            raise LeaseLostError(f"taken by {holder or 'nobody'}")

    async def release(self) -> None:
        """Give the shard back so that another replica need not wait."""
        if self._object is None or not self.valid:
            return
        self._renewed_at = float("-inf")
        spec = {**self._object["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._put({**self._object, "spec": spec})
            log.info("lease released", extra={"lease": self._name})
        except ForbiddenError as error:
            # Helm removes Role and ServiceAccount while the Pod is ending.
            log.warning(
                "lease not released, whoever comes next waits for its end: "
                "our rights are gone, as when the release is uninstalled",
                extra={"lease": self._name, "answer": str(error)},
            )
        except (UnavailableError, ConflictError, NotFoundError) as error:
            log.warning("lease not released: %s", error)

    async def _try(self, *, renew_only: bool = False) -> tuple[int | None, str]:
        started = self._clock()
        current = await self._get(self._name)
        record = _record(current)
        self.owners_annotations = (current or {}).get("metadata", {}).get("annotations") or {}
        if record is not None and (record.holder, record.renewed) != self._seen:
            self._seen, self._seen_at = (record.holder, record.renewed), started
        verdict = claim(record, self._identity, self._seen_at, started)
        if verdict is Claim.WAIT or (renew_only and verdict is Claim.TAKE):
            return None, record.holder if record else ""
        transitions = record.transitions if record else 0
        if verdict is Claim.TAKE:
            transitions += 1
        await self._write(current, transitions, taken=verdict is Claim.TAKE)
        self._renewed_at = started
        return transitions, self._identity

    async def _get(self, name: str) -> Json | None:
        try:
            return await self._api.request(
                "GET", self._collection + api_path(name), timeout=self._duration / 2
            )
        except NotFoundError:
            return None

    async def _write(self, current: Json | None, transitions: int, *, taken: bool) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        old = current["spec"] if current else {}
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._duration,
            "acquireTime": now if taken else old.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        annotations = {**(current or {}).get("metadata", {}).get("annotations", {})}
        annotations |= {SHARDS_ANNOTATION: str(self.shards)} | self.annotations
        if current is None:
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "labels": LABELS, "annotations": annotations},
                "spec": spec,
            }
            self._object = await self._api.request("POST", self._collection, body, timeout=self._duration / 2)
        else:
            meta = {**current["metadata"], "annotations": annotations}
            self._object = await self._put({**current, "metadata": meta, "spec": spec})

    async def _put(self, body: Json) -> Json:
        return await self._api.request(
            "PUT", self._collection + api_path(self._name), body, timeout=self._duration / 2
        )


def _record(lease: Json | None) -> Record | None:
    if lease is None:
        return None
    spec = lease.get("spec", {})
    return Record(
        spec.get("holderIdentity") or "",
        spec.get("renewTime") or "",
        float(spec.get("leaseDurationSeconds") or 0),
        int(spec.get("leaseTransitions") or 0),
    )
