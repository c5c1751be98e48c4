"""The process: connects, competes for the shard, and starts over when an ownership ends."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from nats.aio.client import Client
from nats.errors import Error as NatsError

from uploadpp import __version__
from uploadpp.core.config import Config
from uploadpp.core.lease_claim import identity
from uploadpp.core.model import Millis
from uploadpp.core.sharding import Shard
from uploadpp.kube.access import ConfigError
from uploadpp.kube.api import Api
from uploadpp.kube.claimant import Claimant
from uploadpp.kube.cluster import cluster_of
from uploadpp.kube.credentials import Credentials, find_credentials
from uploadpp.kube.events import EventLog
from uploadpp.kube.lease import Lease
from uploadpp.kube.rights import Rights
from uploadpp.kube.sealing import Sealer
from uploadpp.kube.store import Store
from uploadpp.ownership.candidate import ShardCandidate
from uploadpp.ownership.dependencies import Dependencies
from uploadpp.ownership.membership import Membership
from uploadpp.ownership.ownership import Ownership
from uploadpp.ownership.step_listeners import Listeners
from uploadpp.pipeline.storage_check import open_check
from uploadpp.process.clock import wall_clock
from uploadpp.process.configuration import ConfigurationError, nats_options, source_of
from uploadpp.process.health import Details, HealthServer
from uploadpp.process.listening import explain
from uploadpp.process.logs import add_trace_ids
from uploadpp.process.operator_config import core_config, namespace_of, notes, sealing_keys
from uploadpp.process.setting_types import Policies
from uploadpp.process.settings import Settings
from uploadpp.process.stalls import StallWatch
from uploadpp.process.stopping import or_stop
from uploadpp.process.tasks import never_ending
from uploadpp.process.tracing_config import notes as tracing_notes
from uploadpp.process.tracing_config import open_otlp
from uploadpp.resources.watch.kopf_thread import Watch
from uploadpp.telemetry.metrics import Metrics
from uploadpp.telemetry.tracing import Tracing
from uploadpp.wire.client import SafeClient, trouble
from uploadpp.wire.connection import connect, make_client
from uploadpp.wire.legacy_consumers import Policy
from uploadpp.wire.marks import Marks
from uploadpp.wire.past_ends import read_ends

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from uploadpp.ownership.policies import PolicyService

SERVICE = "postprocessing"
"""What traces call us: the name of the legacy service."""


class App:
    """One operator process."""

    def __init__(self, settings: Settings) -> None:
        """Check what can be checked without a connection.

        Raises:
            ConfigurationError: something needed is missing or unusable.
        """
        self._settings = settings
        self._namespace = namespace_of(settings)
        host = os.environ.get("HOSTNAME") or socket.gethostname()
        self._identity = identity(host, settings.pod_uid, uuid4().hex[:8])
        try:
            keys = sealing_keys(settings)
            self._sealer, self._marks = Sealer(keys), Marks.of(keys)
        except ValueError as error:
            text = f"{source_of(settings, 'sealing_key_file')}={settings.sealing_key_file}: {error}"
            raise ConfigurationError(f"{text}; see `uploadpp generate-key`") from None
        self._nats = nats_options(settings, self._identity)
        self._config = core_config(settings)
        self._storage = open_check(settings)
        attributes = {"k8s.namespace.name": self._namespace, "service.instance.id": self._identity}
        self._otlp = open_otlp(settings, SERVICE, attributes)
        self._metrics = Metrics()
        for step in self._config.steps:
            self._metrics.steps.label(step.name)  # before any that people make
        self._stop = asyncio.Event()
        self._connecting: SafeClient | None = None
        self._client: Client | None = None
        self._deaf = False
        self._candidates: list[ShardCandidate] = []
        self._rights: Rights | None = None
        self._policies = open_policies(settings, self._config, self._metrics)
        self._state = "starting"

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises:
            ConfigurationError: the debug address or the kubeconfig cannot be used.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        for note in notes(self._settings) + tracing_notes(self._settings):
            log.warning(note)
        if self._otlp is not None:
            add_trace_ids(self._trace_id)
        steps = ",".join(step.name for step in self._config.steps)
        log.info("starting", extra={"version": __version__, "namespace": self._namespace, "steps": steps})
        health = HealthServer(
            self._settings.debug_addr,
            self._settings.debug_token,
            self._metrics,
            self._unhealthy,
            self._unready,
            Details(self._report, self._policies.ask if self._policies is not None else None),
        )
        try:
            await health.start()
        except (OSError, ValueError) as error:
            source = source_of(self._settings, "debug_addr")
            raise ConfigurationError(f"{source}={self._settings.debug_addr}: {explain(error)}") from None
        watch = StallWatch(self._metrics.loop, self._processing)
        watch.start()
        try:
            if self._policies is not None:
                self._policies.start()
            await self._work()
        finally:
            watch.stop()
            if self._policies is not None:
                await self._policies.stop()
            await health.stop()
            if self._otlp is not None:
                self._otlp.close()
            log.info("stopped")
        if self._deaf:
            sys.exit(1)

    async def _work(self) -> None:
        try:
            credentials = await asyncio.to_thread(find_credentials)
        except ConfigError as error:
            raise ConfigurationError(f"no usable kubeconfig or service account: {error}") from error
        for note in credentials.notes:
            log.warning(note)
        self._state = "connecting to NATS"
        connecting = self._connecting = make_client(self._nats)
        self._client = await or_stop(connect(self._nats, connecting), self._stop)
        if self._client is None:
            return
        async with Api(credentials) as api:
            events = EventLog(api, self._namespace, self._identity)
            membership = Membership(self._client, self._namespace, self._identity, self._settings.shards)
            steps = [step.name for step in self._config.steps]
            listeners = Listeners(self._client.jetstream(), steps, self._metrics)
            deps = self._dependencies(api, events, self._client, credentials, listeners)
            count = self._settings.shards
            max_age = self._settings.stream_max_age / 1000 or None
            lease = partial(self._lease, api)
            self._candidates = [
                ShardCandidate(deps, membership, Shard(i, count), lease, max_age) for i in range(count)
            ]
            self._publish_backlogs()
            self._rights = Rights(api, self._namespace)
            beside: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (
                events.run,
                partial(membership.run, self._candidates),
                listeners.run,
                self._listen,
                partial(self._leave, membership),
                self._rights.run,
            )
            if self._policies is not None:
                known = self._policies.run
                follow = partial(known, api, self._namespace, credentials, self._owns_first, self._hurry)
                beside = (follow, *beside)
            helpers = [asyncio.create_task(never_ending(work)) for work in beside]
            try:
                await asyncio.gather(*(candidate.run(self._stop) for candidate in self._candidates))
            finally:
                for task in helpers:
                    task.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
                await self._client.close()
                if self._storage is not None:
                    await self._storage.close()

    def _owns_first(self) -> bool:
        """Whether this process works on the first shard."""
        return any(each.shard.index == 0 and each.working for each in self._candidates)

    def _hurry(self) -> None:
        for each in self._candidates:
            each.hurry()

    def _publish_backlogs(self) -> None:
        """Gauges over all shards of this process, computed when somebody asks."""

        def over_ownerships(value: Callable[[Ownership], int]) -> Callable[[], float]:
            return lambda: sum(
                value(candidate.ownership)
                for candidate in self._candidates
                if candidate.ownership is not None
            )

        metrics = self._metrics
        metrics.unacked.set_function(over_ownerships(lambda ownership: ownership.unacknowledged))
        metrics.unread.set_function(over_ownerships(lambda ownership: ownership.unread))
        metrics.unsaved.set_function(over_ownerships(lambda ownership: ownership.unsaved))
        metrics.recorded.set_function(over_ownerships(lambda ownership: ownership.limit.recorded))
        metrics.texts.set_function(over_ownerships(lambda ownership: ownership.limit.characters))
        metrics.recorded_limit.set(self._settings.max_recorded)
        metrics.unrecorded.set_function(over_ownerships(lambda ownership: ownership.unrecorded))
        metrics.wrong_key.set_function(
            lambda: float(any(candidate.lacks_key for candidate in self._candidates))
        )
        metrics.differing.set_function(
            lambda: float(any(candidate.differing_steps for candidate in self._candidates))
        )
        metrics.log_lag.set_function(
            lambda: max(
                (
                    candidate.ownership.lag_seconds
                    for candidate in self._candidates
                    if candidate.ownership is not None
                ),
                default=0,
            )
        )
        metrics.ages.tell_of(
            lambda: (
                tracked.upload
                for candidate in self._candidates
                if candidate.ownership is not None
                for tracked in candidate.ownership.in_memory
            ),
            self._now,
        )

    def _now(self) -> Millis:
        return self._connecting.server_time() if self._connecting is not None else wall_clock()

    async def _listen(self) -> None:
        """Check that the connection to NATS still works."""
        while True:
            await asyncio.sleep(1)
            if self._client is not None and self._client.is_closed and not self._stop.is_set():
                # The client has given up, as when its user has expired. A new process may succeed.
                log.critical(
                    "the NATS connection is permanently closed; exiting so that the process is restarted"
                )
                self._deaf = True
                self._stop.set()

    async def _leave(self, membership: Membership) -> None:
        """Tell the other replicas when this process is told to stop."""
        await self._stop.wait()
        with contextlib.suppress(NatsError):
            await membership.leave()

    def _trace_id(self, upload_id: str) -> str:
        """The trace of an upload, for the log; empty when the upload is not ours."""
        ownerships = [
            candidate.ownership for candidate in self._candidates if candidate.ownership is not None
        ]
        return next((found for each in ownerships if (found := each.trace_id(upload_id))), "")

    def _lease(self, api: Api, shard: Shard, claimant: Claimant) -> Lease:
        duration = -(-self._settings.lease_duration // 1000)
        return Lease(api, self._namespace, shard.lease_name, self._identity, duration, claimant=claimant)

    def _dependencies(
        self, api: Api, events: EventLog, client: Client, credentials: Credentials, listeners: Listeners
    ) -> Dependencies:
        return Dependencies(
            config=self._config,
            client=client,
            store=Store(api, self._namespace),
            events=events,
            seals=self._sealer,
            owner=f"{self._namespace} in cluster {cluster_of(credentials.access)}",
            marks=self._marks,
            metrics=self._metrics,
            namespace=self._namespace,
            shown=self._settings.show,
            clock=self._now,
            writers=self._settings.writers,
            max_ended=self._settings.max_ended,
            max_recorded=self._settings.max_recorded,
            start_from=self._settings.start_from,
            legacy_policy=Policy(self._settings.on_legacy_service, self._settings.legacy_consumer),
            watch=partial(Watch, credentials=credentials),
            read_ends=partial(read_ends, client.jetstream()),
            ask=self._storage.ask if self._storage is not None else None,
            ask_seconds=self._settings.storage_check_interval / 1000,
            choose=self._policies.choose if self._policies is not None else None,
            count_matches=self._policies.count_matches if self._policies is not None else None,
            policies_known=lambda: self._policies is None or self._policies.known,
            unserved=lambda: listeners.unserved,
            tracing=Tracing(self._otlp.sampled, self._otlp.emit) if self._otlp is not None else None,
        )

    def _processing(self) -> str:
        """The messages that are worked on, by their sequences in the stream."""
        ownerships = [
            candidate.ownership for candidate in self._candidates if candidate.ownership is not None
        ]
        return ",".join([f"sequence {each.processing}" for each in ownerships if each.processing])

    def _unhealthy(self) -> str:
        return ""

    def _report(self) -> list[str]:
        """What readiness looks at, a line each."""
        nats = trouble(self._connecting) if self._connecting is not None else "not connected"
        lines = [f"[-]nats failed: {nats}" if nats else "[+]nats ok"]
        if self._rights is not None:
            lacking = self._rights.problem
            lines.append(f"[-]rights failed: {lacking}" if lacking else "[+]rights ok")
        if self._policies is not None:
            lines += self._policies.report
        return lines + [line for candidate in self._candidates for line in candidate.report]

    def _unready(self) -> str:
        """Standing by is being ready: a rollout waits for it before it stops the present owner."""
        nats = trouble(self._connecting) if self._connecting is not None else ""
        if not self._candidates:
            return f"{self._state}: {nats}" if nats else self._state
        problems = [nats, *sorted(candidate.problem for candidate in self._candidates)]
        if self._rights is not None and self._rights.problem:
            problems.append(f"cannot record: {self._rights.problem}")
        if self._policies is not None:
            problems.append(self._policies.problem)
        return "; ".join(dict.fromkeys(filter(None, problems)))


def open_policies(settings: Settings, config: Config, metrics: Metrics) -> "PolicyService | None":
    """What works on policies; None without them.

    Raises:
        ConfigurationError: something needed is missing or unusable.
    """
    if settings.policies is Policies.DISABLED:
        return None
    from uploadpp.ownership.policies import PolicyService  # noqa: PLC0415 -- costs a library and its memory

    return PolicyService(settings, config, metrics)
