"""Commands decided during replay: what becomes of them once the log is read to its end (law 2.3)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from uploadpp.core.commands import Command
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.core.replay import recount, renumbered, wanted
from uploadpp.pipeline.acks import Slot
from uploadpp.pipeline.tracked_upload import Entry
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


def sift(
    held: Collection[Held], now: Millis, marks: Marks, failed: Callable[[Entry, Exception], None]
) -> list[Held]:
    """What is to be sent, in the order in which it was decided.

    `failed` is called for an upload about which our own code fails: nothing of it is sent.
    """
    kept: dict[int, Held] = {}
    of_entry: dict[Entry, dict[int, Held]] = {}
    for number, each in enumerate(held):
        if each.entry is None:
            kept[number] = each
        else:
            of_entry.setdefault(each.entry, {})[number] = each
    for entry, commands in of_entry.items():
        try:
            kept |= _sift(entry, commands, now, marks)
        except Exception as error:  # noqa: BLE001 -- told to `failed`
            failed(entry, error)
    return [kept[number] for number in sorted(kept)]


def _sift(entry: Entry, held: dict[int, Held], now: Millis, marks: Marks) -> dict[int, Held]:
    """What of one upload is to be sent; what a later decision has replaced no longer counts."""
    if entry.gone:
        return {}
    kept = {number: each for number, each in held.items() if wanted(entry.upload, each.command)}
    gone = [each.command.mark for number, each in held.items() if number not in kept]
    if not gone:
        return kept
    entry.unpublished -= len(gone)
    entry.upload = recount(entry.upload, gone, [each.command.mark for each in kept.values()])
    return {number: _renumbered(each, entry, now, marks) for number, each in kept.items()}


def _renumbered(held: Held, entry: Entry, now: Millis, marks: Marks) -> Held:
    mark = renumbered(entry.upload, held.command.mark)
    if mark == held.command.mark:
        return held
    command = evolve(held.command, mark=mark)
    outgoing = encode(command, entry.upload.id, entry.upload, now, None, marks)
    return replace(held, command=command, outgoing=outgoing)


def send_all(
    held: Collection[Held],
    now: Millis,
    marks: Marks,
    send: Callable[[Held], None],
    failed: Callable[[Entry | None, Exception, Slot | None], None],
) -> int:
    """Send what is to be sent; tells how many that were."""
    kept = sift(held, now, marks, lambda entry, error: failed(entry, error, None))
    for each in kept:
        try:
            send(each)
        except Exception as error:  # noqa: BLE001 -- told to `failed`
            failed(each.entry, error, each.slot)
    return len(kept)
