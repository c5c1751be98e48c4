"""The kit's steps under the real operator, from the upload to the release."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.demo.storage import Storage
from e2e.operator_process import Operator, OperatorOptions
from tests.stepbench import StepBench, until

USER = {"id": {"idp": "https://idp.test", "opaque_id": "u-1", "type": 1}}
QUICK = {"POSTPROCESSING_RETRY_BACKOFF_DURATION": "1s"}


@pytest.fixture
async def storage(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Storage]:
    async with Storage(tmp_path / "storage", nats.url) as made:
        yield made


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    options = OperatorOptions(
        cluster.kubeconfig, nats.address, namespace, steps=("policies", "mine"), environment=QUICK
    )
    made = Operator(instance, options)
    made.start()
    return made


async def test_uploads_pass_through_the_kits_steps(
    bench: StepBench, storage: Storage, operator: Operator, kubectl: Kubectl
) -> None:
    body = "if len(runs.read_text().split()) == 1: raise OSError('busy')\nreturn Continue()"
    steps = [
        bench.process(
            ["-m", "uploadpp", "step", "policies", "--rule=delete extension=exe"], process="policies"
        ),
        bench.step(body),
    ]
    for step in steps:
        await asyncio.to_thread(step.start)
    kept = await storage.upload("plan.pdf", b"hello", user=USER)
    refused = await storage.upload("setup.exe", b"hello", user=USER)
    await until(lambda: bool(storage.actions(kept) and storage.actions(refused)))
    assert storage.actions(kept) == ["released"]
    assert storage.actions(refused) == ["removed"]
    assert bench.runs() == [kept, kept]

    def status(upload: str) -> dict[str, Any]:
        found: dict[str, Any] = kubectl.json("get", "upp", upload)["status"]
        return found

    for upload in (kept, refused):
        await asyncio.to_thread(kubectl, "wait", "--for=condition=Finished", "--timeout=30s", f"upp/{upload}")
    first, second = status(kept)["steps"]
    assert (first["outcome"], second["outcome"], second["retries"]) == ("continue", "continue", 1)
    assert status(refused)["outcome"] == "delete"
    assert "a rule forbids extension exe" in str(status(refused))
    assert operator.process is not None
