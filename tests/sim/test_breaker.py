"""A step that is not well for a while: no upload loses a retry, and all pass when it is well again."""

from collections import Counter

import pytest

from uploadpp.core import breaker as breaker_module
from uploadpp.core import transitions
from uploadpp.core.breaker import Breaker
from uploadpp.core.commands import Kind
from uploadpp.core.config import Config
from uploadpp.core.model import Millis, Upload
from uploadpp.core.rules import recovery
from uploadpp.pipeline.breakers import Breakers
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.configs import config, step
from uploadpp.testing.invariants import Invariant
from uploadpp.testing.scenarios import NAP_SECONDS, SHORT_SECONDS, tear
from uploadpp.testing.services import Sickness
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.trace import logged_in

UPLOADS = 5
SICK_SECONDS = 20.0
PLAN = config(step("virusscan", timeout=3), step("policies"), breakers={"virusscan": 2}, ttl=200)
LIMITED = config(step("virusscan", timeout=3), breakers={"virusscan": 2}, places={"virusscan": 1}, ttl=200)


def sick(
    *,
    word: str = "retry",
    plan: Config = PLAN,
    crash_at: int = 0,
    pause_at: int = 0,
    kill_after: float = 0,
    uploads: int = UPLOADS,
) -> Simulation:
    """Uploads that arrive while a step is not well, and a fault."""
    sim = Simulation(1, plan)
    sim.world.sick = [Sickness("virusscan", 0, SICK_SECONDS, word)]
    with logged_in(sim.trace):
        machine = sim.start().machine
        tear(sim, machine, crash_at=crash_at, pause_at=pause_at, down=SHORT_SECONDS, nap=NAP_SECONDS)
        sim.kernel.run_until(1.0)
        for number in range(uploads):
            sim.kernel.after(number * 0.3, sim.world.upload, f"up-{number}")
        if kill_after:
            machine.on_crash = lambda: sim.restart_after(SHORT_SECONDS)
            sim.kernel.after(kill_after, machine.kill)
        sim.disturb(SICK_SECONDS)
        sim.settle()
    return sim


def retries(sim: Simulation) -> dict[str, int]:
    """The retries that each upload has used, as its resource says."""
    uploads = [sim.checks.read(each) for each in sim.server.resources.values()]
    return {upload.id: upload.retry_count for upload in uploads}


def fails(sim: Simulation) -> str:
    """Why a run is wrong; empty when it is not."""
    released = {each.id for each in sim.world.sessions.values() if each.released}
    used = {upload: count for upload, count in retries(sim).items() if count}
    result = sim.result()
    wrong = bool(result.violations) or len(released) < len(sim.world.sessions) or bool(used)
    return f"released {released}, retries {used}\n{result.report()}" if wrong else ""


@pytest.mark.parametrize("word", ["retry", ""], ids=["retry", "silence"])
@pytest.mark.parametrize("plan", [PLAN, LIMITED], ids=["no limit", "one slot"])
def test_nobody_loses_a_retry_and_all_pass(word: str, plan: Config) -> None:
    sim = sick(word=word, plan=plan)
    assert not (text := fails(sim)), text
    text = sim.trace.text()
    assert text.count("BreakerOpened") == 1
    assert text.count("BreakerClosed") == 1
    starts = Counter(
        r.mark.detail for r in sim.journal.records if r.mark is not None and r.mark.kind is Kind.START
    )
    assert starts["virusscan"] <= UPLOADS + 2 + 8, "pauses grow"


def test_killed_at_every_boundary() -> None:
    for at in range(1, sick(uploads=2).result().boundaries + 1):
        assert not (text := fails(sick(crash_at=at, uploads=2))), f"killed at {at}: {text}"


def test_paused_at_every_boundary() -> None:
    for at in range(1, sick(uploads=2).result().boundaries + 1):
        assert not (text := fails(sick(pause_at=at, uploads=2))), f"paused at {at}: {text}"


def broken(result: Result) -> Counter[Invariant]:
    """How often each invariant was broken."""
    return Counter(violation.invariant for violation in result.violations)


def test_the_invariant_breaks_when_starts_are_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Breakers, "holds_back", lambda *_: False)
    assert broken(sick().result())[Invariant.ONE_PROBE] >= 1


def test_the_invariant_breaks_when_no_retry_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (transitions, recovery, breaker_module):
        monkeypatch.setattr(module, "given_back", lambda each: each)
    assert broken(sick().result())[Invariant.RETRIES_KEPT] >= 1


def test_a_new_owner_knows_that_it_is_open() -> None:
    sim = sick(kill_after=10.0)
    assert not (text := fails(sim)), text
    starts = [r.at for r in sim.journal.records if r.mark is not None and r.mark.kind is Kind.START]
    assert len([at for at in starts if 11.0 < at < SICK_SECONDS]) <= 1, (
        "one probe while the pause is this long"
    )


def test_the_invariant_breaks_when_a_new_owner_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = Breakers.moved

    def forgets(
        self: Breakers, tracked: TrackedUpload, before: Upload | None = None, *, live: bool = False
    ) -> None:
        if before is not None:
            moved(self, tracked, before, live=live)

    monkeypatch.setattr(Breakers, "moved", forgets)
    assert broken(sick(kill_after=10.0).result())[Invariant.BREAKER_KNOWN] >= 1


def test_the_invariant_breaks_when_no_probe_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Breaker, "pause", lambda *_: Millis(10**12))
    assert broken(sick().result())[Invariant.NO_UPLOAD_LOST] >= 1
