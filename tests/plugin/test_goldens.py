"""What a person sees, in narrow and wide terminals, with and without colour and UTF-8."""

import time
from collections.abc import Callable

import pytest

from tests.plugin.conftest import Golden, Plugin
from tests.plugin.resources import Writer, at
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import (
    BreakerOpened,
    CleanUpload,
    Granted,
    SpecChanged,
    StepFinished,
    Tick,
    UploadReady,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, StepPlan, Streak, Upload
from uploadpp.core.states import DesiredState, OnExhausted, OnTooLarge
from uploadpp.testing.builders import CONFIG

HOUR = Millis(3_600_000)
SLOW = Config(
    steps=(
        StepPlan(
            name="virusscan", backoff=HOUR, max_backoff=HOUR, on_exhausted=OnExhausted.HOLD, max_retries=2
        ),
        StepPlan(name="policies"),
    ),
)
SMALL = Config(
    steps=(
        StepPlan(name="virusscan", max_filesize=1_000, on_too_large=OnTooLarge.HOLD),
        StepPlan(name="policies"),
    ),
)
RETRY = StepFinished("virusscan", "retry", "clamd: connection refused")


def stalled(upload_id: str) -> Upload:
    """Three and a half hours without an answer."""
    running = at(upload_id, ago_minutes=210.5)
    found = decide(running, upload_id, Tick(), Millis(running.since + 600_000), CONFIG).upload
    assert found is not None
    return found


def held(upload_id: str) -> Upload:
    """Every attempt has failed."""
    quick = Config(steps=tuple(evolve(step, backoff=Millis(0), max_backoff=Millis(0)) for step in SLOW.steps))
    return at(upload_id, RETRY, Tick(), RETRY, Tick(), RETRY, ago_minutes=210.5, config=quick)


def unwell(upload_id: str) -> Upload:
    """The breaker of its step is open, and it was a probe."""
    opened = Millis(int(time.time() - 20.5 * 60) * 1000)
    streak = Streak(opened, opened, 3, opened)
    guarded = evolve(CONFIG, breaker_after={"virusscan": 3})
    why = "step virusscan is not well since 2026-10-02T08:15:30.000Z; one upload at a time tests it"
    told = (Granted(), StepFinished("virusscan", "retry", "no scanner", streak=streak))
    return at(upload_id, *told, BreakerOpened("virusscan", streak, why), ago_minutes=20.5, config=guarded)


STATES: dict[str, Callable[[str], Upload]] = {
    "stalled": stalled,
    "held": held,
    "backing-off": lambda name: at(name, RETRY, ago_minutes=20.5, config=SLOW),
    "aborted": lambda name: at(
        name,
        StepFinished("virusscan", "abort", "Eicar-Test-Signature"),
        UploadReady(failed=True),
        ago_minutes=210.5,
    ),
    "completed": lambda name: at(
        name,
        StepFinished("virusscan", "continue"),
        StepFinished("policies", "continue"),
        UploadReady(failed=False),
        ago_minutes=210.5,
        config=evolve(CONFIG, ttl_completed=Millis(24 * HOUR)),
    ),
    "cleaned": lambda name: at(name, CleanUpload(), ago_minutes=210.5),
    "too-large": lambda name: at(name, ago_minutes=210.5, config=SMALL),
    "queued": lambda name: at(name, ago_minutes=20.5, config=evolve(CONFIG, max_in_flight={"virusscan": 8})),
    "unwell": unwell,
    "suspended": lambda name: at(
        name,
        SpecChanged(Control(desired=DesiredState.SUSPENDED, generation=2)),
        StepFinished("virusscan", "continue"),
        ago_minutes=210.5,
    ),
}
LOOKS = {
    "plain": {"LC_ALL": "C"},
    "utf8": {},
    "color": {"color": "always"},
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_status_of_a_stuck_upload(
    pp: Plugin, writer: Writer, golden: Golden, columns: str, look: str
) -> None:
    writer.put(stalled("stuck-upload"))
    environment = dict(LOOKS[look])
    flags = [f"--color={environment.pop('color', 'never')}"]
    shown = pp("status", "stuck-upload", *flags, COLUMNS=columns, **environment)
    assert shown.code == 0, shown.err
    assert look != "plain" or shown.out.isascii()
    assert ("\x1b[" in shown.out) is (look == "color")
    assert max(map(len, shown.out.splitlines())) <= int(columns) or look == "color"
    golden(f"status-stalled-{columns}-{look}", shown.out)


@pytest.mark.parametrize("state", STATES)
def test_status_says_what_to_do(pp: Plugin, writer: Writer, golden: Golden, state: str) -> None:
    writer.put(STATES[state]("some-upload"))
    shown = pp("status", "some-upload", COLUMNS="80")
    assert shown.code == 0, shown.err
    assert "What you can do" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    golden(f"status-{state}", shown.out)


@pytest.mark.parametrize("columns", ["60", "120"])
def test_help_fits_the_terminal(pp: Plugin, golden: Golden, columns: str) -> None:
    for verb in ([], ["restart"]):
        shown = pp(*verb, "--help", COLUMNS=columns)
        assert shown.code == 0
        golden(f"help-{'-'.join(verb) or 'all'}-{columns}", shown.out)


def test_stats(pp: Plugin, writer: Writer, golden: Golden) -> None:
    for state, make in STATES.items():
        writer.put(make(f"{state}-upload"))
    shown = pp("stats", COLUMNS="80")
    golden("stats", "\n".join(line for line in shown.out.splitlines() if "-upload" not in line) + "\n")


def test_doctor_tells_alike_troubles_once(pp: Plugin, writer: Writer) -> None:
    writer.put_all([stalled(f"stuck-{i}") for i in range(7)])
    writer.put(STATES["held"]("held"))
    found = pp("doctor").out
    assert found.count("7 uploads are stuck in the same way; the oldest: stuck-") == 1
    assert "held has been stuck for " in found
    assert found.count("kubectl pp status ") == 2
