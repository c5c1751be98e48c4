"""Step services of the chart as real Pods: they download, judge, and are replaced when their rules change."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.driver import Driver, bytes_received, histories
from tests.pods import guide
from tests.pods.conftest import Clock
from tests.pods.site import RELEASE, Site

pytestmark = [pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="session")]

NEVER = 1000990000
"""A user of nobody, as OpenShift gives to each project."""
ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 57
FILES = {"plan.txt": b"a plan", "tool.bin": ELF, "setup.exe": b"no program"}


@contextlib.asynccontextmanager
async def served(site: Site) -> AsyncIterator[str]:
    """A data gateway that Pods reach; the URL of its folder."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=FILES[request.match_info["name"]])

    app = web.Application()
    app.router.add_get("/data/{name}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, site.own_address, 0)
        await listener.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/data/"
    finally:
        await runner.cleanup()


def values(url: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """A step of rules and one of a command; the one runs as a user that the image does not know."""
    anybody = {"runAsUser": NEVER, "runAsGroup": 0, "fsGroup": NEVER}
    return {
        "steps": [{"name": "rules"}, {"name": "elf"}],
        "storageCheck": {"from": [url]},
        "stepServices": {
            "rules": {"policies": {"rules": rules}, "podSecurityContext": anybody},
            "elf": {"command": {"exec": "grep -q ELF {path}", "exit": {"0": "abort", "1": "continue"}}},
        },
    }


def pods(site: Site) -> dict[str, str]:
    """The Pods of step services, but for those that are about to end: name by service."""
    found = site.kubectl.json("get", "pods", "--selector=app.kubernetes.io/component=step")["items"]
    staying = [pod["metadata"] for pod in found if "deletionTimestamp" not in pod["metadata"]]
    return {each["labels"]["uploadpp.io/step"]: each["name"] for each in staying}


async def outcomes(driver: Driver, url: str, batch: str) -> dict[str, str]:
    """What becomes of each file."""
    ids = {name: f"{batch}-{name}" for name in FILES}
    for name, upload in ids.items():
        about: dict[str, Any] = {"Filename": name, "Filesize": len(FILES[name]), "URL": url + name}
        await driver.say(bytes_received(upload, **about))
    await driver.until_released(*ids.values())
    told = await histories(driver.js)
    assert all(len(told[upload].finished) == 1 for upload in ids.values())
    return {name: told[upload].finished[0] for name, upload in ids.items()}


async def test_step_services_judge_real_uploads(site: Site, driver: Driver, clock: Clock) -> None:
    if not site.own_address:
        pytest.skip("Pods of this cluster do not reach what the test serves")
    if not json.loads(site.helm("list", f"--filter=^{RELEASE}$", "--output=json")):
        await asyncio.to_thread(site.type, [*guide.commands()[0], *site.image_values()])
    driver.serves = lambda step: step not in {"rules", "elf"}
    programs = {"outcome": "delete", "extension": ["exe"], "message": "programs are not wanted here"}
    try:
        async with served(site) as url:
            started = time.monotonic()
            await asyncio.to_thread(lambda: site.upgrade(**values(url, [programs])))
            clock.note("helm upgrade --wait to two step services", time.monotonic() - started)
            first = pods(site)
            assert set(first) == {"rules", "elf"}
            found = await outcomes(driver, url, "first")
            assert found == {"plan.txt": "continue", "tool.bin": "abort", "setup.exe": "delete"}

            status = site.kubectl("exec", first["rules"], "--", "cat", "/proc/1/status")
            lines = dict(line.split(":", 1) for line in status.splitlines())
            assert lines["Uid"].split() == [str(NEVER)] * 4
            assert int(lines["CapBnd"], 16) == 0
            status = site.kubectl("exec", first["elf"], "--", "cat", "/proc/1/status")
            assert dict(line.split(":", 1) for line in status.splitlines())["Uid"].split() == ["65533"] * 4
            secrets = site.kubectl("exec", first["elf"], "--", "find", "/run", "/var/run", "-name", "token")
            assert secrets == ""

            contents = {"outcome": "delete", "mime": ["application/x-executable"]}
            started = time.monotonic()
            await asyncio.to_thread(lambda: site.upgrade(**values(url, [contents])))
            clock.note("helm upgrade --wait to other rules", time.monotonic() - started)

            gone = ["wait", "--for=delete", f"pod/{first['rules']}", "--timeout=60s"]
            await asyncio.to_thread(lambda: site.kubectl(*gone, timeout=70))
            assert pods(site)["elf"] == first["elf"], "nothing of it has changed"
            found = await outcomes(driver, url, "second")
            assert found == {"plan.txt": "continue", "tool.bin": "delete", "setup.exe": "continue"}
    finally:
        driver.serves = lambda _step: True
