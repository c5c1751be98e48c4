"""etcd or the store of NATS is put back from an older copy: each upload ends once, as if nothing had been."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.service import Service
from e2e.demo.wire import Event
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, History, histories, start_working, until, until_reasons
from uploadpp.testing.events import STREAM, new_message, resume, step_finished

LEASE_SECONDS = 2
RENEWALS = 3
"""So many after something has happened the Lease says so."""
STEPS = ("policies", "virusscan")
LOST = 100
"""More than the API server writes of its own accord when it starts."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A control plane whose etcd nobody else needs, in place of the shared one."""
    with LocalCluster() as running:
        apply_crds(running.kubeconfig)
        yield running


@pytest.fixture
def lease_seconds() -> int:
    return LEASE_SECONDS


@pytest.fixture
def operator(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, lease_seconds: int
) -> Operator:
    lease = {"UPLOADPP_LEASE_DURATION": f"{lease_seconds}s"}
    return Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=lease))


@dataclass
class Services(Driver):
    """The storage and the steps. Uploads are called after what becomes of them."""

    holds: bool = True
    """While set nothing is scanned, and what is called `waits` is not looked at by any step."""
    begun: bool = False
    """While not set, no step looks at anything."""

    async def _answer_step(self, event: Event) -> None:
        waits = "waits" in event.upload_id or event.payload["StepToStart"] == "virusscan"
        if self.begun and not (self.holds and waits and "ends" not in event.upload_id):
            await super()._answer_step(event)


def outcome(upload: str, step: str, _: int) -> str:
    """Also when it is asked again."""
    return "abort" if "aborts" in upload and step == "policies" else "continue"


@pytest.fixture
async def services(nats: NatsServer) -> AsyncIterator[Services]:
    async with Services(nats.url, outcome=outcome) as playing:
        yield playing


def named(when: str) -> list[str]:
    return [f"{when}-{what}" for what in ("ends", "aborts", "advances", "waits")]


RUNNING = {f"{when}-{what}": "Running" for when in ("old", "new") for what in ("advances", "waits")}
OVER = {"gone-ends": "Completed"}
OVER |= {f"{when}-ends": "Completed" for when in ("old", "new")}
OVER |= {f"{when}-aborts": "Aborted" for when in ("old", "new")}


async def before_the_copy(services: Services, operator: Operator, kubectl: Kubectl) -> None:
    """One upload is over, four are at their first step."""
    await start_working(operator)
    services.begun = True
    await services.upload("gone-ends")
    await until_reasons(kubectl, {"gone-ends": "Completed"})
    services.begun = False
    await services.upload(*named("old"))
    await until_reasons(kubectl, {"gone-ends": "Completed"} | dict.fromkeys(named("old"), "Running"))
    await until_renewed(kubectl)


async def after_the_copy(services: Services, kubectl: Kubectl) -> dict[str, History]:
    """They have ended, been aborted, gone on or waited; four others have come and done the same."""
    services.begun = True
    await services.again()
    await services.upload(*named("new"))
    await until_reasons(kubectl, OVER | RUNNING)
    await until(lambda: is_scanned(services, "old-advances", "new-advances"))
    await until_renewed(kubectl)
    return await histories(services.js)


async def until_renewed(kubectl: Kubectl) -> None:
    """Wait until the Lease says what has happened."""
    versions = set()

    async def is_renewed() -> bool:
        (lease,) = (await asyncio.to_thread(kubectl.json, "get", "leases"))["items"]
        versions.add(lease["metadata"]["resourceVersion"])
        return len(versions) > RENEWALS

    await until(is_renewed)


async def is_scanned(services: Services, *uploads: str) -> bool:
    found = await histories(services.js)
    return all(found[each].steps == [*STEPS] for each in uploads)


async def to_the_end(services: Services, kubectl: Kubectl) -> dict[str, History]:
    """What runs is answered."""
    services.holds = False
    await services.again()
    await until_reasons(kubectl, OVER | dict.fromkeys(RUNNING, "Completed"))
    return await histories(services.js)


def save(service: Service, data: Path, to: Path) -> None:
    service.stop()
    shutil.copytree(data, to)
    service.start()


def put_etcd_back(cluster: LocalCluster, copy: Path) -> None:
    cluster.apiserver.kill()
    cluster.etcd.stop()
    shutil.rmtree(cluster.etcd.data)
    shutil.copytree(copy, cluster.etcd.data)
    cluster.etcd.start()
    cluster.apiserver.start()


@pytest.mark.parametrize("way", ["killed", "working"])
async def test_etcd(
    cluster: LocalCluster,
    operator: Operator,
    services: Services,
    kubectl: Kubectl,
    tmp_path: Path,
    way: str,
) -> None:
    await before_the_copy(services, operator, kubectl)
    copy = tmp_path / "etcd"
    await asyncio.to_thread(save, cluster.etcd, cluster.etcd.data, copy)
    said = await after_the_copy(services, kubectl)
    if way != "working":
        await asyncio.to_thread(operator.kill)
    await asyncio.to_thread(put_etcd_back, cluster, copy)
    if way != "working":
        await start_working(operator)
    await until_reasons(kubectl, OVER | RUNNING)
    assert await histories(services.js) == said, "nothing is said a second time"
    for each in ("old-aborts", "new-aborts"):
        await services.say(new_message("ResumePostprocessing", resume(each)))
    said = await to_the_end(services, kubectl)
    assert "resource deleted" not in operator.log.read_text()
    for each in (*RUNNING, "old-ends", "new-ends"):
        assert said[each].steps == [*STEPS]
        assert said[each].finished == ("continue",)
    for each in ("old-aborts", "new-aborts"):
        assert said[each].finished == ("abort",)


@pytest.mark.parametrize("lease_seconds", [120])
async def test_etcd_without_the_last_creations(
    cluster: LocalCluster, operator: Operator, services: Services, kubectl: Kubectl, tmp_path: Path
) -> None:
    """The copy is younger than the last renewal, so only the version of a list shows that it is one."""
    await start_working(operator)
    await asyncio.to_thread(save, cluster.etcd, cluster.etcd.data, tmp_path / "etcd")
    lost = dict.fromkeys([f"new-waits-{n}" for n in range(LOST)], "Running")
    await services.upload(*lost)
    await until_reasons(kubectl, lost)
    await asyncio.to_thread(put_etcd_back, cluster, tmp_path / "etcd")
    await until_reasons(kubectl, lost)
    services.begun, services.holds = True, False
    await services.again()
    await until_reasons(kubectl, dict.fromkeys(lost, "Completed"))
    said = await histories(services.js)
    assert all(said[each].finished == ("continue",) for each in lost)
    assert "resource deleted" not in operator.log.read_text()


@pytest.mark.parametrize("way", ["stopped, without a note", "stopped, and others have spoken", "working"])
async def test_nats_server(
    nats: NatsServer, operator: Operator, services: Services, kubectl: Kubectl, tmp_path: Path, way: str
) -> None:
    """What is said after it gets positions that the operator has seen already."""
    await before_the_copy(services, operator, kubectl)
    await asyncio.to_thread(save, nats, nats.store, tmp_path / "store")
    await after_the_copy(services, kubectl)
    last = (await services.js.stream_info(STREAM)).state.last_seq
    services.begun = False
    if way != "working":
        await asyncio.to_thread(operator.stop)
    await asyncio.to_thread(nats.stop)
    shutil.rmtree(nats.store)
    shutil.copytree(tmp_path / "store", nats.store)
    await asyncio.to_thread(nats.start)
    # Their starts are not in the stream any more, so only the services know of them.
    for upload, step in (("old-advances", STEPS[1]), ("new-advances", STEPS[1]), ("new-waits", STEPS[0])):
        answer = step_finished(upload, step, "continue")
        await services.say(new_message("PostprocessingStepFinished", answer))
    while "spoken" in way and (await services.js.stream_info(STREAM)).state.last_seq <= last:
        await services.say(new_message("ItemTrashed", {}))
    if "note" in way:  # as an earlier version leaves the Lease
        kubectl("annotate", "lease", "--all", "uploadpp.io/position-")
    if way != "working":
        await start_working(operator)
    services.begun = True
    said = await to_the_end(services, kubectl)
    for each in RUNNING:
        assert said[each].finished == ("continue",)
    for each in OVER:
        assert len(said.get(each, History((), ())).finished) <= 1
