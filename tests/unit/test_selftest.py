"""`uploadpp selftest` at its last question: is the release recorded?"""

import asyncio
from typing import Any, cast

import pytest
from nats.js import JetStreamContext

from uploadpp.core.states import Stage
from uploadpp.kube.store import Store
from uploadpp.selftest import Selftest


class Recorded:
    """A store with one resource."""

    def __init__(self, stage: Stage) -> None:
        self._status = {"conditions": [{"type": "Succeeded", "reason": stage}]}

    async def get(self, _name: str) -> dict[str, Any]:
        return {"status": self._status}


@pytest.mark.parametrize("stage", [Stage.AWAITING_READY, Stage.COMPLETED])
async def test_a_release_is_recorded_also_when_a_storage_has_confirmed_it_already(stage: Stage) -> None:
    selftest = Selftest(cast("Store", Recorded(stage)), cast("JetStreamContext", None), "ocis")
    async with asyncio.timeout(5):
        await selftest._until_recorded()
