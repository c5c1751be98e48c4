"""One upload that can never be written, while all others are: it holds nothing back (docs/adr/0063)."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, histories, start_working, until
from tests.integration.test_refusals import acknowledged, readyz
from tests.middlebox import Done, Fault, Middlebox
from tests.webhook import UPLOADS, Answer, Json, Webhook, allow, deny
from uploadpp.testing.events import STREAM

PAGE = b"<html><head><title>%s</title></head><body>Request blocked. Incident 4711</body></html>"


@pytest.fixture
def operator(
    between: Middlebox,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
    tmp_path: Path,
) -> Operator:
    config = between.kubeconfig(tmp_path)
    short = {"UPLOADPP_LEASE_DURATION": "3s"}
    return Operator(instance, OperatorOptions(config, nats.address, namespace, environment=short))


@pytest.fixture
async def gate(kubectl: Kubectl, namespace: str, tmp_path: Path) -> AsyncIterator[Webhook]:
    async with Webhook(kubectl, namespace, tmp_path) as webhook:
        yield webhook


def blocks(word: bytes, status: int) -> Fault:
    """A rule of a firewall: requests with a word in them are not handed on."""

    async def fault(request: web.Request, done: Done) -> web.Response:
        if word in await request.read():
            return web.Response(status=status, body=PAGE % b"no", content_type="text/html")
        return await done()

    return fault


async def with_others(driver: Driver) -> None:
    """Wait until all that is in the stream now is acknowledged, while other uploads come and are recorded."""
    last = (await driver.js.stream_info(STREAM)).state.last_seq
    for number in range(60):
        await driver.upload(f"other-{number}")
        await asyncio.sleep(1)
        found = [each for each in await driver.js.consumers_info(STREAM) if each.name.startswith("uploadpp-")]
        if any(each.ack_floor is not None and each.ack_floor.stream_seq >= last for each in found):
            return
    pytest.fail("the one holds back the others")


async def until_told(kubectl: Kubectl, reason: str, *words: str) -> None:
    """Wait until an Event of this reason says so: they are written in the background."""

    async def is_told() -> bool:
        events = (await asyncio.to_thread(kubectl.json, "get", "events"))["items"]
        said = [each["message"] for each in events if each["reason"] == reason]
        return any(all(word in each for word in words) for each in said)

    await until(is_told)


@pytest.mark.parametrize("status", [403, 413])
async def test_one_that_a_proxy_does_not_let_through(
    driver: Driver, operator: Operator, between: Middlebox, kubectl: Kubectl, status: int
) -> None:
    await start_working(operator)
    between.fault = blocks(b"/etc/passwd", status)
    await driver.say(bytes_received("evil", Filename="../etc/passwd"))
    await driver.until_released("evil")
    await with_others(driver)
    alone = "upload evil cannot be recorded, while others can (Proxy)"
    await until_told(kubectl, "UploadsNotRecorded", alone, "web application firewall")

    async def names_it() -> bool:
        code, text = await readyz(operator, "?verbose")
        return code == 200 and "but upload evil cannot be recorded" in text

    await until(names_it)
    between.fault = None

    async def is_recorded() -> bool:
        return "evil" in {each["metadata"]["name"] for each in kubectl.json("get", "upp")["items"]}

    await until(is_recorded)
    assert (await histories(driver.js))["evil"].finished == ("continue",)


def only(name: str, answer: Answer) -> Answer:
    def answers(request: Json) -> Json | bytes | None:
        return answer(request) if request["name"] == name else allow(request)

    return answers


async def test_one_whose_resource_nobody_may_change(
    driver: Driver, operator: Operator, gate: Webhook, kubectl: Kubectl
) -> None:
    """Its abort is published once, although a new owner finds a resource that has not begun."""
    await start_working(operator)
    gate.answer = only("mine", deny())
    await gate.stand(UPLOADS, operations=["UPDATE", "DELETE"])
    driver.outcome = lambda upload, _step, _attempt: "abort" if upload == "mine" else "continue"
    spec = {"upload": {"id": "mine", "filename": "a.pdf", "filesize": 7}}
    made = {
        "apiVersion": "uploadpp.io/v1alpha1",
        "kind": "UploadPostprocessing",
        "metadata": {"name": "mine"},
    }
    kubectl("create", "-f", "-", stdin=json.dumps({**made, "spec": spec}))
    await driver.upload("mine")
    await driver.until_released("mine")
    await with_others(driver)
    await until_told(kubectl, "LeftAlone", "this resource cannot be written; correct or delete it")
    operator.kill()
    await start_working(operator)
    await driver.upload("last")
    await driver.until_released("last")
    await until(lambda: acknowledged(driver))
    assert (await histories(driver.js))["mine"].finished == ("abort",)
    assert "does not begin the upload again" in operator.log.read_text()
