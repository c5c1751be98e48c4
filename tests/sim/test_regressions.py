"""Defects that the simulation has found, each as the smallest world that shows it."""

import pytest

from uploadpp.core.commands import Kind
from uploadpp.testing.apiclient import ApiFaults
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import step_finished
from uploadpp.testing.operator_process import ACK_SECONDS
from uploadpp.testing.scenarios import LONG_SECONDS, one_upload
from uploadpp.testing.simulation import Simulation
from uploadpp.wire.reader import LogReader


def test_a_step_has_its_whole_time_after_an_outage() -> None:
    """A start that goes out late, because the operator was unavailable, is not late at once."""
    sim = Simulation(1, config(step("virusscan", timeout=3)))
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(60.0)
    sim.start()
    sim.settle()
    result = sim.result()
    assert not result.violations, result.trace.text()
    assert len(sim.journal.marks(Kind.START, "up-1")) == 1, result.trace.text()
    assert sim.journal.marks(Kind.RETRY, "up-1") == [], result.trace.text()


def test_a_release_is_not_repeated_because_of_an_outage() -> None:
    sim = Simulation(1, config())
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(60.0)
    sim.start()
    sim.settle()
    result = sim.result()
    assert not result.violations, result.trace.text()
    assert len(sim.journal.marks(Kind.FINISH, "up-1")) == 1, result.trace.text()


def test_what_a_paused_process_creates_at_last_is_not_taken_for_a_new_upload() -> None:
    """Its create arrives after its successor has ended the upload and removed the resource."""
    boundaries = range(1, one_upload("two steps pass").boundaries + 1)
    results = [one_upload("two steps pass", pause_at=at, seconds=LONG_SECONDS) for at in boundaries]
    assert [violation for result in results for violation in result.violations] == []


def test_a_late_watch_event_of_an_earlier_resource_is_not_taken_for_the_present_one() -> None:
    """The same upload came again after its resource was removed; then the watch catches up."""
    sim = Simulation(1, config(step("virusscan"), ttl=5))
    process = sim.start()
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(3.0)
    earlier = sim.server.resources["up-1"]
    sim.kernel.run_until(20.0)
    assert "up-1" not in sim.server.resources
    sim.world.script = [""]
    sim.world.announce("up-1")
    sim.kernel.run_until(21.0)
    before = sim.server.resources["up-1"]["status"]
    assert process.candidate is not None
    assert process.candidate.ownership is not None
    process.machine.loop.call_soon(process.candidate.ownership._on_watch, "MODIFIED", earlier)
    process.machine.loop.call_soon(
        process.candidate.ownership._on_watch, "MODIFIED", sim.server.resources["up-1"]
    )
    sim.kernel.run_until(25.0)
    assert sim.server.resources["up-1"]["status"] == before, sim.trace.text()
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()


def test_a_message_that_is_lost_with_the_connection_is_read_again() -> None:
    """No other message follows that would show the gap."""
    sim = Simulation(1, config(step("virusscan")))
    process = sim.start()
    sim.kernel.run_until(1.0)
    process.machine.lag = 1.0
    sim.world.upload("up-1")
    sim.kernel.run_until(1.2)
    process.client.disconnect()
    process.machine.lag = 0.001
    sim.kernel.run_until(4.0)
    process.client.reconnect()
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()


def test_an_acknowledgement_that_is_lost_with_the_connection_is_repeated() -> None:
    """Nothing else follows that would acknowledge it too."""
    sim = Simulation(1, config(step("virusscan")))
    process = sim.start()
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    while not sim.journal.of("UploadReady", "up-1"):
        sim.kernel.run_until(sim.kernel.now + 0.01)
    process.machine.lag = 1.0
    assert process.candidate is not None
    ownership = process.candidate.ownership
    assert ownership is not None
    while ownership.unacknowledged:
        sim.kernel.run_until(sim.kernel.now + 0.01)
    sim.kernel.run_until(sim.kernel.now + ACK_SECONDS)
    process.client.disconnect()
    process.machine.lag = 0.001
    sim.kernel.run_until(sim.kernel.now + 4.0)
    process.client.reconnect()
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()


def test_nothing_is_removed_before_the_stream_knows_that_it_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be announced again to whoever comes next."""
    sim = Simulation(1, config(step("virusscan"), ttl=5))
    process = sim.start()
    sim.kernel.run_until(1.0)
    monkeypatch.setattr(sim.stream, "acknowledge", lambda *_: False)  # none arrives
    sim.world.upload("up-1")
    sim.kernel.run_until(30.0)
    assert "up-1" in sim.server.resources, sim.trace.text()
    process.machine.kill()
    monkeypatch.undo()
    sim.start()
    sim.disturb(30.0)  # the Lease has to note it as well
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    assert "up-1" not in sim.server.resources


def test_nobody_is_late_while_we_have_not_heard_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wakes up has to read first: the answer may be in the stream."""
    sim = Simulation(1, config(step("virusscan", timeout=6)))
    sim.world.script = [""]
    sim.start()
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    monkeypatch.setattr(LogReader, "silent_for", property(lambda _: 5.0))
    sim.kernel.run_until(9.0)
    assert sim.journal.marks(Kind.RETRY, "up-1") == []
    monkeypatch.undo()
    sim.kernel.run_until(11.0)
    assert len(sim.journal.marks(Kind.RETRY, "up-1")) == 1
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()


def test_nothing_is_created_without_the_lease() -> None:
    """A create has nothing to compare with: whoever has lost the shard would bring a removed upload back."""
    sim = Simulation(1, config(step("virusscan")))
    process = sim.start()
    sim.kernel.run_until(1.0)
    process.faults.away = True
    sim.world.upload("up-1")
    sim.kernel.run_until(4.4)
    assert process.candidate is not None
    assert process.candidate.ownership is not None
    process.candidate.ownership._lease._renewed_at = float("-inf")
    for lease in sim.server.leases.values():
        lease["spec"] |= {"holderIdentity": "somebody else", "renewTime": "2026-10-02T08:00:04Z"}
    process.faults.away = False
    sim.kernel.run_until(6.0)
    assert sim.server.resources == {}, sim.trace.text()
    process.machine.kill()
    sim.kernel.run_until(6.1)


def test_a_removed_resource_is_not_taken_up_again_because_the_watch_is_late() -> None:
    sim = Simulation(1, config(step("virusscan"), ttl=5))
    process = sim.start()
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(1.02)
    earlier = sim.server.resources["up-1"]
    sim.kernel.run_until(20.0)
    assert process.candidate is not None
    assert process.candidate.ownership is not None
    process.machine.loop.call_soon(process.candidate.ownership._on_watch, "MODIFIED", earlier)
    sim.kernel.run_until(21.0)
    assert process.candidate.ownership._uploads.by_id("up-1") is None
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    assert len(sim.journal.records) == 5, result.report()


def test_whoever_hands_over_starts_nothing_because_of_an_answer_he_does_not_read() -> None:
    sim = Simulation(1, config(step("virusscan", timeout=3)))
    sim.world.script = [""]
    process = sim.start(ApiFaults(stuck="up-1"))
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(2.0)
    process.terminate()
    sim.kernel.run_until(2.1)
    answer = step_finished("up-1", "virusscan", "continue")
    sim.journal.publish("PostprocessingStepFinished", answer)
    sim.kernel.run_until(15.0)
    assert sim.journal.marks(Kind.RETRY, "up-1") == []
    sim.start()
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    assert len(sim.journal.marks(Kind.START, "up-1")) == 1, result.report()


@pytest.mark.parametrize("seed", range(10))
def test_a_listing_that_is_older_than_a_resource_does_not_make_it_forgotten(seed: int) -> None:
    sim = Simulation(seed, config(step("virusscan")))
    sim.world.script = [""]
    process = sim.start(ApiFaults(stuck="up-1", slow_lists=1.0))
    sim.kernel.run_until(29.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(30.3)
    process.faults.stuck = ""
    sim.kernel.run_until(40.0)
    assert process.candidate is not None
    assert process.candidate.ownership is not None
    tracked = process.candidate.ownership._uploads.by_id("up-1")
    assert tracked is not None
    assert tracked.version > 0, "forgotten, and taken up again from the watch"
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
