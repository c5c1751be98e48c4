"""The CRD is removed while uploads are under way, and put back: nobody has asked to forget them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, reasons, start_working, until, until_reasons

CRD = "crd/uploadpostprocessings.uploadpp.io"
SUSPENDED = '{"spec":{"desiredState":"Suspended"}}'


@pytest.fixture
async def driver(nats: NatsServer) -> AsyncIterator[Driver]:
    async with Driver(nats.url, silent=True) as driver:
        yield driver


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    return Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))


async def until_recorded(kubectl: Kubectl, expected: dict[str, str]) -> None:
    async def are_recorded() -> bool:
        return reasons(kubectl.json("get", "upp")) == expected

    await until(are_recorded)


def by_hand(name: str) -> str:
    """A resource of a person, under a name of its own."""
    made: dict[str, Any] = {
        "apiVersion": "uploadpp.io/v1alpha1",
        "kind": "UploadPostprocessing",
        "metadata": {"name": name},
        "spec": {"upload": {"id": f"{name}-id"}, "steps": [{"name": "mine"}], "desiredState": "Suspended"},
    }
    return json.dumps(made)


@pytest.mark.parametrize("pause", [0, 12], ids=["at once", "later"])
async def test_uploads_under_way_are_recorded_anew(
    driver: Driver, operator: Operator, cluster: LocalCluster, kubectl: Kubectl, pause: int
) -> None:
    """Also one that is suspended, and one that a person has made."""
    uploads = [f"u{number}" for number in range(20)]
    try:
        await start_working(operator)
        await driver.upload(*uploads)
        kubectl("apply", "--filename=-", stdin=by_hand("mine"))
        running = dict.fromkeys(uploads, "Running") | {"mine-id": "Suspended"}
        await until_recorded(kubectl, running)
        kubectl("patch", "upp", "u0", "--type=merge", "--patch", SUSPENDED)
        await asyncio.to_thread(kubectl, "delete", CRD, "--timeout=150s", timeout=160)
        await asyncio.sleep(pause)  # is the CRD missed for long, or hardly at all?
    finally:
        apply_crds(cluster.kubeconfig)
    await until_recorded(kubectl, running)
    assert kubectl.json("get", "upp", "u0")["spec"]["desiredState"] == "Suspended"
    await driver.again()
    await driver.until_released(*uploads[1:])
    ended = dict.fromkeys(uploads[1:], "Completed")
    await until_reasons(kubectl, ended | {"u0": "Suspended", "mine-id": "Suspended"})
    kubectl("patch", "upp", "u0", "--type=merge", "--patch", '{"spec":{"desiredState":"Active"}}')
    await driver.until_released("u0")
    for upload, history in (await histories(driver.js)).items():
        assert len(history.steps) == len(set(history.steps)), upload
        assert history.finished == ("continue",), upload
    assert "the ownership ended" not in operator.log.read_text()


async def test_what_a_person_deletes_is_forgotten(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    """Also all at once."""
    uploads = [f"u{number}" for number in range(5)]
    await start_working(operator)
    await driver.upload(*uploads)
    await until_recorded(kubectl, dict.fromkeys(uploads, "Running"))
    await asyncio.to_thread(kubectl, "delete", "upp", "--all")

    async def are_forgotten() -> bool:
        return operator.log.read_text().count("stops tracking") == len(uploads)

    await until(are_forgotten)  # kubectl knows that they are gone before the operator does
    await driver.again()
    await driver.upload("next")
    await driver.until_released("next")
    await until_reasons(kubectl, {"next": "Completed"})
    told = await histories(driver.js)
    assert {told[each].finished for each in uploads} == {()}
    assert {len(told[each].steps) for each in uploads} == {1}
