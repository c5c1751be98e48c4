"""The rights of the chart's Jobs and the permissions of docs/nats.md are enough to adopt and to give back."""

import json
import re
from dataclasses import replace
from pathlib import Path

import nats as nats_client
import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.demo.wire import STREAM, ensure_stream, read_all
from e2e.operator_process import Operator, OperatorOptions
from tests.adopting import PLAIN, SETTINGS, STEPS, Site, World, fill, record, records
from tests.chart.rendering import render
from tests.driver import bytes_received
from tests.goservice import GoService
from tests.integration.test_nats_permissions import DOCS, Permissions, Server, of_the_operator, quoted
from uploadpp.migration.adopt import AdoptOptions
from uploadpp.migration.cli import adopt, release
from uploadpp.migration.release import ReleaseOptions
from uploadpp.migration.report import Exit, Report
from uploadpp.testing.events import new_message, start_step, step_finished

JOBS = {"adopt": "adopt", "handBack": "release"}


def permissions() -> Permissions:
    """Those of the operator, and what docs/nats.md adds for the two commands."""
    table = DOCS.partition("### adopt and release")[2].partition("### Steps")[0]
    own = [subject for row in re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE) for subject in quoted(row)]
    operator = of_the_operator()
    return Permissions((*operator.publish, *own), operator.subscribe)


def account_of(kubectl: Kubectl, namespace: str, value: str, folder: Path) -> Path:
    """A kubeconfig with the token of a Job's account, which has the chart's Role and nothing else."""
    kinds = {"ServiceAccount", "Role", "RoleBinding"}
    job = JOBS[value]
    for each in render({value: {"enabled": True}}):
        if each["kind"] in kinds and each["metadata"]["name"].endswith(f"-{job}"):
            each["metadata"]["namespace"] = namespace
            for subject in each.get("subjects", ()):
                subject["namespace"] = namespace
            kubectl("apply", "--filename=-", stdin=json.dumps(each))
            name = each["metadata"]["name"]
    shown = json.loads(kubectl("config", "view", "--raw", "--output=json"))
    shown["users"][0]["user"] = {"token": kubectl("create", "token", name).strip()}
    config = folder / f"kubeconfig-{job}"
    config.write_text(json.dumps(shown))
    return config


async def test_both_commands_do_with_what_they_are_given(
    cluster: LocalCluster,
    instance: Instance,
    kubectl: Kubectl,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(instance)
    server.again(permissions())
    options = OperatorOptions(cluster.kubeconfig, server.limited_url, namespace, STEPS, {**SETTINGS, **PLAIN})
    service = GoService(server.url, STEPS, delay=1.0, backoff=1.0)
    site = Site(World(server.url), Operator(instance, options), kubectl, service)
    site.world.client = await nats_client.connect(server.url)
    js = site.world.js
    await ensure_stream(js)
    await fill(js, {"a": record("a"), "b": record("b")})
    start = new_message("StartPostprocessingStep", start_step("b", "virusscan"))
    answer = step_finished("b", "virusscan", "delete")
    await js.publish(STREAM, start)
    await js.publish(STREAM, new_message("PostprocessingStepFinished", answer))
    await js.publish(STREAM, bytes_received("c"))
    folder = {value: account_of(kubectl, namespace, value, tmp_path) for value in JOBS}
    settings = site.settings

    monkeypatch.setenv("KUBECONFIG", str(folder["adopt"]))
    report = Report("adopt")
    await adopt(settings, AdoptOptions(wait_seconds=60), report)
    assert (report.exit, {each["id"] for each in report.done}) == (Exit.DONE, {"a", "b"})
    assert [each.type for each in await read_all(js)][-1] == "PostprocessingFinished"

    monkeypatch.setenv("KUBECONFIG", str(folder["handBack"]))
    report = Report("release")
    await release(settings, replace(ReleaseOptions(), consumer="postprocessing", wait_seconds=60), report)
    assert (report.exit, {each["id"] for each in report.done}) == (Exit.DONE, {"a", "b", "c"})
    assert await records(js) == {"a", "b", "c"}
    assert await site.resources() == {}
    await site.world.stop()
