"""Small worlds made for one question each; the operator is torn apart at every place there is."""

from collections.abc import Iterator
from functools import partial
from typing import Protocol

from uploadpp.core.config import Config
from uploadpp.core.states import DesiredState, OnExhausted
from uploadpp.testing.apiclient import ApiFaults
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import resume, step_finished
from uploadpp.testing.host import SimulatedHost
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.trace import logged_in

SHORT_SECONDS = 0.5
LONG_SECONDS = 300.0
"""Longer than the stream remembers ids."""
NAP_SECONDS = 25.0
"""Longer than a Lease lasts."""
TWO = config(step("virusscan"), step("policies"))
NEVER = 0

CASES: dict[str, tuple[Config, tuple[str, ...]]] = {
    "two steps pass": (TWO, ("continue", "continue")),
    "no steps": (config(), ()),
    "a step is retried": (TWO, ("retry", "continue", "continue")),
    "retries are used up": (config(step("virusscan", retries=1)), ("retry", "retry")),
    "held when used up": (config(step("virusscan", retries=0, policy=OnExhausted.HOLD)), ("retry",)),
    "abort": (TWO, ("continue", "abort")),
    "delete": (TWO, ("delete",)),
    "a step never answers": (TWO, ("continue", "")),
    "a step times out once": (config(step("virusscan", timeout=3)), ("", "continue")),
    "a delay": (config(step("virusscan"), step("delay")), ("continue",)),
    "resumed": (TWO, ("", "")),
    "announced afresh": (TWO, ("continue", "", "continue", "continue")),
    "cleaned, then announced while suspended": (config(step("virusscan"), ttl=1_000), ("", "continue")),
    "kept for long": (config(step("virusscan"), step("policies"), ttl=1_000), ("retry", "continue")),
}

PUT_BACK: dict[str, tuple[Config, tuple[str, ...]]] = {
    "a step is retried": (config(step("virusscan"), step("policies"), ttl=1_000), ("retry", "continue")),
    "abort": (config(step("virusscan"), step("policies"), ttl=1_000), ("continue", "abort")),
    "held when used up": (config(step("virusscan", retries=0, policy=OnExhausted.HOLD)), ("retry",)),
}
"""What is over is kept, so that nothing is removed before a store is put back that has it."""


def one_upload(  # noqa: PLR0913 -- each is a fault of its own
    case: str,
    *,
    crash_at: int = NEVER,
    pause_at: int = NEVER,
    seconds: float = SHORT_SECONDS,
    survives: bool = True,
    pod: str = "",
    places: int | None = None,
) -> Result:
    """One upload and one fault: a crash, or a pause during which another process takes over."""
    plan, answers = CASES[case]
    sim = Simulation(1, plan)
    sim.pod, sim.stream.places = pod, places
    sim.world.script = list(answers)
    with logged_in(sim.trace):
        first = sim.start()
        machine = first.machine
        first.client.survives = survives
        tear(sim, machine, crash_at=crash_at, pause_at=pause_at, down=seconds, nap=seconds)
        sim.kernel.run_until(1.0)
        sim.world.upload("up-1")
        _ask(sim, case)
        sim.settle()
        return sim.result()


def tear(
    sim: Simulation, machine: SimulatedHost, *, crash_at: int, pause_at: int, down: float, nap: float
) -> None:
    """Crash a machine at a boundary, or pause it at one; 0 is for never. Another process follows.

    It follows `down` seconds after the crash; the pause lasts `nap` seconds.
    """
    machine.crash_at, machine.pause_at = crash_at, pause_at
    machine.on_crash = lambda: sim.restart_after(down)

    def on_pause() -> None:
        sim.restart_after(SHORT_SECONDS)
        sim.disturb(nap)
        sim.kernel.after(nap, machine.loop.resume)

    machine.on_pause = on_pause


def _ask(sim: Simulation, case: str) -> None:
    """What else happens in a case."""
    later = sim.kernel.after
    if case == "resumed":
        later(3.0, sim.journal.publish, "ResumePostprocessing", resume("up-1"))
    elif case == "announced afresh":
        later(3.0, sim.world.announce, "up-1")
    elif case == "cleaned, then announced while suspended":

        def want(desired: DesiredState) -> None:
            if "up-1" in sim.server.resources:
                sim.server.edit("person", "up-1", desiredState=desired.value)

        later(2.0, sim.journal.publish, "CleanUpload", {"UploadID": "up-1"})
        later(2.5, want, DesiredState.SUSPENDED)
        later(3.0, sim.world.announce, "up-1")
        later(40.0, want, DesiredState.ACTIVE)


def crashes(case: str, seconds: float, pod: str = "", places: int | None = None) -> Iterator[Result]:
    """A crash at every boundary, with and without what was just sent still arriving."""

    def crashed(crash_at: int, *, survives: bool) -> Result:
        return one_upload(case, crash_at=crash_at, seconds=seconds, survives=survives, pod=pod, places=places)

    return with_and_without(crashed, one_upload(case, places=places).boundaries)


class Crashed(Protocol):
    """A run with a crash at a boundary; `survives` is whether what was just sent still arrives."""

    def __call__(self, crash_at: int, *, survives: bool) -> Result:
        """Run it."""


def with_and_without(crashed: Crashed, boundaries: int) -> Iterator[Result]:
    """A crash at every boundary, with and without what was just sent; both are the same if nothing was."""
    for crash_at in range(1, boundaries + 1):
        result = crashed(crash_at, survives=True)
        yield result
        if result.was_cut_off:
            yield crashed(crash_at, survives=False)


def pauses(case: str, seconds: float, pod: str = "", places: int | None = None) -> Iterator[Result]:
    """A pause at every boundary: who wakes up finds another owner."""
    for pause_at in range(1, one_upload(case, places=places).boundaries + 1):
        yield one_upload(case, pause_at=pause_at, seconds=seconds, pod=pod, places=places)


def store_put_back(case: str, copied_at: float, back_at: float, *, works: bool) -> Result:
    """The store goes back to an older copy, while the operator works or between two of them."""
    plan, answers = PUT_BACK[case]
    sim = Simulation(1, plan)
    sim.world.script = list(answers)

    def back() -> None:
        if not works:
            first.machine.kill()
            sim.restart_after(SHORT_SECONDS)
        sim.server.put_back(copy)

    with logged_in(sim.trace):
        first = sim.start()
        sim.kernel.run_until(1.0)
        sim.world.upload("up-1")
        sim.kernel.run_until(copied_at)
        copy = sim.server.copy()
        sim.kernel.after(2.0, sim.world.upload, "up-2")
        sim.kernel.run_until(back_at)
        back()
        sim.disturb(1)
        sim.settle()
        return sim.result()


def stray_answer_in_the_backlog() -> Iterator[Result]:
    """While the operator is unavailable, a step answers that nobody has started yet."""
    sim = Simulation(1, TWO)
    with logged_in(sim.trace):
        sim.kernel.run_until(1.0)
        sim.world.upload("up-1")
        for name in ("virusscan", "policies"):
            answer = step_finished("up-1", name, "continue")
            sim.journal.publish("PostprocessingStepFinished", answer)
        sim.start()
        sim.settle()
        yield sim.result()


def one_upload_cannot_be_stored() -> Iterator[Result]:
    """It holds the log back while another one ends and is due for removal; then the operator dies."""
    sim = Simulation(1, config(step("virusscan"), ttl=5))
    with logged_in(sim.trace):
        first = sim.start(ApiFaults(stuck="up-1"))
        sim.kernel.run_until(1.0)
        sim.world.upload("up-1")
        sim.world.upload("up-2")
        sim.kernel.run_until(30.0)
        first.machine.kill()
        sim.restart_after(LONG_SECONDS)
        sim.settle()
        yield sim.result()


def rollout(before: Config, after: Config) -> Iterator[Result]:
    """One upload, and the operator killed at every boundary and started again with other settings."""
    crashed = partial(_rolled_out, before, after)
    return with_and_without(crashed, _rolled_out(before, after).boundaries)


def _rolled_out(before: Config, after: Config, crash_at: int = NEVER, *, survives: bool = True) -> Result:
    sim = Simulation(1, before)
    with logged_in(sim.trace):
        first = sim.start()
        sim.configs = (after,)
        first.client.survives = survives
        first.machine.crash_at = crash_at
        first.machine.on_crash = lambda: sim.restart_after(LONG_SECONDS)
        sim.kernel.run_until(1.0)
        sim.world.upload("up-1")
        sim.settle()
        return sim.result()
