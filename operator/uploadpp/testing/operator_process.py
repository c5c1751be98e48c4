"""An operator process: competes for the Lease and owns the shard, again and again, as the app does.

What it runs is the real candidate and ownership with the real store, Lease, fence, reader and publisher.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import cast

import orjson

from uploadpp.api.codec import ALL_SHOWN
from uploadpp.core.commands import Notice
from uploadpp.core.config import Config
from uploadpp.core.lease_claim import identity
from uploadpp.core.model import Millis, Origin
from uploadpp.core.sharding import Shard
from uploadpp.core.states import Outcome
from uploadpp.kube.api import Api
from uploadpp.kube.claimant import Claimant
from uploadpp.kube.events import UPLOAD, About
from uploadpp.kube.lease import Lease
from uploadpp.kube.sealing import ForeignSealError, Opened
from uploadpp.kube.store import Store
from uploadpp.ownership.candidate import ShardCandidate
from uploadpp.ownership.dependencies import Dependencies
from uploadpp.ownership.membership import Membership
from uploadpp.pipeline.ports import Ask, Choose
from uploadpp.resources.relist import SOON_READ
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.apiclient import ApiFaults, SimulatedApi, SimulatedWatch
from uploadpp.testing.apiserver import NAMESPACE, ApiServer
from uploadpp.testing.host import SimulatedHost
from uploadpp.testing.natsclient import SimulatedClient
from uploadpp.testing.stream import Stream, millis
from uploadpp.wire.legacy_consumers import LegacyConsumer, Policy
from uploadpp.wire.marks import Marks
from uploadpp.wire.past_ends import Ends, UnreadableLogError
from uploadpp.wire.stream import StartFrom
from uploadpp.wire.stream_message import StreamMessage

LEASE_SECONDS = 15
ACK_SECONDS = 0.4
RESYNC_SECONDS = 30.0
WRITERS = 3
ASK_SECONDS = 2.0
LEGACY_POLICY = Policy(consumer=LegacyConsumer.KEEP, look_seconds=30.0)
_METRICS = Metrics()
MARKS = Marks([b"the key of all simulated processes"])


class PlainSeals:
    """Seals without encryption: what is sealed is of no matter here."""

    def seal(self, origin: Origin, upload_id: str, plan: Mapping[str, str | int]) -> str:
        """As JSON."""
        return orjson.dumps([upload_id, origin._asdict(), dict(plan)]).decode()

    def open(self, sealed: str, upload_id: str) -> Opened:
        """From JSON."""
        sealed_for, origin, plan = orjson.loads(sealed)
        if sealed_for != upload_id:
            raise ForeignSealError
        return Opened(Origin(**origin), plan)


class TracedNotices:
    """Kubernetes Events go into the trace."""

    def __init__(self, machine: SimulatedHost) -> None:
        self._machine = machine

    def post(self, name: str, uid: str, notice: Notice, about: About = UPLOAD) -> None:
        """Note it."""
        del uid, about
        self._machine.trace.add(self._machine.name, f"event on {name}: {notice.reason}: {notice.message}")


class OperatorProcess:
    """One process of the operator."""

    def __init__(
        self, machine: SimulatedHost, stream: Stream, server: ApiServer, faults: ApiFaults, config: Config
    ) -> None:
        self.machine = machine
        self.client = SimulatedClient(machine, stream)
        self._server, self._stream = server, stream
        self.faults = faults
        self._config = config
        self._api = cast("Api", SimulatedApi(machine, server, faults))
        self._stop = asyncio.Event()
        self.stopped = False
        self.candidates: list[ShardCandidate] = []
        self.shards = 1
        self.soon_read = SOON_READ
        self.ask: Ask | None = None
        self.choose: Choose | None = None
        self.poison = b""
        """Messages that hold this end every process; a copy shows which those are."""
        self.legacy_policy = LEGACY_POLICY
        self.pod = ""
        """The UID of its Pod: a process that is started in the one of another does not wait for its Lease."""

    @property
    def candidate(self) -> ShardCandidate | None:
        """That of the first shard, once it has begun."""
        return self.candidates[0] if self.candidates else None

    def start(self) -> None:
        """Start the process."""
        self.machine.trace.add(self.machine.name, "started")
        self.machine.loop.create_task(self._main())

    def terminate(self) -> None:
        """Ask it to end, as SIGTERM does."""
        self.machine.trace.add(self.machine.name, "told to stop")
        self.machine.loop.call_soon(self._stop.set)

    async def _main(self) -> None:
        count, clock = self.shards, self.machine.monotonic
        me = identity("node", self.pod, self.machine.name)
        membership = Membership(self.client.as_client(), NAMESPACE, me, count, clock)
        deps = self._dependencies()
        self.candidates = [
            ShardCandidate(deps, membership, Shard(index, count), self._lease, None) for index in range(count)
        ]
        helpers = [
            asyncio.create_task(work) for work in (membership.run(self.candidates), self._leave(membership))
        ]
        try:
            await asyncio.gather(*(candidate.run(self._stop) for candidate in self.candidates))
            for helper in helpers:
                helper.cancel()
            self.machine.trace.add(self.machine.name, "ended")
        finally:
            self.stopped = True

    async def _leave(self, membership: Membership) -> None:
        await self._stop.wait()
        await membership.leave()

    def _lease(self, shard: Shard, claimant: Claimant) -> Lease:
        me, clock = identity("node", self.pod, self.machine.name), self.machine.monotonic
        return Lease(self._api, NAMESPACE, shard.lease_name, me, LEASE_SECONDS, clock, claimant=claimant)

    async def _rehearse(self, messages: Sequence[StreamMessage], *_: object) -> int | None:
        bad = (number for number, each in enumerate(messages) if self.poison and self.poison in each.data)
        return next(bad, None)

    async def _read_ends(self, upload_ids: Collection[str]) -> Mapping[str, Outcome]:
        await self.machine.travel()
        if not self.client.is_connected:
            raise UnreadableLogError("not connected")
        ends = Ends(upload_ids)
        for message in self._stream.messages:
            ends.read(message.data, message.sequence, Millis(millis(message.at)))
        await self.machine.travel()
        return ends.found

    def _dependencies(self) -> Dependencies:
        return Dependencies(
            config=self._config,
            client=self.client.as_client(),
            store=Store(self._api, NAMESPACE),
            events=TracedNotices(self.machine),
            seals=PlainSeals(),
            marks=MARKS,
            metrics=_METRICS,
            namespace=NAMESPACE,
            shown=ALL_SHOWN,
            writers=WRITERS,
            start_from=StartFrom.ALL,
            legacy_policy=self.legacy_policy,
            ack_seconds=ACK_SECONDS,
            resync_seconds=RESYNC_SECONDS,
            soon_read=self.soon_read,
            choose=self.choose,
            ask=self.ask,
            read_ends=self._read_ends,
            ask_seconds=ASK_SECONDS,
            clock=self.machine.clock,
            monotonic=self.machine.monotonic,
            rehearse=self._rehearse,
            watch=lambda sink, *_: SimulatedWatch(self.machine, self._server, self.faults, sink),
        )
