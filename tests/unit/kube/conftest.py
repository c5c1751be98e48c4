"""Leases for tests."""

from collections.abc import Callable
from typing import cast

import pytest

from tests.leases import DURATION, Clock, Server
from uploadpp.kube.api import Api
from uploadpp.kube.claimant import ANYBODY, Claimant
from uploadpp.kube.lease import Lease


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease_by(server: Server, clock: Clock) -> Callable[[str, Claimant], Lease]:
    """The Lease as a replica sees it, by its name and what it brings along."""
    return lambda name, claimant: Lease(
        cast("Api", server), "ns", "shard", name, DURATION, clock, claimant=claimant
    )


@pytest.fixture
def lease_of(lease_by: Callable[[str, Claimant], Lease]) -> Callable[[str], Lease]:
    return lambda name: lease_by(name, ANYBODY)
