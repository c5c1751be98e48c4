"""Builds everything that works on one shard. The only place that knows which object is given which others.

Each object gets its collaborators in its constructor, and nobody changes them afterwards. So an object can
only use what stands above it here. Where two need each other, the later one is handed over when work begins
(`StepAdmission.open`, `LostUploads.run`, `FinishedUploads.run`, `Vanished.run`), or the two meet at a queue
(`WriteQueue`, `EndedUploads`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from uploadpp.core.commands import Notice
from uploadpp.core.model import Millis
from uploadpp.core.sharding import Shard
from uploadpp.kube.events import LEASE
from uploadpp.kube.lease import Lease
from uploadpp.ownership.dependencies import Dependencies
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.breakers import Breakers
from uploadpp.pipeline.checkpoint import Checkpoint, Records
from uploadpp.pipeline.faults import Faults
from uploadpp.pipeline.fence import Fence
from uploadpp.pipeline.file_order import FileLines
from uploadpp.pipeline.lost_uploads import LostUploads, Questions
from uploadpp.pipeline.overfull import Overfull
from uploadpp.pipeline.record_limit import RecordLimit
from uploadpp.pipeline.refusals import Refusals
from uploadpp.pipeline.resource_encoder import ResourceEncoder
from uploadpp.pipeline.router import Router
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.timers import Timers
from uploadpp.pipeline.unserved_steps import UnservedSteps
from uploadpp.pipeline.uploads import Uploads
from uploadpp.pipeline.write_guard import WriteGuard
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.resources.bucket_labels import BucketLabels
from uploadpp.resources.deletions import Vanished
from uploadpp.resources.ended import EndedUploads
from uploadpp.resources.event_handler import Collaborators, ResourceEventHandler
from uploadpp.resources.finished import FinishedUploads
from uploadpp.resources.forgotten import ForgottenResources
from uploadpp.resources.left_alone import LeftAlone
from uploadpp.resources.lifecycle import LifecycleHandlers
from uploadpp.resources.noted_ends import NotedEnds
from uploadpp.resources.past_ends import PastEnds
from uploadpp.resources.relist import Lister
from uploadpp.resources.ttl import TTLController
from uploadpp.resources.unseen import UnseenResources
from uploadpp.resources.url_secrets import UrlSecretReader
from uploadpp.resources.void_marks import VoidMarks
from uploadpp.wire.publisher import Publisher


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What the reader of the log tells; it exists only once the Lease is ours and its position is known."""

    has_read: Callable[[Millis], bool]
    """Whether everything that was stored until a time has been read."""
    may_resend: Callable[[], bool]
    """Whether everything in the log is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """What works on one shard."""

    acks: AckTracker
    timers: Timers
    faults: Faults
    fence: Fence
    publisher: Publisher
    news: Callable[[Notice], None]
    admission: StepAdmission
    lines: FileLines
    refusals: Refusals
    uploads: Uploads
    finished: FinishedUploads
    labels: BucketLabels
    void_marks: VoidMarks
    vanished: Vanished
    applier: Applier
    router: Router
    secrets: UrlSecretReader
    past_ends: PastEnds
    handler: ResourceEventHandler
    lister: Lister
    unseen: UnseenResources
    ttl: TTLController
    limit: RecordLimit
    checkpoint: Checkpoint
    lost_uploads: LostUploads
    overfull: Overfull
    noted_ends: NotedEnds
    unserved_steps: UnservedSteps


def wire(deps: Dependencies, lease: Lease, shard: Shard, hearing: Hearing) -> Components:
    """Build what works on a shard, from the bottom to the top."""
    acks, timers, metrics = AckTracker(), Timers(deps.clock), deps.metrics

    def news(notice: Notice) -> None:
        """Post an Event about the shard, on its Lease."""
        deps.events.post(lease.name, lease.uid, notice, LEASE)

    # What is called back, and what only holds state.
    fence = Fence(lease, deps.monotonic)
    publisher = Publisher(deps.client, fence.pass_through, hearing.may_resend)
    breakers = Breakers(deps.config, metrics, deps.clock, news) if deps.config.breaker_after else None
    admission = StepAdmission(deps.config, shard, metrics, breakers)
    limited = admission if deps.config.max_in_flight or breakers is not None else None
    lines = FileLines()
    ordered = lines if deps.config.order_timeout else None
    faults = Faults(metrics, deps.events.post, limited.gave_up if limited is not None else None)
    shared = Shared(
        config=deps.config,
        shard=shard,
        acks=acks,
        timers=timers,
        metrics=metrics,
        faults=faults,
        clock=deps.clock,
        tracing=deps.tracing,
        choose=deps.choose,
        count_matches=deps.count_matches,
    )
    refusals = Refusals(metrics, asyncio.get_running_loop().time, news)
    queue, ended, forgotten = WriteQueue(acks, refusals), EndedUploads(), ForgottenResources()
    lost_uploads = LostUploads(shared, Questions(deps.ask, deps.ask_seconds), hearing.has_read)
    void_marks = VoidMarks(faults, deps.store)
    left_alone = LeftAlone(faults, deps.events, forgotten, void_marks)
    lifecycle = LifecycleHandlers(queue, lost_uploads, ended, forgotten, left_alone)

    # The table, and those who may keep a message back before it is applied to an upload.
    uploads = Uploads(shared, limited, ordered, lifecycle)
    labels = BucketLabels(uploads, faults, deps.store)
    finished = FinishedUploads(shared, uploads)
    vanished = Vanished(uploads, faults, finished, forgotten, labels, deps.store)

    # The way of a message, and of a resource.
    applier = Applier(shared, uploads, limited, ordered, lifecycle, publisher)
    router = Router(shared, uploads, limited, applier, vanished, finished)
    secrets = UrlSecretReader(shared, applier, deps.store, deps.events)
    past_ends = PastEnds(shared, applier, secrets, deps.events, deps.read_ends)
    others = Collaborators(
        uploads=uploads,
        applier=applier,
        finished=finished,
        vanished=vanished,
        forgotten=forgotten,
        left_alone=left_alone,
        labels=labels,
        past_ends=past_ends,
    )
    handler = ResourceEventHandler(shared, deps.seals, deps.events, others)

    # What is stored.
    guard = WriteGuard(lease)
    limit = RecordLimit(deps.max_recorded // shard.count, uploads, finished)
    records = Records(
        resources=deps.store,
        notices=deps.events,
        encoder=ResourceEncoder(deps.seals, deps.namespace, deps.shown),
        guard=guard,
        limit=limit,
        refusals=refusals,
    )
    return Components(
        acks=acks,
        timers=timers,
        faults=faults,
        fence=fence,
        publisher=publisher,
        news=news,
        admission=admission,
        lines=lines,
        refusals=refusals,
        uploads=uploads,
        finished=finished,
        labels=labels,
        void_marks=void_marks,
        vanished=vanished,
        applier=applier,
        router=router,
        secrets=secrets,
        past_ends=past_ends,
        handler=handler,
        lister=Lister(uploads, finished, handler, deps.store, guard, shard.selector),
        unseen=UnseenResources(applier.unknown, queue, handler, deps.store, shard.selector, deps.clock),
        ttl=TTLController(finished, handler, deps.store, ended, deps.clock, deps.max_ended),
        limit=limit,
        checkpoint=Checkpoint(shared, uploads, queue, records, handler),
        lost_uploads=lost_uploads,
        overfull=Overfull(uploads, acks, deps.store),
        noted_ends=NotedEnds(queue, deps.store, deps.events, forgotten, lease, deps.marks),
        unserved_steps=UnservedSteps(shared, uploads, queue, deps.unserved),
    )
