"""One resource that can never be written: others go on, and its upload ends once (docs/adr/0063)."""

import pytest

from uploadpp.core.commands import Kind
from uploadpp.kube.leasenotes import ENDS_ANNOTATION
from uploadpp.testing.apiclient import ApiFaults
from uploadpp.testing.configs import config, step
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.user_actions import PERSON

LEASE = "uploadpp-shard-0"


def by_hand(upload_id: str) -> dict[str, object]:
    spec = {"upload": {"id": upload_id}, "steps": [{"name": "virusscan"}]}
    return {"metadata": {"name": upload_id}, "spec": spec}


def world(*, made: bool, answered: bool) -> Simulation:
    """Nobody can write the resource of up-0, which a person may have made. Its upload is aborted."""
    sim = Simulation(1, config(step("virusscan"), ttl=10_000))
    sim.checks.refused.add("up-0")
    process = sim.start(ApiFaults(stuck="up-0", stuck_answered=answered))
    sim.kernel.run_until(1.0)
    if made:
        process.faults.watch_late = 1.0
        sim.server.create(PERSON, by_hand("up-0"))
    sim.world.script = ["abort"]
    sim.world.upload("up-0")
    sim.kernel.run_until(2.0)
    for number in range(1, 30):
        sim.world.upload(f"up-{number}")
        sim.kernel.run_until(2.0 + 4 * number)
    return sim


def unacknowledged(sim: Simulation) -> int:
    return sim.stream.last - max(consumer.floor for consumer in sim.stream.consumers.values())


@pytest.mark.parametrize("made", [True, False])
@pytest.mark.parametrize("answered", [True, False])
def test_it_holds_nothing_back_and_is_aborted_once(*, made: bool, answered: bool) -> None:
    sim = world(made=made, answered=answered)
    assert unacknowledged(sim) == 0, sim.trace.text()
    noted = sim.server.leases[LEASE]["metadata"]["annotations"].get(ENDS_ANNOTATION, "")
    assert ("uid-" in noted) is made
    sim.processes[-1].machine.kill()
    sim.start(ApiFaults(stuck="up-0", stuck_answered=answered))
    sim.kernel.run_until(200.0)
    sim.processes[-1].machine.kill()
    sim.start()
    sim.kernel.run_until(300.0)
    assert unacknowledged(sim) == 0
    assert len(sim.journal.marks(Kind.FINISH, "up-0")) == 1
    result = sim.result()
    assert not result.violations, result.report()
