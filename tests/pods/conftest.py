"""A cluster with real Pods for all tests of this folder, and the times they measured."""

import os
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from e2e.cluster.provider import choose_provider
from tests.driver import Driver
from tests.pods.site import Site
from uploadpp.testing.events import STREAM

SERVICES = ("antivirus", "policies")
"""The groups by which the services of ocis and OpenCloud listen; the operator looks for them."""
_measured: list[str] = []


class Clock:
    """Notes how long things took, for the summary."""

    def note(self, what: str, seconds: float) -> None:
        """Something took so long."""
        _measured.append(f"{seconds:7.1f} s  {what}")


@pytest.fixture(scope="session")
def clock() -> Clock:
    """The notes."""
    return Clock()


@pytest.fixture(scope="session")
def site(clock: Clock) -> Iterator[Site]:
    """The cluster that UPLOADPP_CLUSTER names, by default a node of our own."""
    environment = {"UPLOADPP_CLUSTER": "node", **os.environ}
    made = Site(choose_provider(environment), environment)
    try:
        started = time.monotonic()
        made.start()
        clock.note("cluster, images and NATS from nothing", time.monotonic() - started)
        yield made
    finally:
        made.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def driver(site: Site) -> AsyncIterator[Driver]:
    """Storage and steps, with the consumers that services of these steps have."""
    async with Driver(site.nats_url) as playing:
        for group in SERVICES:
            await playing.js.subscribe(STREAM, group, durable=group)
        yield playing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured."""
    if _measured:
        terminalreporter.write_sep("-", "measured")
        for line in _measured:
            terminalreporter.write_line(line)
