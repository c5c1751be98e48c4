"""Admission webhooks that deny, change, hang and fail: no upload is lost, and it is said (invariant 2.7)."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, log_lines, samples, start_working, until, until_reasons
from tests.integration.test_refusals import UNRECORDED, acknowledged, readyz
from tests.webhook import (
    EVENTS,
    LEASES,
    STATUS,
    UPLOADS,
    Answer,
    Json,
    Webhook,
    change,
    deny,
    garbage,
    silence,
)


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    short = {"UPLOADPP_LEASE_DURATION": "3s"}
    return Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=short))


@pytest.fixture
async def gate(kubectl: Kubectl, namespace: str, tmp_path: Path) -> AsyncIterator[Webhook]:
    async with Webhook(kubectl, namespace, tmp_path) as webhook:
        yield webhook


@pytest.fixture
async def editor(kubectl: Kubectl, namespace: str, tmp_path: Path) -> AsyncIterator[Webhook]:
    async with Webhook(kubectl, namespace, tmp_path, mutating=True) as webhook:
        yield webhook


async def all_once(driver: Driver) -> None:
    for upload, history in (await histories(driver.js)).items():
        assert len(history.steps) == len(set(history.steps)), upload
        assert len(history.finished) == 1, upload


async def is_ready(operator: Operator) -> bool:
    return (await readyz(operator))[0] == 200


async def unrecorded(operator: Operator, uploads: int) -> bool:
    return samples(operator.metrics(), UNRECORDED) == {"": uploads}


DENIALS = {
    "403": deny(),
    "503": deny(503, "ServiceUnavailable"),
    "garbage": garbage,
    "silence": silence,
}


@pytest.mark.parametrize("answer", DENIALS.values(), ids=DENIALS)
async def test_uploads_go_on_while_a_webhook_lets_none_be_made(
    driver: Driver, operator: Operator, kubectl: Kubectl, gate: Webhook, answer: Answer
) -> None:
    """What has ended is acknowledged, whatever code the webhook chooses."""
    await start_working(operator)
    gate.answer = answer
    await gate.stand(UPLOADS, STATUS)
    await driver.upload("u1", "u2")
    await driver.until_released("u1", "u2")
    await until(lambda: acknowledged(driver))
    await until(lambda: unrecorded(operator, 2))
    await until(lambda: is_ready(operator))  # a refusal of uploads alone is no reason not to be
    await gate.go()
    await until_reasons(kubectl, {"u1": "Completed", "u2": "Completed"})
    await all_once(driver)


async def test_uploads_go_on_while_a_webhook_is_down(
    driver: Driver, operator: Operator, kubectl: Kubectl, gate: Webhook
) -> None:
    await start_working(operator)
    await gate.stand(UPLOADS, STATUS, LEASES, EVENTS)
    await gate.end()
    await driver.upload("u1", "u2")
    await driver.until_released("u1", "u2")
    await gate.go()
    await until_reasons(kubectl, {"u1": "Completed", "u2": "Completed"})
    await until(lambda: acknowledged(driver))
    await all_once(driver)


@pytest.mark.parametrize("answer", [deny(409, "Conflict"), deny(404, "NotFound")])
async def test_nothing_is_lost_while_a_webhook_lets_no_status_be_written(
    driver: Driver, operator: Operator, kubectl: Kubectl, gate: Webhook, answer: Answer
) -> None:
    await start_working(operator)
    gate.answer = answer
    await gate.stand(STATUS)
    await driver.upload("u1")
    await driver.until_released("u1")
    operator.kill()
    await start_working(operator)
    await driver.upload("u2")
    await driver.until_released("u2")
    await gate.go()
    await until_reasons(kubectl, {"u1": "Completed", "u2": "Completed"})
    await until(lambda: acknowledged(driver))
    await all_once(driver)


async def test_nobody_may_write_leases_for_longer_than_one_lasts(
    driver: Driver, operator: Operator, kubectl: Kubectl, gate: Webhook
) -> None:
    """The ownership goes on: whoever could take the shard over would be seen. It is said, once."""
    await start_working(operator)
    gate.answer = deny()
    await gate.stand(LEASES, operations=["CREATE", "UPDATE"])

    async def says() -> bool:
        status, text = await readyz(operator)
        return status == 503 and "leases/uploadpp-shard-0" in text and "closed for maintenance" in text

    await until(says)
    await asyncio.sleep(4)  # longer than the Lease
    await driver.upload("u1")
    await driver.until_released("u1")
    await until_reasons(kubectl, {"u1": "Completed"})
    await until(lambda: acknowledged(driver))
    assert samples(operator.metrics(), "uploadpp_shard_owned") == {'shard="0"': 1}
    said = [x["message"] for x in log_lines(operator.log.read_text()) if "lease not renewed" in x["message"]]
    assert len([each for each in said if "closed for maintenance" in each]) == 1, said
    await gate.go()
    await until(lambda: is_ready(operator))
    await all_once(driver)


async def test_the_lease_can_be_had_only_when_the_policy_goes(
    driver: Driver, operator: Operator, gate: Webhook
) -> None:
    gate.answer = deny()
    await gate.stand(LEASES)
    operator.launch()

    async def says() -> bool:
        try:
            return "closed for maintenance" in (await readyz(operator))[1]
        except OSError:
            return False

    await until(says)
    await driver.upload("u1")
    await gate.go()
    await driver.until_released("u1")


async def test_a_webhook_makes_another_the_holder_of_our_lease(
    driver: Driver, operator: Operator, editor: Webhook
) -> None:
    """Then it is not ours: nobody may believe to own what the API server says is another's."""
    editor.answer = change({"op": "replace", "path": "/spec/holderIdentity", "value": "nobody"})
    await editor.stand(LEASES)
    operator.launch()

    async def says() -> bool:
        try:
            return "holderIdentity" in (await readyz(operator))[1]
        except OSError:
            return False

    await until(says)
    await driver.upload("u1")
    assert await histories(driver.js) == {}
    await editor.go()
    await driver.until_released("u1")


async def test_annotations_of_a_lease_that_a_webhook_drops_are_missed(
    driver: Driver, operator: Operator, kubectl: Kubectl, editor: Webhook
) -> None:
    """Uploads go on. That none of them is removed any more is said."""
    await start_working(operator)
    editor.answer = change({"op": "remove", "path": "/metadata/annotations"})
    await editor.stand(LEASES)

    async def says() -> bool:
        status, text = await readyz(operator)
        return status == 503 and "uploadpp.io/shards" in text and "exempt the Lease" in text

    await until(says)
    await driver.upload("u1")
    await until_reasons(kubectl, {"u1": "Completed"})
    assert samples(operator.metrics(), "uploadpp_shard_owned") == {'shard="0"': 1}
    await editor.go()
    await until(lambda: is_ready(operator))


async def test_events_that_nobody_may_write_stop_nothing(
    driver: Driver, operator: Operator, kubectl: Kubectl, gate: Webhook
) -> None:
    driver.outcome = lambda _upload, _step, _attempt: "abort"
    await start_working(operator)
    gate.answer = deny(503, "ServiceUnavailable")
    await gate.stand(EVENTS)
    await driver.upload(*(f"u{number}" for number in range(5)))
    await until_reasons(kubectl, {f"u{number}": "Aborted" for number in range(5)})
    await until(lambda: is_ready(operator))


STEPS_GONE = {"op": "replace", "path": "/spec/steps", "value": []}
SEALED_GONE = {"op": "remove", "path": "/spec/sealed"}
OTHER_BUCKET = {"op": "replace", "path": "/metadata/labels/uploadpp.io~1bucket", "value": "xx"}
TOO_LARGE = {"op": "add", "path": "/spec/steps/1/maxFilesize", "value": 1}
NO_RETRY = {"op": "add", "path": "/spec/retryPolicy", "value": {"onExhausted": "Continue", "maxRetries": 0}}
MISLEADING = {"steps": STEPS_GONE, "bucket": OTHER_BUCKET, "maxFilesize": TOO_LARGE, "retryPolicy": NO_RETRY}


@pytest.mark.parametrize("operation", MISLEADING.values(), ids=MISLEADING)
async def test_a_resource_that_would_mislead_a_restart_is_not_left_there(
    driver: Driver, operator: Operator, kubectl: Kubectl, editor: Webhook, operation: Json
) -> None:
    """No file is released by steps that a webhook has left: the upload keeps its plan, also after a crash."""
    await start_working(operator)
    editor.answer = change(operation)
    await editor.stand(UPLOADS, operations=["CREATE"])
    driver.silent = True
    await driver.upload("u1")
    await until(lambda: _is_refused(operator, "Changed"))
    operator.kill()
    await start_working(operator)
    await driver.again()
    await driver.until_released("u1")
    assert set((await histories(driver.js))["u1"].steps) == {"policies", "virusscan"}
    await editor.go()
    await until_reasons(kubectl, {"u1": "Completed"})
    assert kubectl.json("get", "upp", "u1")["spec"]["steps"] == [{"name": "policies"}, {"name": "virusscan"}]
    await all_once(driver)


async def _is_refused(operator: Operator, reason: str) -> bool:
    found = samples(operator.metrics(), "uploadpp_records_refused_total")
    return found.get(f'reason="{reason}"', 0) > 0


async def test_a_sealed_part_that_a_webhook_drops_is_put_back(
    driver: Driver, operator: Operator, kubectl: Kubectl, editor: Webhook
) -> None:
    await start_working(operator)
    editor.answer = change(SEALED_GONE)
    await editor.stand(UPLOADS, operations=["CREATE"])
    driver.silent = True
    await driver.upload("u1")
    await until(lambda: _is_refused(operator, "Changed"))

    async def sealed() -> bool:
        found = await asyncio.to_thread(kubectl.json, "get", "upp")
        return bool(found["items"]) and bool(found["items"][0]["spec"].get("sealed"))

    await until(sealed)
    operator.kill()
    await start_working(operator)
    await driver.again()
    await until_reasons(kubectl, {"u1": "Completed"})
    await all_once(driver)


async def test_a_sealed_part_that_somebody_overwrites_is_restored(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    """The next owner would find it damaged, and leave the upload alone."""
    await start_working(operator)
    driver.serves = lambda _step: False
    await driver.upload("u1")
    await until_reasons(kubectl, {"u1": "Running"})
    kubectl("patch", "upp", "u1", "--type=merge", "--patch", '{"spec":{"sealed":"somebody was here"}}')

    async def restored() -> bool:
        found = await asyncio.to_thread(kubectl.json, "get", "upp", "u1")
        return found["spec"]["sealed"].startswith("k") and "SealedOverwritten" in kubectl("get", "events")

    await until(restored)
    operator.kill()
    await start_working(operator)
    driver.serves = lambda _step: True
    await driver.again()
    await until_reasons(kubectl, {"u1": "Completed"})
    await all_once(driver)


ADDED: list[Json] = [
    {"op": "add", "path": "/metadata/annotations", "value": {"policy.example/checked": "yes"}},
    {"op": "add", "path": "/metadata/labels/team", "value": "files"},
]


async def test_what_a_webhook_adds_is_no_refusal(
    driver: Driver, operator: Operator, kubectl: Kubectl, editor: Webhook
) -> None:
    """Nor are hidden names."""
    await start_working(operator)
    hide: Json = {"op": "replace", "path": "/spec/upload/filename", "value": "hidden"}
    editor.answer = change(*ADDED, hide)
    await editor.stand(UPLOADS, operations=["CREATE"])
    await driver.upload("u1")
    await until_reasons(kubectl, {"u1": "Completed"})
    assert kubectl.json("get", "upp", "u1")["metadata"]["labels"]["team"] == "files"
    assert not await _is_refused(operator, "Changed")


async def test_what_a_webhook_asks_for_at_the_creation_is_done(
    driver: Driver, operator: Operator, kubectl: Kubectl, editor: Webhook
) -> None:
    """The watch shows nothing new: the generation is that of our own creation."""
    await start_working(operator)
    editor.answer = change({"op": "add", "path": "/spec/desiredState", "value": "Cancelled"})
    await editor.stand(UPLOADS, operations=["CREATE"])
    driver.serves = lambda _step: False
    await driver.upload("u1")
    await until_reasons(kubectl, {"u1": "Cancelled"})
    assert not await _is_refused(operator, "Changed")
    await all_once(driver)


async def test_a_status_that_a_webhook_changes_is_held_to_be_not_recorded(
    driver: Driver, operator: Operator, kubectl: Kubectl, editor: Webhook
) -> None:
    await start_working(operator)
    editor.answer = change({"op": "replace", "path": "/status/steps/0/state", "value": "Succeeded"})
    await editor.stand(STATUS)
    driver.silent = True
    await driver.upload("u1")
    await until(lambda: _is_refused(operator, "Changed"))
    said = [x["message"] for x in log_lines(operator.log.read_text()) if "not written" in x["message"]]
    assert any("status.steps[0].state" in each for each in said), said
    assert not await acknowledged(driver)
    await driver.again()
    await driver.until_released("u1")
    await editor.go()
    await until_reasons(kubectl, {"u1": "Completed"})
    await until(lambda: acknowledged(driver))
    await all_once(driver)


async def test_a_removal_that_a_webhook_denies_stops_nothing(
    driver: Driver, operator: Operator, kubectl: Kubectl, gate: Webhook
) -> None:
    """`expirationTime` goes by; the resource goes when it may."""
    operator.options.environment["UPLOADPP_TTL_COMPLETED"] = "1s"  # type: ignore[index]
    await start_working(operator)
    gate.answer = deny(404, "NotFound")
    await gate.stand(UPLOADS, operations=["DELETE"])
    await driver.upload("u1")
    await until_reasons(kubectl, {"u1": "Completed"})

    async def asked() -> bool:
        return any(each["operation"] == "DELETE" for each in gate.asked)

    await until(asked)
    await driver.upload("u2")
    await until_reasons(kubectl, {"u1": "Completed", "u2": "Completed"})
    await gate.go()

    async def empty() -> bool:
        return not json.loads(await asyncio.to_thread(kubectl, "get", "upp", "--output=json"))["items"]

    await until(empty)
