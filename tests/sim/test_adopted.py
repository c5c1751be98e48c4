"""`uploadpp adopt` was killed between a resource and its status; the storage announces the upload again."""

import pytest

from uploadpp.api.codec import ALL_SHOWN, to_resource
from uploadpp.core.commands import Kind
from uploadpp.core.model import Millis, Origin, Upload
from uploadpp.core.naming import ADOPTED_ANNOTATION
from uploadpp.testing.configs import config, step
from uploadpp.testing.operator_process import PlainSeals
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.user_actions import PERSON

BEFORE = Millis(1_790_920_000_000)


@pytest.mark.parametrize("crash_at", range(1, 14))
def test_a_person_lets_it_begin_whenever_the_operator_was_killed(crash_at: int) -> None:
    """It is held before its first run. A restart took that for an adoption that is not finished."""
    sim = Simulation(2, config(step("virusscan"), ttl=3600))
    origin = Origin(url='"https://storage.test/data/up-1-1"', filesize="7")
    upload = Upload(id="up-1", received_at=BEFORE, origin=origin, plan=sim.config.steps)
    sealed = PlainSeals().seal(origin, "up-1", {})
    made = to_resource(upload, namespace="uploads", shown=ALL_SHOWN, sealed=sealed)
    made["metadata"]["annotations"] = {ADOPTED_ANNOTATION: "2026-10-02T00:00:00.000Z"}
    sim.server.create(PERSON, made)
    process = sim.start()
    sim.kernel.run_until(1.0)
    process.machine.crash_at = process.machine.boundaries + crash_at
    sim.world.know("up-1")
    sim.world.announce("up-1")
    sim.kernel.run_until(10.0)
    if process.machine.alive:
        process.machine.kill()
    sim.start()
    sim.kernel.run_until(60.0)
    held = sim.checks.read(sim.server.resources["up-1"])
    assert held.is_held_unbegun, sim.trace.text()
    sim.server.edit(PERSON, "up-1", restart={"token": "t", "mode": "ForceRestart"})
    sim.doings.tokens["up-1"] += 1
    sim.doings.edited.add("up-1")
    sim.doings.again.add("up-1")
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    assert [mark.detail for mark in sim.journal.marks(Kind.START, "up-1")] == ["virusscan"], result.report()
    assert sim.checks.read(sim.server.resources["up-1"]).completed_at is not None, result.report()
