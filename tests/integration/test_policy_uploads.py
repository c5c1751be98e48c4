"""What policies do to uploads, on real servers: through a change, a kill -9, and missing rights."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, histories, samples, start_working, until, until_reasons
from tests.integration.test_policies import WRONG, Account, apply
from tests.integration.test_refusals import readyz

STEPS = ("virusscan", "policies")
KINDS: dict[str, dict[str, Any]] = {
    "film": {"Filename": "film.mp4", "Filesize": 2_000_000},
    "text": {"Filename": "a.txt"},
    "trusted": {"Filename": "b.txt", "ExecutingUser": {"id": {"opaque_id": "backup"}}},
    "program": {"Filename": "setup.exe"},
    "odd": {"Filename": "odd.bin"},
}
RULES: list[dict[str, Any]] = [
    {
        "name": "films",
        "match": 'file.mimeType.startsWith("video/") && file.size > 1000000',
        "steps": [{"name": "convert"}, {"name": "virusscan", "maxRetries": 1}],
    },
    {"name": "trusted", "match": 'user.id == "backup"', "action": "Skip"},
    {"name": "programs", "match": 'file.extension == "exe"', "action": "Hold"},
]
DRY: list[dict[str, Any]] = [{"name": "all", "action": "Skip"}]


@pytest.fixture
def options(cluster: LocalCluster, nats: NatsServer, namespace: str) -> OperatorOptions:
    environment = {
        "UPLOADPP_LEASE_DURATION": "1s",
        "UPLOADPP_POLICIES": "enabled",
        "UPLOADPP_STORAGE_CHECK": "off",
    }
    return OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS, environment)


def chosen(kubectl: Kubectl) -> dict[str, tuple[str, str, int]]:
    """Policy, rule and generation by upload."""
    found: list[dict[str, Any]] = kubectl.json("get", "upp")["items"]
    policies = {each["spec"]["upload"]["id"]: (each.get("status") or {}).get("policy") for each in found}
    return {
        name: (policy["name"], policy["rule"], policy["generation"])
        for name, policy in policies.items()
        if policy
    }


async def announce(driver: Driver, *names: str) -> None:
    """Announce uploads; what stands before the dash says of which kind each is."""
    for name in names:
        await driver.say(bytes_received(name, **KINDS[name.partition("-")[0]]))


async def test_each_upload_gets_its_steps(
    instance: Instance, options: OperatorOptions, kubectl: Kubectl, driver: Driver
) -> None:
    apply(kubectl, "default", RULES)
    apply(kubectl, "dry", DRY, order=-1, mode="DryRun")
    apply(kubectl, "wrong", WRONG, order=1)
    operator = Operator(instance, options)
    await start_working(operator)
    await announce(driver, "film", "trusted", "program", "odd")
    await driver.until_released("film", "trusted")
    expected = {"film": "Completed", "trusted": "Completed", "program": "Held", "odd": "Held"}
    await until_reasons(kubectl, expected)
    found = await histories(driver.js)
    assert found["film"].steps == ["convert", "virusscan"]
    assert found["trusted"].steps == []
    assert "program" not in found
    assert "odd" not in found
    assert chosen(kubectl) == {
        "film": ("default", "films", 1),
        "trusted": ("default", "trusted", 1),
        "program": ("default", "programs", 1),
        "odd": ("wrong", "typo", 1),
    }
    held = json.dumps(kubectl.json("get", "upp", "odd")["status"])
    assert "rule typo of policy wrong cannot be used" in held
    assert "file.siez is not known" in held

    resume = json.dumps({"spec": {"restart": {"token": "1", "mode": "Resume"}}})
    kubectl("patch", "upp", "program", "--type=merge", f"--patch={resume}")
    await driver.until_released("program")
    assert (await histories(driver.js))["program"].steps == [*STEPS]

    async def counted() -> bool:
        matched = {
            name: kubectl.json("get", "upppol", name).get("status", {}).get("matched", 0)
            for name in ("default", "dry", "wrong")
        }
        return matched == {"default": 3, "dry": 4, "wrong": 0}

    await until(counted)
    series = samples(operator.metrics(), "uploadpp_policy_matches_total")
    assert series['mode="DryRun",policy="dry",rule="all"'] == 4
    assert series['mode="Enforce",policy="default",rule="films"'] == 1
    operator.stop()


async def test_uploads_keep_what_they_got_when_policies_change_and_the_operator_is_killed(
    instance: Instance, options: OperatorOptions, kubectl: Kubectl, driver: Driver
) -> None:
    driver.silent = True  # no step answers yet
    apply(kubectl, "default", RULES)
    operator = Operator(instance, options)
    await start_working(operator)
    before = [f"film-{number}" for number in range(10)]
    await announce(driver, *before, "text-0")

    async def running() -> bool:
        return len(await histories(driver.js)) == len(before) + 1

    await until(running)
    # From now on films get another step, and all others as well.
    other: list[dict[str, Any]] = [{"name": "all", "steps": [{"name": "policies"}]}]
    apply(kubectl, "default", other)
    later = [f"film-{number}" for number in range(10, 20)]
    operator.kill()
    await announce(driver, *later)
    await start_working(operator)
    await driver.again()
    await driver.until_released(*before, *later, "text-0")
    found = await histories(driver.js)
    wanted = {
        **dict.fromkeys(before, ("convert", "virusscan")),
        **dict.fromkeys(later, ("policies",)),
        "text-0": STEPS,
    }
    assert {name: tuple(dict.fromkeys(found[name].steps)) for name in wanted} == wanted
    assert {found[name].finished for name in wanted} == {("continue",)}
    await until_reasons(kubectl, dict.fromkeys(wanted, "Completed"))
    generations = {name: generation for name, (_, _, generation) in chosen(kubectl).items()}
    assert generations == dict.fromkeys(before, 1) | dict.fromkeys(later, 2)
    operator.stop()


async def test_nothing_is_released_while_policies_are_unknown(
    instance: Instance,
    options: OperatorOptions,
    kubectl: Kubectl,
    driver: Driver,
    namespace: str,
    tmp_path: Path,
) -> None:
    account = Account(kubectl, namespace, tmp_path)
    apply(kubectl, "default", RULES)
    limited = OperatorOptions(account.kubeconfig, options.nats_address, namespace, STEPS, options.environment)
    operator = Operator(instance, limited)
    await announce(driver, "film")
    operator.launch()

    async def told() -> bool:
        try:
            status, text = await readyz(operator)
        except OSError:
            return False
        words = ("cannot read the policies, no upload starts until they are known", "postprocessingpolicies")
        return status == 503 and all(word in text for word in words)

    await until(told)
    await asyncio.sleep(3)  # longer than a Lease takes
    assert await told()
    assert await histories(driver.js) == {}
    assert kubectl.json("get", "upp")["items"] == []

    account.allow(policies=True)
    await driver.until_released("film")
    assert (await histories(driver.js))["film"].steps == ["convert", "virusscan"]

    # What is known counts when the right is taken away, and readiness says so.
    account.allow(policies=False)

    async def forbidden() -> bool:
        who = f"--as=system:serviceaccount:{namespace}:operator"
        try:
            kubectl("auth", "can-i", "list", "postprocessingpolicies", who)
        except KubectlError:
            return True
        return False

    await until(forbidden)
    apply(kubectl, "default", [{"name": "all", "action": "Skip"}])

    async def stale() -> bool:
        status, text = await readyz(operator)
        return status == 503 and "the last known ones count" in text

    await until(stale)
    await announce(driver, "film-2")
    await driver.until_released("film-2")
    assert (await histories(driver.js))["film-2"].steps == ["convert", "virusscan"]
    operator.stop()
