"""Somebody who may write Leases, as Kubernetes' own role `edit` may, and what they write into ours (S8d).

Every kind of hostile value at a running operator, one after another; after each an upload is processed.
"""

import asyncio
import contextlib
import json
import re
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, start_working

LEASE = "uploadpp-shard-0"
SECONDS = 40
HUGE = "x" * 255_000
MOST = 262_144
"""Bytes of all annotations that the API server takes."""
TO_THE_BRIM = "to the brim"
PATCHES: dict[str, dict[str, Any]] = {
    "a holder for 68 years": {
        "spec": {
            "holderIdentity": "nobody_x",
            "leaseDurationSeconds": 2**31 - 1,
            "renewTime": "9999-12-31T23:59:59.999999Z",
        }
    },
    "as many transitions as can be": {"spec": {"leaseTransitions": 2**31 - 1, "holderIdentity": "nobody_x"}},
    "a holder with an odd name": {"spec": {"holderIdentity": "\u202e\x1b[2J$(id)\n" * 20}},
    "the same while nobody holds it": {
        "metadata": {"annotations": {"x": HUGE, "y": TO_THE_BRIM}},
        "spec": {"holderIdentity": "nobody_x", "leaseDurationSeconds": 1},
    },
    "what we write there, as nonsense": {
        "metadata": {
            "annotations": {
                "x": None,
                "y": None,
                "uploadpp.io/position": "[" * 5000,
                "uploadpp.io/ends": "[" * 5000,
                "uploadpp.io/unfinished": "9999999",
                "uploadpp.io/handed-over": "nobody",
                "uploadpp.io/steps": "\x00",
                "uploadpp.io/sealing-key": "k00000000",
            }
        },
        "spec": {"holderIdentity": ""},
    },
    "names like ours, to the brim": {
        "metadata": {
            "annotations": {
                "x": None,
                **{f"uploadpp.io/x{number}": "x" * 4_000 for number in range(60)},
                "uploadpp.io/y": TO_THE_BRIM,
            }
        },
        "spec": {"holderIdentity": "nobody_x", "leaseDurationSeconds": 1},
    },
    "thousands of labels": {"metadata": {"labels": {f"l{number}": "x" * 60 for number in range(4000)}}},
    "an owner and a finalizer": {
        "metadata": {
            "finalizers": ["stranger.example/never"],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "x", "controller": True}
            ],
        }
    },
}


def write(kubectl: Kubectl, patch: dict[str, Any]) -> None:
    """As `kubectl patch lease`; some are too large for an argument.

    What fills a Lease to the brim does not fit any more if the operator has written between look and patch.
    """
    annotations = patch.get("metadata", {}).get("annotations", {})
    command = ("patch", "lease", LEASE, "--type=merge", "--patch-file=/dev/stdin")
    while True:
        metadata = kubectl.json("get", "lease", LEASE)["metadata"]
        for last in [name for name in annotations if name in {"y", "uploadpp.io/y"} and annotations[name]]:
            there = metadata.get("annotations", {}) | annotations
            there = {name: text for name, text in there.items() if text is not None} | {last: ""}
            annotations[last] = "y" * (MOST - 10 - sum(len(name) + len(text) for name, text in there.items()))
        try:
            kubectl(*command, stdin=json.dumps(patch))
        except KubectlError:
            now = kubectl.json("get", "lease", LEASE)["metadata"]
            if now["resourceVersion"] == metadata["resourceVersion"]:
                raise
        else:
            return


async def held_again(kubectl: Kubectl) -> None:
    """Wait until the operator has met what was written, and holds the Lease."""
    before = (await asyncio.to_thread(kubectl.json, "get", "lease", LEASE))["metadata"]["resourceVersion"]
    while True:
        found = await asyncio.to_thread(kubectl.json, "get", "lease", LEASE)
        holder = found.get("spec", {}).get("holderIdentity", "")
        if found["metadata"]["resourceVersion"] != before and re.fullmatch(r"stranded_\w+", holder):
            return
        await asyncio.sleep(0.5)


async def released(driver: Driver, upload: str) -> None:
    await driver.upload(upload)
    async with asyncio.timeout(SECONDS):
        await driver.until_released(upload)


async def test_s8_whatever_stands_in_the_lease_uploads_go_on(
    driver: Driver,
    cluster: LocalCluster,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
    kubectl: Kubectl,
) -> None:
    environment = {"UPLOADPP_LEASE_DURATION": "2s", "HOSTNAME": "stranded"}
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=environment)
    operator = Operator(instance, options)
    await start_working(operator)
    for number, (name, patch) in enumerate(PATCHES.items()):
        await asyncio.to_thread(write, kubectl, patch)
        try:
            async with asyncio.timeout(SECONDS):
                await held_again(kubectl)
            await released(driver, f"after-{number}")
        except TimeoutError:
            pytest.fail(f"nothing is processed any more after: {name}")
    await asyncio.to_thread(kubectl, "delete", "lease", LEASE, "--wait=false")  # it has a finalizer
    await released(driver, "while-it-is-being-removed")
    with contextlib.suppress(KubectlError):  # gone, if it was written without
        await asyncio.to_thread(write, kubectl, {"metadata": {"finalizers": None}})
    await released(driver, "after-it-was-removed")
    await asyncio.to_thread(kubectl, "wait", "--for=create", f"lease/{LEASE}", "--timeout=30s")
    found = await asyncio.to_thread(kubectl.json, "get", "lease", LEASE)
    assert len(json.dumps(found)) < 20_000, "what strangers have written is not carried along"
    await asyncio.to_thread(operator.stop)
