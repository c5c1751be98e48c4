"""A message that ends every owner is passed over by the third; all other uploads finish (docs/adr/0026)."""

import asyncio
import re
from base64 import b64encode

import pytest

from uploadpp.pipeline import router
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import upload_ready
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.trace import logged_in
from uploadpp.wire import decode as wire
from uploadpp.wire.reader import LogReader

POISON = b64encode(b'{"UploadID":"poiso')
TWO = config(step("virusscan"), step("policies"))
STALLED_SECONDS = 40.0


class World(Simulation):
    """Processes that do not survive a message; each that ends is followed by another one."""

    def __init__(self, seed: int, pod: str) -> None:
        super().__init__(seed, TWO)
        self.pod = pod
        self.ends = 0

    def begin(self) -> OperatorProcess:
        process = self.start()
        process.poison = POISON
        return process

    def end(self, how: str) -> None:
        loop = asyncio.get_running_loop()
        process = next(each for each in self.processes if each.machine.loop is loop)
        self.ends += 1
        self.disturb(STALLED_SECONDS + 30)
        self.kernel.after(1.0, self.begin)
        if how == "stall":
            process.machine.loop.pause()
            self.kernel.after(STALLED_SECONDS, process.machine.kill)
        else:
            process.machine.kill()
        raise asyncio.CancelledError


@pytest.mark.parametrize("how", ["crash", "stall"])
@pytest.mark.parametrize("pod", ["", "one-pod"])
@pytest.mark.parametrize("seed", range(5))
def test_the_third_owner_passes_over_it(
    how: str, pod: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = World(seed, pod)

    def decode(data: bytes, *others: object) -> object:
        if POISON in data:
            sim.end(how)
        return wire.decode(data, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(router, "decode", decode)
    with logged_in(sim.trace):
        sim.begin()
        sim.kernel.run_until(2.0)
        sim.world.upload("up-1")
        sequence = sim.stream.last + 1
        sim.journal.publish("UploadReady", upload_ready("poison"))
        sim.world.upload("up-2")
        sim.settle()
        ends = sim.ends
        sim.world.upload("up-3")
        sim.kernel.run_until(sim.kernel.now + 1.0)
        # Once the stream has the acknowledgement, nobody meets it again.
        sim.running[-1].machine.kill()
        sim.begin()
        sim.settle()
        result = sim.result()
    assert not result.violations, result.report()
    assert ends == sim.ends == 2
    assert re.findall(r"MessageSetAside: .* sequence (\d+)", sim.trace.text()) == [str(sequence)]


@pytest.mark.parametrize("seed", range(20))
def test_chance_kills_set_nothing_aside(seed: int) -> None:
    sim = Simulation(seed, TWO)
    with logged_in(sim.trace):
        sim.start()
        sim.kernel.run_until(2.0)
        for number in range(5):
            sim.world.upload(f"up-{number}")
        for _ in range(4):
            sim.kernel.run_until(sim.kernel.now + sim.random.uniform(0.01, 0.5))
            sim.running[-1].machine.kill()
            sim.start()
            sim.kernel.run_until(sim.kernel.now + 15.0)
        sim.settle()
        result = sim.result()
    assert not result.violations, result.report()
    assert "set aside" not in sim.trace.text()


def test_a_stall_that_ends_the_session_and_not_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's heartbeats were not heard for too long, so each ownership was released in good order."""
    sim = World(1, "")
    handler = LogReader._on_message

    async def stalled(self: LogReader, message: object) -> None:
        if POISON in message.data:  # type: ignore[attr-defined]
            rehearsing = sim.running[0].candidates[0]._lease.unfinished >= 2  # type: ignore[union-attr]
            if not rehearsing:
                sim.ends += 1
                self._fail("no heartbeat from the consumer")
                return
        await handler(self, message)  # type: ignore[arg-type]

    monkeypatch.setattr(LogReader, "_on_message", stalled)
    with logged_in(sim.trace):
        sim.begin()
        sim.kernel.run_until(2.0)
        sim.journal.publish("UploadReady", upload_ready("poison"))
        sim.world.upload("up-1")
        sim.settle()
        result = sim.result()
    assert not result.violations, result.report()
    assert sim.ends == 2
