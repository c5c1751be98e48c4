"""docs/adopting.md, typed on a cluster with real Pods: uploads are taken over, handed back and taken again.

The Jobs of the chart run as the page says, with the rights that the chart gives them.
"""

import asyncio
import json
import re
import shlex

import pytest

from e2e.cluster.helm import CHART
from e2e.paths import REPO
from tests.driver import Driver, histories, reasons, until
from tests.goservice import GoService
from tests.pods.load import under_load
from tests.pods.site import POD_SELECTOR, RELEASE, Site
from uploadpp.testing.events import STREAM

pytestmark = [pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="session")]

STEPS = ("virusscan", "policies")
COUNT = 24
_PAGE = (REPO / "docs" / "adopting.md").read_text()


def command(site: Site, words: str) -> list[str]:
    """The command of the page that has these words, for our release and chart."""
    blocks = "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", _PAGE, re.MULTILINE | re.DOTALL))
    (line,) = [each.strip() for each in blocks.splitlines() if words in each]
    typed = shlex.split(line.replace("oci://ghcr.io/uploadpp/charts/upload-postprocessing", str(CHART)))
    return [*typed, *site.image_values()] if "install" in typed else typed


async def type_in(site: Site, words: str) -> str:
    return await asyncio.to_thread(site.type, command(site, words))


async def wait_for_operator(site: Site) -> None:
    done = ["rollout", "status", f"deployment/{RELEASE}", "--timeout=100s"]
    await asyncio.to_thread(lambda: site.kubectl(*done, timeout=110))


async def until_started(driver: Driver, names: list[str], steps: int) -> None:
    """Wait until the log tells so many steps of each."""

    async def there() -> bool:
        told = await histories(driver.js)
        return all(each in told and len(told[each].steps) >= steps for each in names)

    await until(there)


async def check_once(driver: Driver, names: list[str]) -> None:
    told = await histories(driver.js)
    for each in names:
        assert (told[each].steps, told[each].finished) == (list(STEPS), ("continue",)), each


async def test_the_page_takes_uploads_over_and_gives_them_back(site: Site, driver: Driver) -> None:
    if json.loads(site.helm("list", f"--filter=^{RELEASE}$", "--output=json")):
        await asyncio.to_thread(site.helm, "uninstall", RELEASE, "--wait")
        gone = ["wait", "--for=delete", "pods", f"--selector={POD_SELECTOR}", "--timeout=60s"]
        await asyncio.to_thread(lambda: site.kubectl(*gone, timeout=70))
    # A first installation has no place of its own in the stream, and goes on behind that service.
    for each in await driver.js.consumers_info(STREAM):
        if each.name.startswith("uploadpp-"):
            await driver.js.delete_consumer(STREAM, each.name)
    service = GoService(site.nats_url, STEPS, delay=1.0, backoff=600.0)
    driver.serves = lambda _step: False
    first, second = ([f"{word}-{index:02}" for index in range(COUNT)] for word in ("taken", "given"))
    try:
        await service.start()
        await driver.upload(*first)
        await until_started(driver, first, 1)
        await service.kill()

        # In.
        await type_in(site, "helm install")
        said = await type_in(site, "job/upload-postprocessing-adopt")
        assert f"{COUNT} uploads adopted\n  Running: {COUNT}\n" in said
        assert not site.pods()
        found = reasons(await asyncio.to_thread(site.kubectl.json, "get", "upp"))
        assert {found[each] for each in first} == {"Running"}
        await type_in(site, "adopt.enabled=false")
        await wait_for_operator(site)
        driver.serves = lambda _step: True
        await driver.again()
        await driver.until_released(*first)
        await check_once(driver, first)

        # Back.
        driver.serves = lambda _step: False
        await driver.upload(*second)
        await until_started(driver, second, 1)
        await type_in(site, "handBack.enabled=true")
        said = await type_in(site, "job/upload-postprocessing-release")
        assert f"{COUNT} uploads handed back\n  Running: {COUNT}\n" in said
        assert not set(second) & set(reasons(await asyncio.to_thread(site.kubectl.json, "get", "upp")))
        await service.start()
        driver.serves = lambda _step: True
        await driver.again()
        await driver.until_released(*second)
        await check_once(driver, second)
        await service.kill()

        # In again.
        await type_in(site, "handBack.enabled=false")
        await wait_for_operator(site)
        await under_load(site, driver, lambda: None)
    finally:
        driver.serves = lambda _step: True
        if service.client is not None and not service.client.is_closed:
            await service.kill()
