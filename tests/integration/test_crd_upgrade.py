"""What is stored already when the CRD becomes stricter."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.kubectl import Kubectl, KubectlError, apply_crds
from e2e.cluster.local import LocalCluster
from tests.integration.test_crd import by_hand
from tests.integration.test_store import connect
from uploadpp.api.crd import custom_resource_definition
from uploadpp.kube.store import Store, stored


def without_rules() -> dict[str, Any]:
    """The CRD as it was before names had patterns and presence was fixed."""
    crd = custom_resource_definition()
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    spec = root["spec"]["properties"]
    del spec["steps"]["items"]["properties"]["name"]["pattern"]
    for field in ("name", "key"):
        del spec["urlSecretRef"]["properties"][field]["pattern"]
    for each in (root["spec"], spec["upload"]):
        rules = each["x-kubernetes-validations"]
        rules[:] = [rule for rule in rules if "has(self." not in rule["rule"]]
    del spec["urlSecretRef"]["x-kubernetes-validations"]
    return crd


async def taken_up(attempt: Callable[[], object], *, succeeds: bool) -> None:
    """Wait until the API server goes by a changed CRD, which is some moments after the change."""
    async with asyncio.timeout(30):
        while True:
            try:
                await asyncio.to_thread(attempt)
            except KubectlError:
                if not succeeds:
                    return
            else:
                if succeeds:
                    return
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    "spec",
    [
        {"steps": [{"name": "a:b"}], "urlSecretRef": {"name": "url", "key": "url"}},
        {"steps": [{"name": "ok"}], "urlSecretRef": {"name": "../../x", "key": "a/b"}},
    ],
)
async def test_what_the_new_rules_would_refuse_can_still_be_written(
    cluster: LocalCluster, kubectl: Kubectl, namespace: str, tmp_path: Path, spec: dict[str, Any]
) -> None:
    """Otherwise an upgrade of the CRD would stop the uploads that run."""
    older = tmp_path / "crd.yaml"
    older.write_text(yaml.safe_dump(without_rules()))
    odd, other = by_hand("odd", **spec), by_hand("other", **spec)
    try:
        apply_crds(cluster.kubeconfig, older)
        await taken_up(lambda: kubectl("create", "--filename=-", stdin=odd), succeeds=True)
        edited = '{"spec":{"upload":{"filename":"added"},"stallAfterSeconds":5}}'
        await taken_up(
            lambda: kubectl("patch", "upp", "odd", "--type=merge", f"--patch={edited}"), succeeds=True
        )
    finally:
        apply_crds(cluster.kubeconfig)
    ask = ("create", "--dry-run=server", "--filename=-")
    await taken_up(lambda: kubectl(*ask, stdin=other), succeeds=False)
    async with await connect(cluster.kubeconfig) as api:
        store = Store(api, namespace)
        found = await store.get("odd")
        assert found is not None
        written = await store.write_status("odd", stored(found).version, {"message": "goes on"})
        await store.write_sealed("odd", written.version, "gAAAA")
    kubectl("patch", "upp", "odd", "--type=merge", '--patch={"spec":{"desiredState":"Suspended"}}')
    kept = kubectl.json("get", "upp", "odd")
    assert kept["status"] == {"message": "goes on"}
    assert kept["spec"]["steps"] == spec["steps"]
