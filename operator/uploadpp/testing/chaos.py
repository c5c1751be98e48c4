"""What goes wrong in a run, chosen by its seed: crashes, pauses, outages, lost and repeated messages."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from uploadpp.core.naming import resource_name
from uploadpp.testing.apiclient import ApiFaults
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.services import Behaviour, sicknesses
from uploadpp.testing.simulation import LONGEST_SECONDS, LONGEST_WITH_BREAKERS_SECONDS, Simulation
from uploadpp.testing.user_actions import UserActions

TROUBLED_SECONDS = 40.0
NORMAL_LAG = 0.001
MOST_CRASHES = 3
UPLOADS = ("up-1", "up-2", "Up_3")


class Chaos:
    """Arranges one run."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._random = sim.random
        self._crashes = self._random.choice([0, 0, 1, 1, 2, MOST_CRASHES])
        self._base = ApiFaults()
        self._calm = False
        self._forgetful = self._random.random() < 0.08  # noqa: PLR2004 -- a share of the runs

    def run(self) -> None:
        """The whole run, from the first start to the last rest."""
        sim, random = self._sim, self._random
        sim.world.behaviour = self._behaviour()
        if random.random() < 0.5:  # noqa: PLR2004
            self._base = self._api_faults()
        sim.world.sick = sicknesses(sim.seed, list(sim.config.breaker_after), TROUBLED_SECONDS)
        self._start()
        for upload in UPLOADS[: random.choice([1, 1, 2, 3])]:
            at = random.uniform(0, TROUBLED_SECONDS / 2)
            sim.kernel.after(at, partial(sim.world.upload, upload, file=sim.shared_file))
        people = UserActions(sim)
        for _ in range(random.choice([0, 0, 1, 2, 4])):
            sim.kernel.after(random.uniform(0, TROUBLED_SECONDS), people.act)
        for _ in range(random.choice([0, 1, 1, 2, 4])):
            trouble = random.choice(self._troubles())
            sim.kernel.after(random.uniform(0, TROUBLED_SECONDS), self._strike, trouble)
        sim.disturb(TROUBLED_SECONDS + 1)
        sim.kernel.run_until(TROUBLED_SECONDS)
        self._end_of_trouble()
        sim.settle(LONGEST_WITH_BREAKERS_SECONDS if sim.config.breaker_after else LONGEST_SECONDS)

    # -- who runs -------------------------------------------------------------------------

    def _start(self) -> None:
        sim, random = self._sim, self._random
        process = sim.start(replace(self._base))
        process.client.survives = random.random() < 0.5  # noqa: PLR2004
        if self._crashes > 0 and not self._calm:
            self._crashes -= 1
            process.machine.crash_at = random.randint(1, random.choice([10, 40, 80]))
            process.machine.on_crash = self._restart

    def _restart(self) -> None:
        self._sim.disturb(1)
        outage = self._random.choice([0.2, 2.0, 20.0, 20.0, 200.0])
        seconds = outage * self._random.uniform(0.5, 1.5)
        self._sim.disturb(seconds)
        self._sim.kernel.after(seconds, self._start)

    def _one(self) -> OperatorProcess | None:
        running = self._sim.running
        return self._random.choice(running) if running else None

    # -- what goes wrong ------------------------------------------------------------------

    def _troubles(self) -> list[Callable[[OperatorProcess], None]]:
        found = [
            self._pause, self._pause, self._standby, self._replace, self._api_away, self._disconnect,
            self._redeliver, self._lag, self._clock, self._kill, self._one_stuck, self._refuse, self._refuse,
        ]  # fmt: skip
        return [*found, self._lose_tail, self._recreate] if self._forgetful else found

    def _strike(self, trouble: Callable[[OperatorProcess], None]) -> None:
        process = self._one()
        if process is not None and not self._calm:
            self._sim.trace.add("trouble", f"{trouble.__name__.strip('_')} {process.machine.name}")
            trouble(process)

    def _for_a_while(self, seconds: float, undo: Callable[[], None]) -> None:
        self._sim.disturb(seconds)
        self._sim.kernel.after(seconds, undo)

    def _kill(self, process: OperatorProcess) -> None:
        process.machine.on_crash = self._restart
        process.machine.kill()

    def _pause(self, process: OperatorProcess) -> None:
        process.machine.loop.pause()
        if self._random.random() < 0.7:  # noqa: PLR2004
            self._start()
        self._for_a_while(self._random.choice([3.0, 14.0, 25.0, 150.0]), lambda: self._wake(process))

    def _wake(self, process: OperatorProcess) -> None:
        if process.machine.loop.paused:
            self._sim.trace.add("trouble", f"{process.machine.name} wakes up")
            process.machine.loop.resume()

    def _standby(self, _: OperatorProcess) -> None:
        self._start()

    def _replace(self, process: OperatorProcess) -> None:
        process.terminate()
        self._start()

    def _api_away(self, process: OperatorProcess) -> None:
        process.faults.away = True

        def back() -> None:
            process.faults.away = False

        self._for_a_while(self._random.choice([2.0, 10.0, 30.0]), back)

    def _refuse(self, process: OperatorProcess) -> None:
        """The API server answers and takes nothing of a kind, from any process, for a while."""
        what = self._random.choice(["POST", "POST", "PATCH status", "PATCH", "DELETE"])
        self._sim.checks.refused.add(what)
        self._base.refused = what
        for each in self._sim.running:
            each.faults.refused = what

        def over() -> None:
            self._base.refused = ""
            for each in self._sim.processes:
                each.faults.refused = ""

        self._for_a_while(self._random.choice([2.0, 10.0, 30.0]), over)
        del process

    def _one_stuck(self, process: OperatorProcess) -> None:
        process.faults.stuck = resource_name(self._random.choice(UPLOADS))
        process.faults.stuck_answered = self._sim.seed % 2 == 1
        self._sim.checks.refused.add(process.faults.stuck)

    def _disconnect(self, process: OperatorProcess) -> None:
        process.client.disconnect()
        self._for_a_while(self._random.choice([0.5, 5.0, 20.0]), process.client.reconnect)

    def _redeliver(self, _: OperatorProcess) -> None:
        for consumer in list(self._sim.stream.consumers.values()):
            self._sim.stream.redeliver(consumer)

    def _lag(self, process: OperatorProcess) -> None:
        process.machine.lag = self._random.choice([0.02, 0.2, 1.0])

    def _clock(self, process: OperatorProcess) -> None:
        process.machine.jump = self._random.choice([-30.0, -3.0, 3.0, 30.0])

    def _lose_tail(self, _: OperatorProcess) -> None:
        """The server comes back with less than it acknowledged; every connection breaks."""
        for process in self._sim.running:
            process.client.disconnect()
            self._for_a_while(self._random.uniform(0.5, 3.0), process.client.reconnect)
        lost = self._sim.stream.lose_tail(self._random.randint(1, 6))
        self._sim.trace.add("stream", f"lost its last {lost} messages")

    def _recreate(self, _: OperatorProcess) -> None:
        self._sim.stream.recreate()

    # -- how it ends ----------------------------------------------------------------------

    def _end_of_trouble(self) -> None:
        """Whatever is still wrong is put right; what is on its way still happens."""
        self._calm = True
        self._sim.trace.add("trouble", "is over")
        for process in self._sim.processes:
            for name in ApiFaults.__slots__:
                setattr(process.faults, name, getattr(ApiFaults(), name))
            process.machine.crash_at = None
            process.machine.lag, process.machine.jump = NORMAL_LAG, 0.0
            self._wake(process)
            if not process.client.is_connected:
                process.client.reconnect()
        self._base = ApiFaults()
        if not self._sim.running:
            self._start()

    # -- by chance ------------------------------------------------------------------------

    def _behaviour(self) -> Behaviour:
        random = self._random
        if random.random() < 0.3:  # noqa: PLR2004
            return Behaviour(twice=random.choice([0.0, 1.0]))
        return Behaviour(
            outcomes={"continue": 10, "retry": 3, "abort": 1, "delete": 1, "what?": 0.5, "": 1},
            twice=random.choice([0.0, 0.3]),
            late=random.choice([0.0, 0.2]),
            release_fails=random.choice([0.0, 0.3]),
            ready_lost=random.choice([0.0, 0.3]),
            url_seconds=random.choice([0.0, 0.0, 0.0, 15.0]),
        )

    def _api_faults(self) -> ApiFaults:
        random = self._random
        return ApiFaults(
            too_many=random.choice([0.0, 0.1]),
            failed=random.choice([0.0, 0.15]),
            unanswered=random.choice([0.0, 0.15]),
            slow_lists=random.choice([0.0, 0.5]),
            watch_dropped=random.choice([0.0, 0.5]),
            watch_twice=random.choice([0.0, 0.5]),
            watch_late=random.choice([0.0, 0.5]),
        )
