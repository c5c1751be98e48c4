"""Calling back uploads that are over: one never stops the others."""

import asyncio
from typing import Any, cast

from tests.unit.runtime.test_resources import Side, driven
from uploadpp.core.inputs import Resume
from uploadpp.core.model import Millis
from uploadpp.runtime.ledger import Ledger
from uploadpp.wire.decode import Event


async def test_s2_one_upload_never_keeps_the_others_from_being_called_back() -> None:
    side, ledger, done = Side(), Ledger(), asyncio.Event()
    side.archive._ledger = side.coordinator._ledger = ledger
    side.archive.complete = False
    slots = {name: ledger.add(number, number) for number, name in enumerate(("a", "broken", "c"), start=1)}

    class Store:
        async def get(self, name: str) -> dict[str, Any]:
            if name == "broken":
                raise KeyError("not foreseen")
            if name == "c":
                done.set()
            return driven(name, name)

    for number, (name, slot) in enumerate(slots.items(), start=1):
        event = Event(name, Resume(), f"event-{number}")
        assert side.archive.postpone(event, number, Millis(0), slot)
        ledger.settle(slot)
    running = asyncio.create_task(side.archive.run(cast("Any", Store()), side.inputs))
    await asyncio.wait_for(done.wait(), 10)
    await asyncio.wait_for(side.archive.settled(), 10)
    assert not running.done()
    running.cancel()
    assert (side.owner("a"), side.owner("broken"), side.owner("c")) == ("a", "", "c")
    assert slots["broken"].open == 0, "it keeps no message from being acknowledged"
