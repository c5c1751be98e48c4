"""`uploadpp release` after the operator was killed: it reads what no owner has read."""

from collections.abc import Iterator

import pytest

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.evolve import evolve
from uploadpp.core.handing_back import GivenBack, give_back
from uploadpp.core.history import Said, taken_over
from uploadpp.core.model import Millis
from uploadpp.core.replay import Position
from uploadpp.testing.configs import config, step
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.stream import millis
from uploadpp.testing.user_actions import PERSON
from uploadpp.wire.decode import decode
from uploadpp.wire.marks import AnyMark
from uploadpp.wire.origin import origin_from_spec


@pytest.mark.parametrize("crash_at", range(1, 14))
@pytest.mark.parametrize("desired", ["Active", "Cancelled"])
def test_handed_back_it_is_what_was_announced_whenever_the_operator_was_killed(
    crash_at: int, desired: str
) -> None:
    """A person had made its resource before. The service must not release it by the steps of that.

    What that resource asks for counts, as for an owner.
    """
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600, places={"policies": 1}))
    process = sim.start()
    sim.kernel.run_until(1.0)
    process.machine.crash_at = process.machine.boundaries + crash_at
    for name in ("up-0", "up-1"):
        spec = {"upload": {"id": name}, "steps": [{"name": "policies"}]}
        metadata: dict[str, object] = {"name": name, "namespace": "uploads", "labels": {}}
        sim.server.create(
            PERSON, {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
        )
    sim.kernel.run_until(5.0)
    if process.machine.alive:
        process.machine.kill()
    sim.world.upload("up-1")
    sim.server.edit(PERSON, "up-1", desiredState=desired)
    sim.kernel.run_until(6.0)
    upload = sim.checks.read(sim.server.resources["up-1"])
    upload = evolve(upload, origin=origin_from_spec(upload))
    at, now = Position(sim.stream.incarnation, sim.stream.last), Millis(millis(sim.kernel.now))
    known = taken_over(upload, told_of("up-1", sim), at, now, sim.config, own_name=True)
    given = give_back(known, now, sim.config)
    assert isinstance(given, GivenBack), given
    assert (given.record.steps, given.nudge) == (("virusscan", "policies"), "ResumePostprocessing")
    ends = ("virusscan", "") if desired == "Active" else ("finished", "abort")
    assert (given.record.current, given.record.outcome) == ends


def told_of(upload: str, sim: Simulation) -> Iterator[Said]:
    """What the log says of an upload."""
    for record in sim.journal.records:
        at = Millis(millis(record.at))
        event = decode(record.data, record.sequence, at, AnyMark())
        if event is not None and event.upload_id == upload:
            yield Said(record.sequence, at, event.input, record.event_id)
