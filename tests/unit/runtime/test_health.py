"""Probes and metrics over real HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from e2e.cluster.ports import free_port
from uploadpp.runtime.health import HealthServer
from uploadpp.runtime.metrics import Metrics


class Answers:
    """What the probes are told."""

    unhealthy = ""
    unready = ""


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, Answers]]:
    answers, port = Answers(), free_port()
    server = HealthServer(
        f"127.0.0.1:{port}", "t0ken", Metrics(), lambda: answers.unhealthy, lambda: answers.unready
    )
    await server.start()
    yield f"http://127.0.0.1:{port}", answers
    await server.stop()


async def fetch(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text()


async def test_probes(served: tuple[str, Answers]) -> None:
    url, answers = served
    assert await fetch(f"{url}/healthz") == (200, "OK\n")
    answers.unready = "replaying the log"
    assert await fetch(f"{url}/readyz") == (503, "replaying the log\n")
    assert (await fetch(f"{url}/healthz"))[0] == 200
    answers.unhealthy = "stuck"
    assert await fetch(f"{url}/healthz") == (503, "stuck\n")


async def test_metrics_ask_for_the_token(served: tuple[str, Answers]) -> None:
    url, _ = served
    assert (await fetch(f"{url}/metrics"))[0] == 401
    assert (await fetch(f"{url}/metrics", Authorization="Bearer wrong"))[0] == 401
    assert (await fetch(f"{url}/metrics", Authorization="Bearer t\u00f6ken"))[0] == 401
    status, text = await fetch(f"{url}/metrics", Authorization="Bearer t0ken")
    assert status == 200
    assert "uploadpp_build_info" in text


async def test_address_in_use(served: tuple[str, Answers]) -> None:
    address = served[0].removeprefix("http://")
    second = HealthServer(address, "", Metrics(), str, str)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.stop()
