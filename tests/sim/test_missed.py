"""Messages that are removed from the stream before the operator has read them."""

import pytest

from uploadpp.testing.configs import config, step
from uploadpp.testing.simulation import Simulation


def test_a_replay_ends_although_its_messages_were_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were counted when the shard was taken over, and will never come."""
    sim = Simulation(1, config(step("virusscan"), ttl=10_000))
    sim.world.script = ["continue"] * 2
    sim.world.upload("up-1")  # nobody runs yet
    sim.kernel.run_until(1.0)
    assert sim.stream.last > 0
    pull, purged = sim.stream.pull, list[str]()

    def too_late(name: str, *rest: object) -> None:
        if not purged:
            purged.append(name)
            sim.stream.purge()
        pull(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sim.stream, "pull", too_late)
    process = sim.start()
    sim.kernel.run_until(20.0)
    assert purged == ["uploadpp-0-e1"]
    assert process.candidate is not None
    assert process.candidate.working
    sim.world.upload("up-2")
    sim.kernel.run_until(40.0)
    assert sim.server.resources.keys() == {"up-2"}
    assert "MessagesMissed: 1 messages were removed before they were read" in sim.trace.text()
    result = sim.result()
    assert not result.violations, result.report()
