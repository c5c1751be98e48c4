"""Every expression of the dashboard, evaluated over what an operator and steps at work say of themselves."""

import asyncio
import json
import os
import random
import runpy
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from e2e.cluster.binaries import available, resolve
from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.service import Service
from e2e.demo.storage import Storage
from e2e.operator_process import Operator, OperatorOptions
from e2e.paths import REPO
from tests.dashboardpage import page
from tests.driver import start_working
from tests.plugin.browser import browser
from tests.stepbench import StepBench, StepProcess, until
from uploadpp.api import API_VERSION

EXPRESSIONS: list[str] = runpy.run_path(str(REPO / "scripts" / "dashboard.py"))["expressions"](REPO)
NOTHING_WRONG = (
    "uploadpp_bad_messages_total",
    "uploadpp_inputs_ignored_total",
    "uploadpp_records_refused_total",
    "uploadpp_storage_checks_total",
    'stage=~"AwaitingReady|AwaitingURL|ReleaseBackOff"',
)
"""What only an installation with a fault has; the panels stay empty here."""
BODY = """\
if upload.filename == "slow.pdf":
    await asyncio.sleep(50)
if runs.read_text().split().count(upload.id) == 1:
    raise OSError("busy")
return Continue()"""
SETTINGS = {
    "POSTPROCESSING_RETRY_BACKOFF_DURATION": "1s",
    "UPLOADPP_POLICIES": "enabled",
    "UPLOADPP_STEP_SETTINGS": json.dumps({"mine": {"maxInFlight": 3, "breakerAfter": 20}}),
}
POLICY = {
    "apiVersion": API_VERSION,
    "kind": "PostprocessingPolicy",
    "metadata": {"name": "default"},
    "spec": {"rules": [{"name": "all"}]},
}
PATIENCE = 60.0
PICTURE_SECONDS = 200.0


class Installation:
    """An operator and two steps at work."""

    def __init__(self, storage: Storage, operator: Operator, steps: list[StepProcess]) -> None:
        self._storage = storage
        self._working = False
        self.targets = {
            "operator": operator.url,
            **{f"step-{number}": each.url for number, each in enumerate(steps)},
        }

    async def work(self) -> None:
        """Some uploads pass, after a retry; one is being worked on since the first time."""
        if not self._working:
            await self._storage.upload("slow.pdf", b"slow")
            self._working = True
        passed = [await self._storage.upload("plan.pdf", b"hello") for _ in range(2)]
        await until(lambda: all(map(self._storage.actions, passed)))

    async def begin(self, count: int) -> None:
        """Some uploads that are worked on for a while."""
        for _ in range(count):
            await self._storage.upload("slow.pdf", b"slow")

    def scrape(self) -> dict[tuple[str, ...], float]:
        """The samples of all, with the labels that Prometheus and the chart's monitors add."""
        found = {}
        for pod, url in self.targets.items():
            added = {"namespace": "ocis", "pod": pod, "instance": pod, "job": pod.partition("-")[0]}
            for family in text_string_to_metric_families(get(f"{url}/metrics")):
                for sample in family.samples:
                    labels = {**sample.labels, **added}
                    series = (sample.name, *(f"{k}={json.dumps(v)}" for k, v in sorted(labels.items())))
                    found[series] = sample.value
        return found


@pytest.fixture
def options(cluster: LocalCluster, nats: NatsServer, namespace: str, kubectl: Kubectl) -> OperatorOptions:
    kubectl("apply", "--filename=-", stdin=json.dumps(POLICY))
    return OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("policies", "mine"), SETTINGS)


@pytest.fixture
async def installation(
    instance: Instance, options: OperatorOptions, nats: NatsServer, bench: StepBench, tmp_path: Path
) -> AsyncIterator[Installation]:
    operator = Operator(instance, options)
    policies = ["-m", "uploadpp", "step", "policies", "--rule=delete extension=exe"]
    steps = [bench.process(policies, process="policies"), bench.step(BODY)]
    async with Storage(tmp_path / "storage", nats.url) as storage:
        await asyncio.gather(*(asyncio.to_thread(step.start) for step in steps))
        await start_working(operator)
        yield Installation(storage, operator, steps)


def may_be_empty(expression: str) -> bool:
    return any(each in expression for each in NOTHING_WRONG)


async def test_with_the_engine_of_promtool(installation: Installation, tmp_path: Path) -> None:
    scrapes: list[dict[tuple[str, ...], float]] = []
    deadline = time.monotonic() + PATIENCE
    said = "not asked yet"
    while said:  # a counter may rise after the scrape that should have it
        assert time.monotonic() < deadline, said
        await installation.work()
        scrapes.append(await asyncio.to_thread(installation.scrape))
        path = tmp_path / "dashboard.test.yaml"
        path.write_text(yaml.safe_dump({"tests": [situation(scrapes)]}, width=10_000))
        process = await asyncio.create_subprocess_exec(
            resolve("promtool").path, "test", "rules", str(path), stdout=PIPE, stderr=STDOUT
        )
        output, _ = await process.communicate()
        said = output.decode() if process.returncode else ""


def situation(scrapes: list[dict[tuple[str, ...], float]]) -> dict[str, Any]:
    """What was scraped, a minute apart, and what is asked of it."""
    given = [
        {
            "series": f"{name}{{{','.join(labels)}}}",
            "values": " ".join(str(scrape.get((name, *labels), "_")) for scrape in scrapes),
        }
        for name, *labels in sorted({series for scrape in scrapes for series in scrape})
    ]
    # 1 where there is a sample; where none is fine too, 1 if the expression can be evaluated.
    asked = [
        {
            "expr": f"vector(1) unless (count({each}) < 0)"
            if may_be_empty(each)
            else f"count({each}) > bool 0",
            "eval_time": f"{len(scrapes) - 1}m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for each in EXPRESSIONS
    ]
    return {"interval": "1m", "input_series": given, "promql_expr_test": asked}


class Prometheus(Service):
    """A real one, which scrapes the installation each second."""

    start_timeout = 60.0

    def __init__(self, instance: Instance, folder: Path, targets: dict[str, str]) -> None:
        super().__init__(instance, "prometheus")
        self._folder = folder
        jobs = [
            {
                "job_name": pod,
                "static_configs": [
                    {"targets": [url.removeprefix("http://")], "labels": {"namespace": "ocis", "pod": pod}}
                ],
            }
            for pod, url in targets.items()
        ]
        settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))

    def argv(self) -> list[str]:
        return [
            str(resolve("prometheus").path),
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port()}",
        ]

    def ready(self) -> bool:
        get(f"http://127.0.0.1:{self.port()}/-/ready")
        return True

    def range(self, expression: str, seconds: float) -> list[Any]:
        """The series of an expression over the last seconds."""
        now = time.time()
        asked = {"query": expression, "start": now - seconds, "end": now, "step": max(1, seconds // 100)}
        answer = json.loads(get(f"http://127.0.0.1:{self.port()}/api/v1/query_range?{urlencode(asked)}"))
        assert answer["status"] == "success", answer
        result: list[Any] = answer["data"]["result"]
        return result

    def query(self, expression: str) -> list[Any]:
        """The samples of an expression now."""
        text = get(f"http://127.0.0.1:{self.port()}/api/v1/query?{urlencode({'query': expression})}")
        answer = json.loads(text)
        assert answer["status"] == "success", answer
        result: list[Any] = answer["data"]["result"]
        return result


@pytest.mark.skipif(available("prometheus") is None, reason="make test-binaries builds prometheus")
async def test_with_a_prometheus_that_scrapes(
    installation: Installation, instance: Instance, tmp_path: Path
) -> None:
    server = Prometheus(instance, tmp_path, installation.targets)
    await asyncio.to_thread(server.start)
    deadline = time.monotonic() + PATIENCE
    empty = EXPRESSIONS
    while empty := [each for each in empty if not server.query(each) and not may_be_empty(each)]:
        assert time.monotonic() < deadline, empty
        await installation.work()


@pytest.mark.skipif(not os.environ.get("UPDATE_PICTURES"), reason="UPDATE_PICTURES=1 takes it")
@pytest.mark.timeout(900)
async def test_picture(installation: Installation, instance: Instance, tmp_path: Path) -> None:
    """The panels of the docs' picture have data from minutes of work."""
    server = Prometheus(instance, tmp_path, installation.targets)
    await asyncio.to_thread(server.start)
    began = time.monotonic()
    while time.monotonic() - began < PICTURE_SECONDS:
        await installation.work()
        await asyncio.sleep(random.random())  # noqa: S311 -- so that lines are not straight
    await installation.begin(5)  # more than there are slots
    await asyncio.sleep(12)

    def ask(expression: str) -> list[Any]:
        return server.range(expression.replace("$namespace", ".*"), PICTURE_SECONDS - 10)

    dashboard = json.loads((REPO / "docs/monitoring/dashboard.json").read_text())
    drawn = await asyncio.to_thread(page, dashboard, ask, "Is it the storage?")
    assert drawn.count("No data") <= 2
    await asyncio.to_thread(shoot, drawn, tmp_path)


def shoot(html: str, folder: Path) -> None:
    """The page as docs/pictures/dashboard.png."""
    (folder / "page.html").write_text(html)
    packed = runpy.run_path(str(REPO / "scripts/pictures.py"))["packed"]
    profile = folder / "profile"
    profile.mkdir()
    with browser(profile) as window:
        window.look(width=1124, height=1720)
        window.open((folder / "page.html").as_uri())
        window.picture(folder / "page.png")
    (REPO / "docs/pictures/dashboard.png").write_bytes(packed((folder / "page.png").read_bytes()))
