"""What both commands need: NATS, the API server, the key, and that no operator runs at the same time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from nats.js import JetStreamContext

from uploadpp.core.config import Config
from uploadpp.core.model import Millis
from uploadpp.core.sharding import Shard
from uploadpp.kube.api import Api, Json
from uploadpp.kube.claimant import Claimant
from uploadpp.kube.lease import Lease
from uploadpp.kube.sealing import Sealer, UnknownKeyError
from uploadpp.kube.store import Store
from uploadpp.migration.report import RefusedToRunError, Report
from uploadpp.process.clients import open_clients
from uploadpp.process.configuration import ConfigurationError, source_of
from uploadpp.process.operator_config import core_config, namespace_of, sealing_keys
from uploadpp.process.settings import Settings
from uploadpp.wire.bucket import Names
from uploadpp.wire.creation import no_answers
from uploadpp.wire.handing_back import PULL, own_with_reader
from uploadpp.wire.legacy_consumers import Readers
from uploadpp.wire.marks import Marks
from uploadpp.wire.stream import STREAM, list_consumers

AT_ONCE = 16
"""Maximum number of uploads that are processed concurrently."""
CONNECT_SECONDS = 30.0
LOOK_SECONDS = 1.0
QUIET_LOOKS, QUIET_SECONDS = 3, 0.5
"""A service that pulls is gone when so many looks in a row do not find it: it may be between two requests."""
STILL_RUNS = (
    "the postprocessing service of ocis/OpenCloud is still running ({}); switch it off first, for example "
    "with OCIS_EXCLUDE_RUN_SERVICES=postprocessing or OC_EXCLUDE_RUN_SERVICES=postprocessing"
)
OPERATOR_RUNS = "the operator is running ({}); stop it first: kubectl scale deployment NAME --replicas=0"


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asks of either command."""

    names: Names = field(default_factory=Names)
    dry_run: bool = False
    force: bool = False
    wait_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Site:
    """One installation, as a command sees it."""

    settings: Settings
    namespace: str
    config: Config
    sealer: Sealer
    marks: Marks
    js: JetStreamContext
    api: Api
    store: Store
    clock: Callable[[], Millis]
    """The time by the clock of NATS, as the operator has it."""


@contextlib.asynccontextmanager
async def open_site(settings: Settings, name: str) -> AsyncIterator[Site]:
    """Connect to everything.

    Raises:
        ConfigurationError: the settings cannot be used, or the sealing key is missing.
        UnreachableError: NATS does not answer.
    """
    namespace, config, keys = namespace_of(settings), core_config(settings), sealing_keys(settings)
    try:
        sealer, marks = Sealer(keys), Marks.of(keys)
    except ValueError as error:
        text = f"{source_of(settings, 'sealing_key_file')}={settings.sealing_key_file}: {error}"
        raise ConfigurationError(f"{text}; see `uploadpp generate-key`") from None
    async with open_clients(settings, name, CONNECT_SECONDS) as (client, api):
        js, store = client.jetstream(), Store(api, namespace)
        yield Site(settings, namespace, config, sealer, marks, js, api, store, client.server_time)


async def all_of(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all; the first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def check_stream(site: Site) -> None:
    """Check that the stream acknowledges what it stores.

    Raises:
        RefusedToRunError: it does not.
    """
    if why := await no_answers(site.js, STREAM):
        raise RefusedToRunError(why)


async def check_legacy_service(site: Site, report: Report, *, force: bool, wait_seconds: float = 0) -> None:
    """Check that the legacy service does not run.

    Raises:
        RefusedToRunError: it does, and neither `force` nor a dry run allows to continue.
    """
    among = Readers()

    async def members() -> str:
        return ", ".join(among.among(await list_consumers(site.js)))

    pulls = any(each.name == PULL for each in await list_consumers(site.js))
    looks = QUIET_LOOKS if pulls else 1
    found = await _until_gone(members, 0 if force or report.dry_run else wait_seconds, looks)
    if not found:
        return
    text = STILL_RUNS.format(found)
    if not (force or report.dry_run):
        raise RefusedToRunError(f"{text}. If NATS only remembers it, wait a minute or use --force")
    report.notes.append(text)


async def _until_gone(look: Callable[[], Awaitable[str]], seconds: float, looks: int = 1) -> str:
    """What is still there after the timeout; empty as soon as that many looks in a row find nothing."""
    loop = asyncio.get_running_loop()
    end, quiet = loop.time() + seconds, 0
    while True:
        found = await look()
        quiet = 0 if found else quiet + 1
        if quiet >= looks or (found and loop.time() >= end):
            return found
        await asyncio.sleep(LOOK_SECONDS if found else QUIET_SECONDS)


def check_key(site: Site, resources: list[Json]) -> None:
    """Check that our key opens existing resources: otherwise the operator could not use them.

    Raises:
        ConfigurationError: it is another key.
    """
    for each in resources:
        sealed, upload = each["spec"].get("sealed", ""), each["spec"].get("upload", {})
        if not sealed or each.get("status", {}).get("completionTime"):
            continue
        try:
            site.sealer.open(sealed, upload.get("id", ""))
        except UnknownKeyError as error:
            name = each["metadata"]["name"]
            source = source_of(site.settings, "sealing_key_file")
            raise ConfigurationError(
                f"{source}={site.settings.sealing_key_file}: is not the operator's key; "
                f"resource {name}: {error}"
            ) from None
        except ValueError:
            continue


@contextlib.asynccontextmanager
async def alone(site: Site, report: Report, wait_seconds: float = 0) -> AsyncIterator[None]:
    """Hold the Leases of all shards, so that no operator starts meanwhile; a dry run only checks them.

    Raises:
        RefusedToRunError: an operator runs.
        LeaseLostError: somebody has taken one meanwhile.
    """

    async def running() -> str:
        return ", ".join(await own_with_reader(site.js))

    found = await _until_gone(running, 0 if report.dry_run else wait_seconds)
    if report.dry_run:
        if found:
            report.notes.append(OPERATOR_RUNS.format(found))
        yield
        return
    if found:
        raise RefusedToRunError(OPERATOR_RUNS.format(found))
    count, seconds = site.settings.shards, -(-site.settings.lease_duration // 1000)
    me = f"uploadpp-{report.command}_{uuid4().hex[:8]}"
    shards = [Shard(index, count) for index in range(count)]
    claimant = Claimant(shards=count)
    leases = [
        Lease(site.api, site.namespace, each.lease_name, me, seconds, claimant=claimant) for each in shards
    ]
    holding: list[asyncio.Task[None]] = []
    try:
        for lease in leases:
            await _acquire(lease, seconds * 2 + wait_seconds)
            holding.append(asyncio.create_task(lease.hold()))
        async with _ended_by(holding):
            yield
    finally:
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)
        for lease in leases:
            await lease.release()


async def _acquire(lease: Lease, seconds: float) -> None:
    """Take a Lease; wait for that of an operator that has died."""
    try:
        async with asyncio.timeout(seconds):
            await lease.acquire()
    except TimeoutError:
        if lease.problem:
            raise RefusedToRunError(lease.problem) from None
        holder = f"{lease.holder} holds the Lease {lease.name}"
        raise RefusedToRunError(OPERATOR_RUNS.format(holder)) from None


@contextlib.asynccontextmanager
async def _ended_by(holding: list[asyncio.Task[None]]) -> AsyncIterator[None]:
    """End the work when a Lease is lost."""
    work = asyncio.current_task()
    assert work is not None  # noqa: S101 -- we are in one

    def stop(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            work.cancel()

    for each in holding:
        each.add_done_callback(stop)
    try:
        yield
    except asyncio.CancelledError:
        for each in holding:
            if each.done() and not each.cancelled():
                work.uncancel()
                each.result()
        raise
    finally:
        for each in holding:
            each.remove_done_callback(stop)
