"""Resources of a backup with the status of that time: what was aborted since is not aborted again."""

import asyncio
import json
from typing import Any

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, reasons, start_working, until, until_reasons

KEPT = ("name", "labels", "annotations")


async def until_recorded(kubectl: Kubectl, expected: dict[str, str]) -> None:
    async def are_recorded() -> bool:
        return reasons(kubectl.json("get", "upp")) == expected

    await until(are_recorded)


def restore(kubectl: Kubectl, saved: dict[str, Any]) -> None:
    """As Velero does when it is asked to restore the status too."""
    meta = {key: value for key, value in saved["metadata"].items() if key in KEPT}
    kubectl("create", "--filename=-", stdin=json.dumps({**saved, "metadata": meta}))
    whole = json.dumps([{"op": "add", "path": "/status", "value": saved["status"]}])
    words = ("patch", "upp", meta["name"], "--subresource=status", "--type=json", f"--patch={whole}")
    kubectl(*words)  # a `replace` would fail when the operator writes at the same time


def without_uid(saved: dict[str, Any]) -> dict[str, Any]:
    """As an earlier version of the operator has written it."""
    return {**saved, "status": {key: value for key, value in saved["status"].items() if key != "uid"}}


async def test_what_was_aborted_since_the_backup_is_held(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, kubectl: Kubectl, namespace: str
) -> None:
    """Restored while the operator is unavailable, and while it works."""
    operator = Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))
    uploads = [f"u{number}" for number in range(4)]
    async with Driver(nats.url, outcome=lambda *_: "abort", silent=True) as driver:
        await start_working(operator)
        await driver.upload(*uploads)
        await until_recorded(kubectl, dict.fromkeys(uploads, "Running"))
        saved = [kubectl.json("get", "upp", each) for each in uploads]
        assert {each["status"]["uid"] for each in saved} == {each["metadata"]["uid"] for each in saved}
        await driver.again()
        await driver.until_released(*uploads)
        await until_reasons(kubectl, dict.fromkeys(uploads, "Aborted"))
        kubectl("delete", "upp", "--all")
        await asyncio.to_thread(operator.stop)
        restore(kubectl, saved[0])
        restore(kubectl, without_uid(saved[1]))
        await start_working(operator)
        restore(kubectl, saved[2])
        restore(kubectl, without_uid(saved[3]))
        await until_reasons(kubectl, dict.fromkeys(uploads, "Held"))
        for each in kubectl.json("get", "upp")["items"]:
            assert "as after a restore from a backup" in each["status"]["message"]
        told = await histories(driver.js)
        assert {told[each].finished for each in uploads} == {("abort",)}
        assert {len(told[each].steps) for each in uploads} == {1}
