"""Random resources, made, changed and deleted while uploads flow through a live operator (S2, S9).

With the CRD that is shipped, and with one that takes anything, as somebody may have installed it.
"""

import asyncio
import copy
import json
import random
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.waiting import wait_until
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, log_lines, start_working
from tests.property.test_hostile_input import DRIVEN, NUMBERS, WORDS, paths
from uploadpp.api import API_VERSION, CRD_NAME, KIND
from uploadpp.kube.api import JSON, MERGE_PATCH
from uploadpp.kube.credentials import Credentials, find_credentials
from uploadpp.kube.store import GROUP, PLURAL, VERSION

SEEDS = (1, 2)
UPLOADS = 15
ATTACKS = 120
SECONDS = 60
VERSIONS = "/spec/versions/0"
LAX = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
Json = dict[str, Any]


@pytest.fixture
def lax(cluster: LocalCluster, namespace: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """The CRD of this pytest worker's cluster, without types if the test asks for that."""
    kubectl = Kubectl(cluster.kubeconfig)
    if not request.param:
        yield
        return
    shipped = kubectl.json("get", "crd", CRD_NAME)["spec"]["versions"][0]
    probe = json.dumps({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "probe"}, "spec": 5})

    def takes_all() -> bool:
        try:
            kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", stdin=probe)
        except KubectlError:
            return False
        return True

    def change(operation: str, version: Json, *, lax: bool) -> None:
        fields = {"path": f"{VERSIONS}/selectableFields", "value": shipped["selectableFields"]}
        schema = {"op": "replace", "path": f"{VERSIONS}/schema", "value": version["schema"]}
        patch = json.dumps([schema, {"op": operation, **fields}])
        kubectl("patch", "crd", CRD_NAME, "--type=json", "--patch-file=/dev/stdin", stdin=patch)
        assert wait_until(lambda: takes_all() is lax, 30)

    change("remove", {"schema": LAX}, lax=True)
    try:
        yield
    finally:
        kubectl("delete", "upp", "--all", "-n", namespace, "--wait=false")
        change("add", shipped, lax=False)


class Stranger:
    """Whoever may write resources and their statuses, and writes anything."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        credentials: Credentials,
        path: str,
        seed: int,
        uploads: list[str],
    ) -> None:
        self._session, self._credentials, self._path = session, credentials, path
        self._random = random.Random(seed)  # noqa: S311 -- the same attacks in each run
        self._seed, self._uploads = seed, uploads
        self._made: list[str] = []
        self.taken = 0
        """How many requests the API server took."""

    async def attack(self) -> None:
        """A request or two. Refusals do not matter."""
        choose = self._random
        what = choose.choice((self._make, self._make, self._change, self._change, self._remove, self._forge))
        await what()

    async def _ask(self, method: str, path: str, body: object, content_type: str = JSON) -> None:
        now = await self._credentials.current()
        headers = {**dict(now.headers), "Content-Type": content_type}
        url, data = self._credentials.server + self._path + path, BytesIO(json.dumps(body).encode())
        async with self._session.request(
            method, url, data=data, headers=headers, ssl=now.context or True
        ) as answer:
            await answer.read()
            self.taken += answer.ok

    def _value(self) -> Any:  # noqa: ANN401 -- JSON
        choose = self._random
        levels = choose.choice((1, 3, 90, 240))
        nested: Any = "x"
        for _ in range(levels):
            nested = [nested]
        many = [{"name": "policies", "type": "Succeeded"} for _ in range(choose.choice((1, 40, 400)))]
        return choose.choice((choose.choice(WORDS), choose.choice(NUMBERS), None, {}, [], nested, many))

    def _odd(self) -> Json:
        found = copy.deepcopy(self._random.choice(DRIVEN))
        for _ in range(self._random.randint(0, 4)):
            places = paths({key: found[key] for key in ("spec", "status") if key in found})
            if not places:
                break
            *way, last = self._random.choice(places)
            parent: Any = found
            for name in way:
                parent = parent[name]
            parent[last] = self._value()
        return found

    async def _make(self) -> None:
        odd, name = self._odd(), f"odd-{self._seed}-{len(self._made)}"
        if isinstance(odd.get("spec"), dict) and isinstance(odd["spec"].get("upload"), dict):
            odd["spec"]["upload"]["id"] = self._random.choice((name, *self._uploads))
        metadata = {"name": name, "annotations": {"a": "x" * self._random.choice((0, 9, 90_000))}}
        self._made.append(name)
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": odd.get("spec")}
        await self._ask("POST", "", body)
        await self._patch(name, "/status", {"status": odd.get("status")})

    async def _change(self) -> None:
        odd = self._odd()
        await self._patch(self._one(), "", {"spec": odd.get("spec")})
        await self._patch(self._one(), "/status", {"status": odd.get("status")})

    async def _remove(self) -> None:
        await self._ask("DELETE", f"/{self._one()}", {})

    async def _forge(self) -> None:
        """Of a real upload, whose owner writes it over."""
        odd, name = self._odd(), self._random.choice(self._uploads)
        await self._patch(name, "", {"metadata": {"labels": {"uploadpp.io/step": "x", "odd": "y"}}})
        status = odd.get("status")
        await self._patch(
            name,
            "/status",
            {
                "status": {
                    "odd": self._value(),
                    "conditions": self._value(),
                    **(status if isinstance(status, dict) else {}),
                }
            },
        )

    def _one(self) -> str:
        return self._random.choice(self._made or ["nobody"])

    async def _patch(self, name: str, part: str, body: Json) -> None:
        await self._ask("PATCH", f"/{name}{part}", body, MERGE_PATCH)


@pytest.mark.parametrize("lax", [False, True], ids=["shipped", "lax"], indirect=True)
@pytest.mark.usefixtures("lax")
async def test_s2_whatever_is_done_to_resources_uploads_end(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str
) -> None:
    operator = Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))
    await start_working(operator)
    pid = operator.pid
    credentials = find_credentials({"KUBECONFIG": str(cluster.kubeconfig)})
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
    async with aiohttp.ClientSession() as session, Driver(nats.url, pause=0.02) as driver:
        for seed in SEEDS:
            uploads = [f"real-{seed}-{number}" for number in range(UPLOADS)]
            stranger = Stranger(session, credentials, path, seed, uploads)
            sending = asyncio.create_task(driver.upload(*uploads, pause=0.05))
            for _ in range(ATTACKS):
                await stranger.attack()
            await sending
            await driver.until_released(*uploads, timeout=SECONDS)
            assert stranger.taken > ATTACKS // 8
        assert operator.pid == pid
        await asyncio.to_thread(operator.restart)
        await driver.upload("after-a-start")
        await driver.until_released("after-a-start", timeout=SECONDS)
    log = operator.log.read_text()
    assert "Traceback" not in log
    assert not re.search("this is a bug|please report", log)
    assert log_lines(log)
