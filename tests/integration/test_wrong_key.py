"""A sealing key that is not the one the resources are sealed with: nothing is read, and it is said."""

import asyncio
import contextlib
import json
from dataclasses import replace

import aiohttp
import pytest
from cryptography.fernet import Fernet

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, reasons, samples, start_working, until, until_reasons
from uploadpp.core.model import Origin
from uploadpp.core.sharding import Shard
from uploadpp.kube.sealing import Sealer, fingerprint
from uploadpp.testing.events import STREAM, step_finished
from uploadpp.wire.positions import acknowledged


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    return Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))


async def unready(operator: Operator, words: str) -> str:
    """Wait until a probe says something."""
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{operator.url}/readyz") as answer:
                    text = await answer.text()
                    if answer.status == 503 and words in text:
                        return text
            await asyncio.sleep(0.2)


async def start(operator: Operator) -> None:
    """Start an operator that may never be ready."""
    with contextlib.suppress(Exception):
        await asyncio.to_thread(operator.start)


async def floor(driver: Driver) -> int:
    """How far the stream is acknowledged."""
    found = await driver.js.consumers_info(STREAM)
    floors = [acknowledged(each) for each in found if each.name.startswith("uploadpp-")]
    return max(each for each in floors if isinstance(each, int))


async def in_its_step(kubectl: Kubectl, name: str) -> None:
    await until_reasons(kubectl, {name: "Running"})


async def test_an_answer_that_comes_while_the_key_is_wrong_waits(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    driver.silent = True
    await start_working(operator)
    await driver.upload("u1")
    await in_its_step(kubectl, "u1")
    await asyncio.to_thread(operator.stop)
    before = await floor(driver)
    key, wrong = operator.sealing_key_file.read_text(), Fernet.generate_key().decode()
    operator.sealing_key_file.write_text(wrong)
    starting = asyncio.create_task(start(operator))
    text = await unready(operator, "sealed with")
    assert fingerprint(key) in text
    assert fingerprint(wrong) in text
    assert key not in text + operator.log.read_text()
    assert samples(operator.metrics(), "uploadpp_sealing_key_wrong") == {"": 1}
    driver.silent = False
    for step in operator.options.steps:
        await driver._reply("PostprocessingStepFinished", step_finished("u1", step, "continue"))
        break
    await asyncio.sleep(2)
    assert await floor(driver) == before
    operator.kill()
    await starting
    operator.sealing_key_file.write_text(key)
    await start_working(operator)
    await until_reasons(kubectl, {"u1": "Completed"})
    history = (await histories(driver.js))["u1"]
    assert len(history.steps) == len(set(history.steps))


async def test_s5_forged_sealed_parts_stop_nobody(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    """Somebody with `edit` writes what looks like the work of another key into every upload under way."""
    driver.silent = True
    await start_working(operator)
    names = ("u1", "u2", "u3", "u4")
    await driver.upload(*names)
    await until_reasons(kubectl, dict.fromkeys(names, "Running"))
    await asyncio.to_thread(operator.kill)
    forged = Sealer([Fernet.generate_key().decode()]).seal(Origin(url='"https://forged.test"'), "u1")
    for name in names:
        patch = json.dumps({"spec": {"sealed": forged}})
        kubectl("patch", "upp", name, "--type=merge", f"--patch={patch}")
    driver.silent = False
    await start_working(operator)
    await driver.upload("u5")
    await driver.until_released("u5")

    async def left_alone() -> bool:
        found = kubectl.json("get", "events", "--field-selector=reason=LeftAlone")
        return {event["involvedObject"]["name"] for event in found["items"]} == set(names)

    await until(left_alone)  # Events are written in the background


async def test_a_standby_with_another_key_is_not_ready(
    driver: Driver,
    operator: Operator,
    kubectl: Kubectl,
    cluster: LocalCluster,
    namespace: str,
) -> None:
    await start_working(operator)
    other = operator.sealing_key_file.with_name("other.key")
    other.touch(mode=0o600)
    other.write_bytes(Fernet.generate_key())
    environment = {"UPLOADPP_SEALING_KEY_FILE": str(other)}
    options = OperatorOptions(cluster.kubeconfig, operator.options.nats_address, namespace)
    standby = Operator(operator.instance, replace(options, environment=environment), name="standby")
    starting = asyncio.create_task(start(standby))
    text = await unready(standby, "the owner seals with")
    assert fingerprint(operator.sealing_key_file.read_text()) in text
    await driver.upload("u1")
    await driver.until_released("u1")
    await until_reasons(kubectl, {"u1": "Completed"})
    standby.kill()
    await starting


async def test_a_key_that_has_reached_one_replica_loses_nothing_of_two_shards(
    driver: Driver,
    kubectl: Kubectl,
    cluster: LocalCluster,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
) -> None:
    """One upload is sealed with the new key, beside others that the other replica opens."""

    def replica(name: str, *keys: str) -> Operator:
        file = instance.folder / f"{name}.key"
        file.touch(mode=0o600)
        file.write_text("\n".join(keys))
        environment = {
            "UPLOADPP_SEALING_KEY_FILE": str(file),
            "UPLOADPP_LEASE_DURATION": "2s",
            "UPLOADPP_SHARDS": "2",
            "HOSTNAME": name,
        }
        options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=environment)
        return Operator(instance, options, name=name)

    old, new = (Fernet.generate_key().decode() for _ in range(2))
    known = [f"u{number}" for number in range(40)]
    mine = [upload for upload in known if Shard(0, 2).owns(upload)][:4]
    others = [upload for upload in known if Shard(1, 2).owns(upload)][:4]
    driver.silent = True
    first = await start_working(replica("first", old))
    await driver.upload(*mine, *others[1:])
    await until_reasons(kubectl, dict.fromkeys([*mine, *others[1:]], "Running"))
    await asyncio.to_thread(first.stop)
    first = await start_working(replica("first", new, old))
    late, names = others[0], [*mine, *others]
    await driver.upload(late)
    await until_reasons(kubectl, dict.fromkeys(names, "Running"))

    second = replica("second", old)
    starting = asyncio.create_task(start(second))
    await unready(second, f"the owner seals with {fingerprint(new)}")
    await asyncio.sleep(3)  # so long it takes until a shard would be given to it
    assert "releasing a shard" not in first.log.read_text()
    await asyncio.to_thread(first.kill)
    text = await unready(second, "1 uploads are sealed with")
    assert fingerprint(new) in text
    assert samples(second.metrics(), "uploadpp_sealing_key_wrong") == {"": 1}
    await driver.again()
    await until_reasons(kubectl, dict.fromkeys(mine, "Completed") | dict.fromkeys(others, "Running"))
    first = await start_working(replica("first", new, old))
    await until_reasons(kubectl, dict.fromkeys(names, "Completed"))
    for upload, history in (await histories(driver.js)).items():
        assert history.steps == ["policies", "virusscan"], upload
        assert history.finished == ("continue",), upload
    second.kill()
    await starting


async def test_one_damaged_resource_is_left_alone(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    driver.silent = True
    await start_working(operator)
    await driver.upload("u1", "u2")
    await until_reasons(kubectl, {"u1": "Running", "u2": "Running"})
    await asyncio.to_thread(operator.stop)
    sealed = str(kubectl.json("get", "upp", "u1")["spec"]["sealed"])
    patch = json.dumps({"spec": {"sealed": sealed[:60] + ("A" if sealed[60] != "A" else "B") + sealed[61:]}})
    kubectl("patch", "upp", "u1", "--type=merge", f"--patch={patch}")
    driver.silent = False
    await start_working(operator)
    kubectl("wait", "upp", "u2", "--for=jsonpath={.status.currentStep}", "--timeout=5s")

    async def told() -> bool:
        found = await asyncio.to_thread(kubectl.json, "get", "events", "--field-selector=reason=LeftAlone")
        return [event["involvedObject"]["name"] for event in found["items"]] == ["u1"]

    await until(told)
    assert reasons(kubectl.json("get", "upp"))["u1"] == "Running"
    assert Sealer([operator.sealing_key_file.read_text()]).fingerprints[0] == sealed.partition(".")[0]
