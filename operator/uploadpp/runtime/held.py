"""Commands decided during replay: what becomes of them once the log is read to its end (law 2.3)."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from uploadpp.core.commands import Command, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.core.replay import recount, renumbered, wanted
from uploadpp.runtime.entry import Entry
from uploadpp.runtime.ledger import Slot
from uploadpp.wire.encode import Outgoing, encode


@dataclass(frozen=True, slots=True)
class Held:
    """A command decided during replay; `entry` is None when the upload is not known."""

    entry: Entry | None
    command: Command
    outgoing: Outgoing
    slot: Slot | None


def sift(held: Collection[Held], now: Millis) -> list[Held]:
    """What is to be sent; what a later decision has replaced is taken back from its upload's counters."""
    kept: list[Held] = []
    dropped: dict[Entry, list[Mark]] = {}
    for each in held:
        entry = each.entry
        if entry is None or (not entry.gone and wanted(entry.upload, each.command)):
            kept.append(each)
        elif not entry.gone:
            entry.unpublished -= 1
            dropped.setdefault(entry, []).append(each.command.mark)
    if not dropped:
        return kept
    staying: dict[Entry, list[Mark]] = {entry: [] for entry in dropped}
    for each in kept:
        if each.entry in staying:
            staying[each.entry].append(each.command.mark)
    for entry, marks in dropped.items():
        entry.upload = recount(entry.upload, marks, staying[entry])
    return [_renumbered(each, each.entry, now) if each.entry in dropped else each for each in kept]


def _renumbered(held: Held, entry: Entry, now: Millis) -> Held:
    mark = renumbered(entry.upload, held.command.mark)
    if mark == held.command.mark:
        return held
    command = evolve(held.command, mark=mark)
    return replace(held, command=command, outgoing=encode(command, entry.upload.id, entry.upload, now))
