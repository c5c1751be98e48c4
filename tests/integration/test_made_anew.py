"""A person's resource is made anew after its upload was aborted: no second abort destroys the bytes."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, start_working, until, until_reasons
from tests.integration.test_handmade import described, finished, manifest

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "where", "labels": {"uploadpp.io/url-secret": "true"}},
    "data": {"url": b64encode(b"https://storage.test/data/s3cr3t-path").decode()},
}
FROM_SECRET = {"urlSecretRef": {"name": "where", "key": "url"}}


@pytest.fixture
async def driver(nats: NatsServer) -> AsyncIterator[Driver]:
    async with Driver(nats.url) as driver:
        driver.outcome = lambda *_: "abort"
        yield driver


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    return Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))


async def work(operator: Operator, kept: str) -> None:
    """Have it drive uploads, and keep for so long those that were not released."""
    operator.options.environment["UPLOADPP_TTL_FAILED"] = kept  # type: ignore[index]
    await start_working(operator)


def gone(kubectl: Kubectl, name: str) -> Callable[[], Any]:
    async def is_gone() -> bool:
        found = await asyncio.to_thread(
            kubectl.json, "get", "upp", "--field-selector", f"metadata.name={name}"
        )
        return not found["items"]

    return is_gone


async def told(driver: Driver, upload_id: str) -> bool:
    history = (await histories(driver.js)).get(upload_id)
    return history is not None and bool(history.finished)


async def until_held(kubectl: Kubectl, name: str) -> str:
    await until_reasons(kubectl, {name: "Held"})
    (condition, *_) = kubectl.json("get", "upp", name)["status"]["conditions"]
    return str(condition["message"])


@pytest.mark.parametrize("restarted", [False, True])
async def test_the_same_manifest_applied_again_is_held_after_an_abort(
    driver: Driver, operator: Operator, kubectl: Kubectl, *, restarted: bool
) -> None:
    """As Argo CD and Flux do with what is missing, once the time to live has removed it."""
    await work(operator, "1s")
    kubectl("apply", "-f", "-", stdin=json.dumps(SECRET))
    kubectl("apply", "-f", "-", stdin=manifest("again", **FROM_SECRET))
    await until(gone(kubectl, "again"))
    assert (await histories(driver.js))["again"].finished == ("abort",)
    if restarted:
        operator.kill()
    kubectl("apply", "-f", "-", stdin=manifest("again", **FROM_SECRET))
    if restarted:
        await start_working(operator)
    said = await until_held(kubectl, "again")
    assert "PostprocessingFinished(abort)" in said
    assert "restart --force" in said
    history = (await histories(driver.js))["again"]
    assert (history.steps, history.finished) == (["policies"], ("abort",))

    restart: dict[str, Any] = {"token": "one", "mode": "Restart"}
    kubectl("patch", "upp", "again", "--type=merge", "-p", json.dumps({"spec": {"restart": restart}}))
    await described(kubectl, "again", "use mode ForceRestart")
    assert (await histories(driver.js))["again"].finished == ("abort",)
    driver.outcome = lambda *_: "continue"
    restart |= {"token": "two", "mode": "ForceRestart"}
    kubectl("patch", "upp", "again", "--type=merge", "-p", json.dumps({"spec": {"restart": restart}}))
    assert (await finished(kubectl, "again"))["status"]["outcome"] == "continue"


async def test_a_cancelled_one_that_is_put_back_tells_the_storage_nothing(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    """It was cancelled before it had a URL, so nothing in it was sealed."""
    await work(operator, "1h")
    kubectl("apply", "-f", "-", stdin=manifest("cut"))
    await until_reasons(kubectl, {"cut": "AwaitingURL"})
    kubectl("patch", "upp", "cut", "--type=merge", "-p", '{"spec":{"desiredState":"Cancelled"}}')
    await until_reasons(kubectl, {"cut": "Cancelled"})
    saved = kubectl.json("get", "upp", "cut")
    assert "sealed" not in saved["spec"]
    saved = {key: saved[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": "cut"}}
    kubectl("delete", "upp", "cut", "--wait=true")
    kubectl("create", "-f", "-", stdin=json.dumps(saved))
    await until_reasons(kubectl, {"cut": "Cancelled"})
    await described(kubectl, "cut", "the storage was not told")
    assert (await histories(driver.js))["cut"].finished == ("abort",)


async def test_one_with_the_name_of_the_upload_does_not_take_what_has_ended(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    await work(operator, "40s")
    kubectl("apply", "-f", "-", stdin=json.dumps(SECRET))
    ended = manifest("x2", **FROM_SECRET).replace('"metadata": {"name": "x2"}', '"metadata": {"name": "bbb"}')
    kubectl("apply", "-f", "-", stdin=ended)
    await until_reasons(kubectl, {"x2": "Aborted"})
    kubectl("apply", "-f", "-", stdin=manifest("x2", desiredState="Cancelled"))  # type: ignore[arg-type]
    await described(kubectl, "x2", "has ended in the resource bbb")
    (kept,) = [each for each in kubectl.json("get", "upp")["items"] if each["metadata"]["name"] == "bbb"]
    assert "uploadpp.io/left-alone" not in kept["metadata"].get("annotations", {})
    await until(gone(kubectl, "bbb"), 100)
    operator.kill()
    await start_working(operator)
    await driver.upload("next")
    await until(lambda: told(driver, "next"))
    assert "uploadpp.io/left-alone" in kubectl.json("get", "upp", "x2")["metadata"]["annotations"]
    assert (await histories(driver.js))["x2"].finished == ("abort",)
