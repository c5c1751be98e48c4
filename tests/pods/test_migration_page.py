"""docs/migrate-ocis-charts.md, typed by a newcomer on a cluster with real Pods: there, back, and there again.

The other chart is played, in a namespace of its own. First the newcomer names a Secret that is not there: the
commands of the page and `kubectl pp doctor` say so.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
import yaml
from nats.js.api import KeyValueConfig
from nats.js.errors import BucketNotFoundError

from e2e.cluster.helm import CHART
from e2e.cluster.kubectl import Kubectl
from e2e.paths import REPO
from tests.chart.test_migration import OURS, blocks, commands
from tests.driver import Driver
from tests.goservice import BUCKET
from tests.pods.site import NAMESPACE, POD_SELECTOR, RELEASE, Site
from tests.pods.test_stand_in import PRODUCTS, OldChart
from uploadpp.testing.events import STREAM

pytestmark = [pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="session")]

PAGE = REPO / "docs" / "migrate-ocis-charts.md"
SAID = {
    f"rollout status deployment/{RELEASE}": "successfully rolled out",
    f"logs deployment/{RELEASE} ": "is still running; switch it off",
    "get deployment postprocessing": " 1/1 ",
    "helm test": "Phase:          Succeeded",
    "kubectl pp doctor": "is ready",
    f"logs job/{RELEASE}-release": "uploads handed back",
}
"""What the page promises about a command."""


class Newcomer:
    """Somebody who copies the page's commands, with this working copy in the place of what is published."""

    def __init__(self, site: Site, old: OldChart) -> None:
        self._site = site
        self._old = old
        self._upgrades = iter([old.upgrade, lambda: old.rollback(1)])

    def type(self, command: str, values: str, patience: float = 0.0) -> str:
        """One command; again and again for so many seconds, until it says what the page promises."""
        if command.startswith("helm upgrade ocis "):
            next(self._upgrades)()
            return ""
        promised = next((words for part, words in SAID.items() if part in command), "")
        line = command.replace("oci://ghcr.io/uploadpp/charts/upload-postprocessing", str(CHART))
        if str(CHART) in line:
            line = " ".join([line, *self._site.image_values()])
        if "deployment postprocessing" in line:
            line = line.replace(f"-n {NAMESPACE} ", f"-n {self._old.namespace} ")
        line = line.replace("--values values.yaml", f"--values {values}")
        end = time.monotonic() + patience
        while promised not in (said := self._site.type(["sh", "-c", line])) and time.monotonic() < end:
            time.sleep(1)
        assert promised in said, f"{line}\n{said}"
        return said


@pytest.fixture
def old(site: Site) -> Iterator[OldChart]:
    """The release of the other chart, with the service. The operator is not there, before and after."""
    uninstall(site)
    admin = Kubectl(site.kubeconfig)
    admin("create", "namespace", "old-page")
    chart = OldChart(site, "old-page", PRODUCTS["ocis"])
    chart.install()
    yield chart
    admin("delete", "namespace", "old-page", "--wait=false")
    uninstall(site)


def uninstall(site: Site) -> None:
    """As if the operator had never been there."""
    if json.loads(site.helm("list", f"--filter=^{RELEASE}$", "--output=json")):
        site.helm("uninstall", RELEASE, "--wait")
        site.kubectl(
            "wait", "--for=delete", "pods", f"--selector={POD_SELECTOR}", "--timeout=60s", timeout=70
        )


def values_file(site: Site, title: str) -> str:
    """The values that the page shows under a title."""
    (block,) = [each for each in blocks(PAGE, "yaml") if each.splitlines()[0] == f"{OURS}{title}"]
    assert yaml.safe_load(block)
    path = site.instance.folder / f"page-{re.sub('[^a-z]', '', title)}.yaml"
    path.write_text(block)
    return str(path)


async def test_the_page_leads_there_and_back_and_says_what_is_missing(
    site: Site, driver: Driver, old: OldChart
) -> None:
    for each in await driver.js.consumers_info(STREAM):
        if each.name.startswith("uploadpp-"):
            await driver.js.delete_consumer(STREAM, each.name)
    try:
        await driver.js.key_value(BUCKET)
    except BucketNotFoundError:
        await driver.js.create_key_value(KeyValueConfig(bucket=BUCKET, history=1))
    person, typed = Newcomer(site, old), commands(PAGE)

    def do(*parts: str, values: str = "", patience: float = 0.0) -> str:
        """Type the next command of the page, which has one of these words."""
        command = typed.pop(0)
        assert any(part in command for part in parts), command
        return person.type(command, values, patience)

    await in_background(lambda: mistaken(site, person, typed))
    plain = values_file(site, "")
    await in_background(lambda: do("helm install", values=plain))
    await in_background(lambda: do("wait --for"))
    await in_background(lambda: do(f"logs deployment/{RELEASE}", patience=30))
    await in_background(lambda: do("helm upgrade ocis"))
    said = await in_background(lambda: do("get deployment postprocessing"))
    assert site.image in said
    await in_background(lambda: do("rollout status"))
    await in_background(lambda: do("helm test"))
    await in_background(lambda: do("kubectl pp doctor"))
    await uploads_pass(driver, "there")
    assert "there-0" in await in_background(lambda: do("get upp"))
    assert "deploy/storageusers" in typed.pop(0)  # there is no storage here
    await in_background(lambda: do("kubectl pp list"))

    await in_background(lambda: do("handBack.enabled=true"))
    await in_background(lambda: do("logs job/"))
    await in_background(lambda: do("helm upgrade ocis"))
    await in_background(lambda: do("get deployment postprocessing"))
    assert "deploy/storageusers" in typed.pop(0)
    await in_background(old.upgrade)  # "repeat step 2"
    await in_background(lambda: do("handBack.enabled=false"))
    await in_background(lambda: do("rollout status"))
    await uploads_pass(driver, "again")
    assert typed == []


def mistaken(site: Site, person: Newcomer, typed: list[str]) -> None:
    """NATS is elsewhere, and the Secret with its CA has another name here than on the page."""
    install, wait = typed[:2]
    person.type(install, values_file(site, ", with NATS outside of the chart"))
    said = person.type(wait.replace("--timeout=2m", "--timeout=10s"), "")
    assert 'secret "messaging-system-ca" not found' in said
    said = site.type(["sh", "-c", f"COLUMNS=300 kubectl pp doctor --namespace {NAMESPACE} || echo failed"])
    assert 'is not running: FailedMount: MountVolume.SetUp failed for volume "credentials"' in said
    assert 'secret "messaging-system-ca" not found' in said
    assert said.endswith("failed\n")
    uninstall(site)


async def in_background(work: Callable[[], object]) -> str:
    """The connection to NATS goes on meanwhile."""
    return str(await asyncio.to_thread(work))


async def uploads_pass(driver: Driver, batch: str) -> None:
    """Uploads of the page's values have no step."""
    names = [f"{batch}-{number}" for number in range(5)]
    await driver.upload(*names)
    await driver.until_released(*names)
