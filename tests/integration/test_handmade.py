"""A resource that a person applies runs like one that came over the wire."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from e2e.cluster.instance import Instance
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.demo.wire import read_all
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, histories, start_working, until
from tests.integration.test_refusals import acknowledged
from tests.middlebox import Middlebox
from uploadpp.testing.events import new_message, step_finished

URL = "https://storage.test/data/s3cr3t-path"


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    made = Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))
    made.start()
    return made


class AwayOnce(Middlebox):
    """Answers in place of an API server that is unavailable when a Secret is first asked for."""

    asked = 0

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if "/secrets/" in request.path:
            self.asked += 1
            if self.asked == 1:
                return web.Response(status=503, text="upstream connect error")
        return await super()._serve(request)


@pytest.fixture
async def box(cluster: LocalCluster) -> AsyncIterator[AwayOnce]:
    async with AwayOnce(cluster) as box:
        yield box


@pytest.fixture
def behind_box(
    box: AwayOnce, cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, tmp_path: Path
) -> Operator:
    write_kubeconfig(tmp_path / "config", server=box.url, ca=b"", token=cluster.apiserver.token)
    return Operator(instance, OperatorOptions(tmp_path / "config", nats.address, namespace))


def manifest(name: str, **spec: dict[str, str]) -> str:
    upload = {"id": name, "filename": "plan & <draft>.pdf", "filesize": 7, "spaceID": "s-1"}
    return json.dumps(
        {
            "apiVersion": "uploadpp.io/v1alpha1",
            "kind": "UploadPostprocessing",
            "metadata": {"name": name},
            "spec": {"upload": upload, "steps": [{"name": "policies"}], **spec},
        }
    )


def secret(name: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {"uploadpp.io/url-secret": "true"}},
            "data": {"url": b64encode(URL.encode()).decode()},
        }
    )


async def finished(kubectl: Kubectl, name: str) -> dict[str, Any]:
    words = ("wait", "--for=condition=Finished", "--timeout=120s", f"upp/{name}")
    await asyncio.to_thread(kubectl, *words, timeout=150)
    found: dict[str, Any] = kubectl.json("get", "upp", name)
    return found


async def described(kubectl: Kubectl, name: str, words: str) -> None:
    async with asyncio.timeout(60):
        while words not in await asyncio.to_thread(kubectl, "describe", "upp", name):  # noqa: ASYNC110 -- kubectl cannot wait for Events
            await asyncio.sleep(0.3)


async def test_the_url_comes_from_a_secret_and_stays_sealed(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    kubectl("apply", "-f", "-", stdin=secret("where"))
    kubectl("apply", "-f", "-", stdin=manifest("by-hand", urlSecretRef={"name": "where", "key": "url"}))
    found = await finished(kubectl, "by-hand")
    assert found["status"]["outcome"] == "continue"
    (start,) = [e for e in await read_all(driver.js) if e.type == "StartPostprocessingStep"]
    assert start.payload["URL"] == URL
    assert start.payload["Filename"] == "plan & <draft>.pdf"
    assert start.payload["ResourceID"] == {"space_id": "s-1"}
    assert "s3cr3t-path" not in json.dumps(found) + operator.log.read_text()


async def test_without_a_url_the_storage_is_asked_for_one(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    del operator
    kubectl("apply", "-f", "-", stdin=manifest("no-url"))
    kubectl(
        "wait", "--for=jsonpath={.status.conditions[0].reason}=AwaitingURL", "--timeout=30s", "upp/no-url"
    )
    assert "RestartPostprocessing" in {e.type for e in await read_all(driver.js)}
    again = {"id": {"opaque_id": "postprocessing-restart"}}
    await driver.say(bytes_received("no-url", ExecutingUser=again))  # what the storage answers
    assert (await finished(kubectl, "no-url"))["status"]["outcome"] == "continue"
    assert (await histories(driver.js))["no-url"].steps == ["policies"]


async def test_without_steps_the_storage_is_asked_before_the_file_is_released(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    """It may still be receiving the file."""
    del operator
    kubectl(
        "apply", "-f", "-", stdin=manifest("bare").replace('"steps": [{"name": "policies"}]', '"steps": []')
    )
    waiting = "--for=jsonpath={.status.conditions[0].reason}=AwaitingURL"
    kubectl("wait", waiting, "--timeout=30s", "upp/bare")
    assert {e.type for e in await read_all(driver.js)} == {"RestartPostprocessing"}
    again = {"id": {"opaque_id": "postprocessing-restart"}}
    await driver.say(bytes_received("bare", ExecutingUser=again))
    assert (await finished(kubectl, "bare"))["status"]["outcome"] == "continue"


async def test_a_secret_that_is_missing_is_said_on_the_resource(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    del driver, operator
    kubectl("apply", "-f", "-", stdin=manifest("lost", urlSecretRef={"name": "gone", "key": "url"}))
    kubectl("wait", "--for=jsonpath={.status.conditions[0].reason}=AwaitingURL", "--timeout=30s", "upp/lost")
    await described(kubectl, "lost", "Secret gone")
    kubectl("apply", "-f", "-", stdin=secret("gone"))
    assert (await finished(kubectl, "lost"))["status"]["outcome"] == "continue"


async def test_a_secret_that_cannot_be_read_for_a_moment_is_read_again(
    driver: Driver, box: AwayOnce, behind_box: Operator, kubectl: Kubectl
) -> None:
    await start_working(behind_box)
    kubectl("apply", "-f", "-", stdin=secret("where"))
    kubectl("apply", "-f", "-", stdin=manifest("again", urlSecretRef={"name": "where", "key": "url"}))
    assert (await finished(kubectl, "again"))["status"]["outcome"] == "continue"
    behind_box.stop()
    assert box.asked == 2
    (start,) = [e for e in await read_all(driver.js) if e.type == "StartPostprocessingStep"]
    assert start.payload["URL"] == URL


async def test_a_second_resource_for_the_same_upload_is_left_alone(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    del operator
    await driver.upload("twice")
    await driver.until_released("twice")
    kubectl("apply", "-f", "-", stdin=manifest("twice").replace('"name": "twice"', '"name": "other"'))
    await described(kubectl, "other", "already has the resource twice")
    assert (await histories(driver.js))["twice"].finished == ("continue",)


async def test_deleting_a_resource_forgets_its_upload(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    driver.silent = True
    await driver.upload("gone")
    kubectl("wait", "--for=create", "--timeout=30s", "upp/gone")
    kubectl("delete", "upp", "gone", "--wait=true")
    async with asyncio.timeout(60):
        while "stops tracking" not in operator.log.read_text():  # noqa: ASYNC110 -- nothing else tells
            await asyncio.sleep(0.1)
    await driver.say(_answer("gone"))
    driver.silent = False
    await driver.upload("next")
    await driver.until_released("next")
    told = await histories(driver.js)
    assert told["gone"].steps == ["policies"]
    assert told["gone"].finished == ()


async def test_a_resource_that_a_finalizer_holds_is_deleted_all_the_same(
    driver: Driver,
    cluster: LocalCluster,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
    kubectl: Kubectl,
) -> None:
    """What was deleted before the start does not begin, and what runs is forgotten."""
    keep = '{"metadata":{"finalizers":["x.example/keep"]}}'
    operator = Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))
    kubectl("apply", "-f", "-", stdin=manifest("before"))
    kubectl("patch", "upp", "before", "--type=merge", f"--patch={keep}")
    kubectl("delete", "upp", "before", "--wait=false")
    await start_working(operator)
    driver.silent = True
    await driver.upload("runs", "left")
    for name in ("runs", "left"):
        kubectl("wait", "--for=jsonpath={.status.currentStep}=policies", "--timeout=30s", f"upp/{name}")
        kubectl("patch", "upp", name, "--type=merge", f"--patch={keep}")
    kubectl("delete", "upp", "runs", "--wait=false")
    async with asyncio.timeout(60):
        while "stops tracking" not in operator.log.read_text():  # noqa: ASYNC110 -- nothing else tells
            await asyncio.sleep(0.1)
    await until(lambda: acknowledged(driver))
    await asyncio.to_thread(operator.stop)
    kubectl("delete", "upp", "left", "--wait=false")
    await start_working(operator)
    driver.silent = False
    for name in ("runs", "left"):
        await driver.say(_answer(name))
    await driver.upload("next")
    await driver.until_released("next")
    told = await histories(driver.js)
    assert "before" not in told
    for name in ("runs", "left"):
        assert (told[name].steps, told[name].finished) == (["policies"], ())
    operator.stop()
    # All of them are still there. Held, they would keep the CRD as well.
    for name in ("before", "runs", "left"):
        kubectl("patch", "upp", name, "--type=merge", '--patch={"metadata":{"finalizers":null}}')


def _answer(upload_id: str) -> bytes:
    return new_message("PostprocessingStepFinished", step_finished(upload_id, "policies", "continue"))
