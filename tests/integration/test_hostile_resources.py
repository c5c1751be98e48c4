"""Resources that hold whatever the API server takes, at a running operator and at its start (S2)."""

import asyncio
import json
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, start_working
from uploadpp.api import API_VERSION, KIND


@pytest.mark.usefixtures("open_status")
@pytest.mark.parametrize("levels", [300, 950, 1100, 9000])
async def test_s2_a_status_that_is_nested_without_end_stops_nobody(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, kubectl: Kubectl, levels: int
) -> None:
    made: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "deep"}}
    made["spec"] = {"upload": {"id": "deep"}, "steps": [{"name": "policies"}]}
    operator = Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("policies",)))
    await start_working(operator)
    await asyncio.to_thread(kubectl, "create", "-n", namespace, "-f", "-", stdin=json.dumps(made))
    status = '{"status":{"x":' + "[" * levels + "]" * levels + "}}"
    words = ("patch", "upp", "deep", "--type=merge", "--subresource=status", "--patch-file=/dev/stdin")
    await asyncio.to_thread(kubectl, *words, "-n", namespace, stdin=status)
    async with Driver(nats.url) as driver:
        await driver.upload("while-it-runs")
        await driver.until_released("while-it-runs")
        await asyncio.to_thread(operator.restart)
        await driver.upload("after-a-start")
        await driver.until_released("after-a-start")
    assert "Traceback" not in operator.log.read_text()
