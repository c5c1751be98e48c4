"""Messages that end a process are found in copies of it, and only those."""

import asyncio
import ctypes
import hashlib
import logging
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable

import pytest
from prometheus_client import Counter

from uploadpp.core.commands import Notice
from uploadpp.core.model import Millis
from uploadpp.pipeline import rehearsal
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.rehearsal import CHUNK, Rehearsal, rehearse
from uploadpp.wire.stream_message import StreamMessage

POISON = b"poison"


def raw(sequence: int, data: bytes = b"{}", pending: int = 0) -> StreamMessage:
    return StreamMessage(sequence, Millis(0), sequence, pending, data)


def nothing() -> None:
    """What is called while a child works."""


def endless() -> None:
    while True:
        pass


def hoard() -> None:
    kept = mmap.mmap(-1, 64 << 20)  # new memory, not what the heap of the test process has left
    for page in range(0, len(kept), mmap.PAGESIZE):
        kept[page] = 1


ENDS: dict[str, Callable[[], object]] = {
    "os._exit": lambda: os._exit(3),
    "os._exit(0)": lambda: os._exit(0),
    "sys.exit": sys.exit,
    "a crash in C": lambda: ctypes.string_at(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "an endless loop": endless,
    "a wait": lambda: time.sleep(3600),
    "much memory": hoard,
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "CPU_SECONDS", 0.3)
    monkeypatch.setattr(rehearsal, "STILL_SECONDS", 2.0)
    monkeypatch.setattr(rehearsal, "GREEDY_KB", 32 * 1024)


WHERE = [(end, 2) for end in ENDS] + [("os._exit(0)", 0), ("os._exit(0)", 4)]


@pytest.mark.parametrize(("end", "at"), WHERE)
async def test_what_ends_a_process_is_found(end: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if end != "a wait":  # on a busy machine a child may not get a processor for seconds
        monkeypatch.setattr(rehearsal, "STILL_SECONDS", 60.0)

    def process(message: StreamMessage) -> None:
        if message.data == POISON:
            ENDS[end]()

    messages = [raw(each, POISON if each == at else b"{}") for each in range(5)]
    assert await rehearse(messages, process, nothing) == at


async def test_what_ends_a_copy_once_by_chance_is_sound() -> None:
    with mmap.mmap(-1, mmap.PAGESIZE) as killed:

        def process(message: StreamMessage) -> None:
            if message.sequence == 3 and killed[0] == 0:
                killed[0] = 1
                os.kill(os.getpid(), signal.SIGKILL)

        assert await rehearse([raw(each) for each in range(5)], process, nothing) is None


async def test_a_copy_changes_nothing_here_and_has_a_loop() -> None:
    seen: list[int] = []

    def process(message: StreamMessage) -> None:
        asyncio.get_running_loop().call_soon(nothing)
        logging.getLogger(__name__).error("not said twice")
        seen.append(message.sequence)
        if len(seen) > 2:
            os._exit(1)

    assert await rehearse([raw(1), raw(2)], process, nothing) is None
    assert seen == []


async def test_no_copy_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a limit of processes: then messages are processed as ever."""

    def refuse() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", refuse)
    assert await rehearse([raw(1, POISON)], lambda _: os._exit(1), nothing) is None


async def test_the_child_ends_with_who_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[int] = []
    fork = os.fork

    def counted() -> int:
        children.append(fork())
        return children[-1]

    def process(_: StreamMessage) -> None:
        time.sleep(3600)

    monkeypatch.setattr(os, "fork", counted)

    waiting = asyncio.Event()
    task = asyncio.create_task(rehearse([raw(1)], process, waiting.set))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ChildProcessError):
        os.waitpid(children[0], os.WNOHANG)  # noqa: ASYNC222 -- it does not wait


class Stage:
    """A rehearsal with a predicate in place of children."""

    def __init__(self) -> None:
        self.acks = AckTracker()
        self.acks.start("main-queue@1", 0)
        self.counter = Counter("set_aside", "For this test.", registry=None)
        self.told: list[Notice] = []
        self.done: list[int] = []
        self.runs = 0
        self.rehearsal = Rehearsal(self._run, self._process, self.acks, self.counter, self.told.append)

    async def _run(self, messages: object, process: object, waiting: object) -> int | None:
        del process, waiting
        assert isinstance(messages, list)
        self.runs += 1
        return next((number for number, each in enumerate(messages) if each.data == POISON), None)

    def _process(self, message: StreamMessage) -> None:
        assert message.data != POISON
        self.done.append(message.sequence)
        self.acks.release(self.acks.add(message.sequence, message.delivered))


async def test_all_others_are_processed_in_order_and_all_are_acknowledged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    bad, last = {3, 4, CHUNK + 7}, CHUNK + 20
    for sequence in range(1, last + 1):
        message = raw(sequence, POISON if sequence in bad else b"{}", last - sequence)
        await stage.rehearsal.take(message, nothing)
    assert stage.done == [each for each in range(1, last + 1) if each not in bad]
    assert stage.acks.take_ack() == (last, last)
    assert stage.rehearsal.last == CHUNK + 7
    assert len(stage.told) == len(bad)
    said = [record.__dict__ for record in caplog.records if record.levelno == logging.ERROR]
    assert [(each["sequence"], each["bytes"]) for each in said] == [(each, 6) for each in sorted(bad)]
    assert {each["sha256"] for each in said} == {hashlib.sha256(POISON).hexdigest()}
    assert f"sequence {CHUNK + 7}, bytes 6" in stage.told[-1].message


async def test_nothing_is_processed_before_it_was_rehearsed() -> None:
    stage = Stage()
    await stage.rehearsal.take(raw(1, pending=2), nothing)
    await stage.rehearsal.take(raw(2, pending=1), nothing)
    assert (stage.done, stage.runs) == ([], 0)
    await stage.rehearsal.take(raw(3), nothing)
    assert (stage.done, stage.runs) == ([1, 2, 3], 1)


async def test_what_waits_is_processed_if_the_last_message_was_removed_from_the_stream() -> None:
    stage = Stage()
    for sequence in (1, 2, 3):
        await stage.rehearsal.take(raw(sequence, pending=4 - sequence), nothing)
    await stage.rehearsal.finish(nothing)
    assert (stage.done, stage.acks.take_ack()) == ([1, 2, 3], (3, 3))


async def test_after_the_replay_no_message_waits_for_others() -> None:
    stage = Stage()
    await stage.rehearsal.finish(nothing)
    assert stage.rehearsal.is_over
    await stage.rehearsal.take(raw(1, pending=7), nothing)
    assert (stage.done, stage.runs) == ([1], 1)


async def test_a_message_that_comes_at_the_end_of_the_replay_is_processed_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage, sound = Stage(), asyncio.Event()

    async def slow(messages: object, process: object, waiting: object) -> None:
        del messages, process, waiting
        await sound.wait()

    monkeypatch.setattr(stage.rehearsal, "_run", slow)
    await stage.rehearsal.take(raw(1, pending=2), nothing)
    ending = asyncio.create_task(stage.rehearsal.finish(nothing))
    taking = asyncio.create_task(stage.rehearsal.take(raw(2, pending=1), nothing))
    await asyncio.sleep(0)
    assert stage.done == []
    sound.set()
    await asyncio.gather(ending, taking)
    assert stage.done == [1, 2]
