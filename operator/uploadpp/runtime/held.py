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
from uploadpp.wire.marks import Marks


@dataclass(frozen=True, slots=True)
class Held:
    """A command decided during replay; `entry` is None when the upload is not known."""

    entry: Entry | None
    command: Command
    outgoing: Outgoing
    slot: Slot | None


def hold(kept: dict[str, Held], held: Held) -> None:
    """Keep a command until the replay is over.

    It may have been decided before, by another plan than the one that an event of ours has told since.
    """
    earlier = kept.get(held.outgoing.event_id)
    if earlier is not None and earlier.entry is not None and earlier.entry is held.entry:
        earlier.entry.unpublished -= 1
    kept[held.outgoing.event_id] = held


def sift(held: Collection[Held], now: Millis, marks: Marks) -> list[Held]:
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
    for entry, gone in dropped.items():
        entry.upload = recount(entry.upload, gone, staying[entry])
    return [_renumbered(each, each.entry, now, marks) if each.entry in dropped else each for each in kept]


def _renumbered(held: Held, entry: Entry, now: Millis, marks: Marks) -> Held:
    mark = renumbered(entry.upload, held.command.mark)
    if mark == held.command.mark:
        return held
    command = evolve(held.command, mark=mark)
    outgoing = encode(command, entry.upload.id, entry.upload, now, None, marks)
    return replace(held, command=command, outgoing=outgoing)
