"""An interrupt is one, wherever it hits and however often its signal is sent."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from kubectl_pp import interrupts
from kubectl_pp.change import Interrupt
from kubectl_pp.cli import COMPLETE, main
from kubectl_pp.errors import ExitCode, MissingError
from kubectl_pp.interrupts import INTERRUPTS
from kubectl_pp.verbs import version

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "error", [RuntimeError("release unlocked lock"), MissingError("gone"), OSError(), KeyError()], ids=repr
)
def test_what_comes_of_an_interrupt_is_no_bug(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    error: Exception,
) -> None:
    def run(_: object) -> int:
        try:
            send(number)
        except KeyboardInterrupt:
            raise error from None
        return 0

    monkeypatch.setattr(version, "run", run)
    assert main(["version"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr() == ("", "\n")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_comes_while_the_process_exits_changes_nothing(number: signal.Signals) -> None:
    INTERRUPTS.listen()
    INTERRUPTS.rest()
    send(number)


def test_the_same_error_without_an_interrupt_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> int:
        raise RuntimeError

    monkeypatch.setattr(version, "run", run)
    assert main(["version"]) == ExitCode.UNAVAILABLE
    assert "please report this as a bug" in capsys.readouterr().err


def test_a_signal_sent_twice_is_one_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """`timeout` does that. The second one hit the clean-up after the first."""
    monkeypatch.setattr(interrupts, "SAME_SECONDS", 60.0)
    cleaned = []

    def run(_: object) -> int:
        try:
            send(signal.SIGINT)
        finally:
            send(signal.SIGINT)
            send(signal.SIGTERM)
            cleaned.append(True)
        return 0

    monkeypatch.setattr(version, "run", run)
    assert main(["version"]) == ExitCode.INTERRUPTED
    assert cleaned


def test_a_change_that_waits_for_its_requests_is_not_ended_by_the_second_of_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupts, "SAME_SECONDS", 60.0)
    stop = threading.Event()
    INTERRUPTS.listen()
    with Interrupt(stop) as interrupt:
        send(signal.SIGINT)
        send(signal.SIGINT)
        assert interrupt.came
        monkeypatch.setattr(interrupts, "SAME_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_completion_that_is_interrupted_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kubectl_pp.completing._candidates", lambda *_: send(signal.SIGINT))
    assert main([COMPLETE, "status", ""]) == ExitCode.INTERRUPTED
    assert capsys.readouterr() == ("", "\n")


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    INTERRUPTS.listen()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
