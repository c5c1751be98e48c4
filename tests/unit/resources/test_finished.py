"""Calling back uploads that are over: one never stops the others."""

import asyncio
from typing import Any, cast

import pytest

from tests.unit.resources.test_event_handler import Side, driven
from uploadpp.core.inputs import Resume
from uploadpp.core.model import Millis
from uploadpp.kube.errors import UnavailableError
from uploadpp.resources import finished
from uploadpp.wire.decode import Event


async def test_s2_one_upload_never_keeps_the_others_from_being_called_back() -> None:
    side, done = Side(), asyncio.Event()
    acks = side.acks
    side.finished.expect_more()
    messages = {name: acks.add(number, number) for number, name in enumerate(("a", "broken", "c"), start=1)}

    class Store:
        async def get(self, name: str) -> dict[str, Any]:
            if name == "broken":
                raise KeyError("not foreseen")
            if name == "c":
                done.set()
            return driven(name, name)

    for number, (name, message) in enumerate(messages.items(), start=1):
        event = Event(name, Resume(), f"event-{number}")
        assert side.finished.defer(event, number, Millis(0), message)
        acks.release(message)
    running = asyncio.create_task(side.finished.run(cast("Any", Store()), side.inputs, side.router))
    await asyncio.wait_for(done.wait(), 10)
    await asyncio.wait_for(side.finished.settled(), 10)
    assert not running.done()
    running.cancel()
    assert (side.owner("a"), side.owner("broken"), side.owner("c")) == ("a", "", "c")
    assert messages["broken"].open == 0, "it keeps no message from being acknowledged"


async def test_slow_and_unreadable_ones_keep_nobody_from_being_called_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that hangs, and one that always fails, of more uploads than are read at a time."""
    monkeypatch.setattr(finished, "AT_ONCE", 2)
    monkeypatch.setattr(finished, "SETTLE_SECONDS", 0.05)
    side, done, released = Side(), asyncio.Event(), asyncio.Event()
    acks = side.acks
    side.finished.expect_more()
    names = ["slow", "unreadable", *(f"n{number}" for number in range(20))]

    class Store:
        async def get(self, name: str) -> dict[str, Any]:
            if name == "slow":
                await released.wait()
            if name == "unreadable" and not released.is_set():
                raise UnavailableError("500")
            if name == "n19":
                done.set()
            return driven(name, name)

    for number, name in enumerate(names, start=1):
        message = acks.add(number, number)
        assert side.finished.defer(Event(name, Resume(), f"event-{number}"), number, Millis(0), message)
        acks.release(message)
    running = asyncio.create_task(side.finished.run(cast("Any", Store()), side.inputs, side.router))
    await asyncio.wait_for(done.wait(), 10)
    await asyncio.wait_for(side.finished.settled(), 10)
    assert [side.owner(name) for name in names] == ["", "", *names[2:]]
    assert len(acks) == len(names), "what could not be read is not acknowledged, nor is what is behind it"
    released.set()
    async with asyncio.timeout(10):
        while side.owner("unreadable") == "" or side.owner("slow") == "":  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
