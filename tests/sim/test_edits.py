"""What anybody with `edit` writes into resources, told by what goes out on the stream."""

from uploadpp.core.commands import Kind
from uploadpp.testing.people import PERSON
from uploadpp.testing.plans import config, step
from uploadpp.testing.simulation import Simulation


def test_s5_what_was_sealed_for_one_upload_is_never_announced_for_another() -> None:
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    sim.world.script = ["", ""]  # nobody answers: both are in virusscan
    process = sim.start()
    sim.kernel.run_until(1.0)
    for upload in ("up-1", "up-2"):
        sim.world.upload(upload)
    sim.kernel.run_until(5.0)
    process.machine.kill()
    stolen = sim.server.resources["up-1"]["spec"]["sealed"]
    sim.server.edit(PERSON, "up-2", sealed=stolen, restart={"token": "again"})
    sim.start()
    sim.kernel.run_until(60.0)
    sim.server.delete(PERSON, "up-2")
    sim.result()  # ends all
    assert "/data/up-1" not in str([r.payload for r in sim.journal.of("StartPostprocessingStep", "up-2")])
    assert len(sim.journal.marks(Kind.START, "up-2")) == 1, "left alone: it does not start again"
    assert "event on up-2: LeftAlone: spec.sealed was sealed for another upload" in sim.trace.text()
    assert "event on up-1: LeftAlone" not in sim.trace.text()
