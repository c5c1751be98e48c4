"""A7: the first creates of a control plane that is seconds old take two seconds each, in virtual time."""

import asyncio
from typing import Any

import pytest

from uploadpp.pipeline.write_throttle import PATIENCE_SECONDS
from uploadpp.testing.apiclient import SimulatedApi
from uploadpp.testing.configs import config, step
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.trace import logged_in

UPLOADS = [f"up-{number:02d}" for number in range(20)]
SLOW_SECONDS, YOUNG_SECONDS = 2.05, 4.0
"""So long the first creates took in six of 51 starts, and so long after the CRD's installation."""


def test_uploads_of_the_first_seconds_wait_for_the_api_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps go on meanwhile, and no create begins later than a writer is free for it."""
    sim, begun = Simulation(1, config(step("virusscan"), step("policies"))), list[float]()
    request = SimulatedApi.request

    async def slow(self: SimulatedApi, method: str, path: str, *given: Any, **named: Any) -> Any:  # noqa: ANN401 -- JSON
        if method == "POST" and "/leases" not in path:
            begun.append(sim.kernel.now)
            await asyncio.sleep(SLOW_SECONDS if sim.kernel.now < YOUNG_SECONDS else 0)
        return await request(self, method, path, *given, **named)

    monkeypatch.setattr(SimulatedApi, "request", slow)
    with logged_in(sim.trace):
        sim.start()
        sim.kernel.run_until(1.0)
        for each in UPLOADS:
            sim.world.upload(each)
        announced = sim.kernel.now
        sim.kernel.run_until(announced + SLOW_SECONDS)
        released = {each.upload for each in sim.journal.records if each.type == "PostprocessingFinished"}
        sim.kernel.run_until(YOUNG_SECONDS + SLOW_SECONDS + 1.0)
        recorded = set(sim.server.resources)
        sim.settle()
        result = sim.result()
    assert not result.violations, result.report()
    assert released == set(UPLOADS), "events do not wait for records"
    assert recorded.issuperset(UPLOADS), "nothing of ours is added to what the API server takes"
    waited = [at - announced for at in begun]
    writers = sum(each < SLOW_SECONDS for each in waited)
    assert writers > 1
    assert max(waited[:writers]) < PATIENCE_SECONDS + 0.5, "each writer begins at once"
    assert max(waited[: 2 * writers]) < SLOW_SECONDS + PATIENCE_SECONDS + 0.5, "and again when it is free"
