"""Leases for tests."""

from collections.abc import Callable

import pytest

from tests.leases import DURATION, Clock, Server
from uploadpp.kube.lease import Lease


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease_of(server: Server, clock: Clock) -> Callable[[str], Lease]:
    return lambda name: Lease(server, "ns", "shard", name, DURATION, clock)  # type: ignore[arg-type]
