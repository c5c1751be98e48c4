"""Commands decided during a replay, and what happens to them at its end (invariant 2.3)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from uploadpp.core.commands import Command
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.replay import Held, resolve
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.tracked_upload import Report, TrackedUpload
from uploadpp.wire.encode import Outgoing, encode
from uploadpp.wire.marks import Marks


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """A command decided during replay; `tracked` is None when the upload is not known.

    `plan` are the steps that the upload had then.
    """

    tracked: TrackedUpload | None
    command: Command
    outgoing: Outgoing
    message: PendingMessage | None
    plan: tuple[StepPlan, ...] = ()
    last: Report | None = None
    """What is to be reported of the decision that led to it, if nobody was told of that yet."""


def add_pending(kept: dict[str, PendingCommand], pending: PendingCommand) -> PendingMessage | None:
    """Keep a command until the replay is over.

    It may have been decided before, by another plan than the one that an event of ours has told since, or
    because of another message. Returns that message: it need not wait, since a later one decides the same.
    """
    earlier = kept.get(pending.outgoing.event_id)
    kept[pending.outgoing.event_id] = pending
    if earlier is None:
        return None
    if earlier.tracked is not None and earlier.tracked is pending.tracked:
        earlier.tracked.unpublished -= 1
    return earlier.message


def filter_superseded(
    pending: Collection[PendingCommand],
    now: Millis,
    marks: Marks,
    failed: Callable[[TrackedUpload, Exception], None],
) -> list[PendingCommand]:
    """What is to be sent, in the order in which it was decided.

    `failed` is called for an upload about which our own code fails: nothing of it is sent.
    """
    kept: dict[int, PendingCommand] = {}
    of_entry: dict[TrackedUpload, dict[int, PendingCommand]] = {}
    for number, each in enumerate(pending):
        if each.tracked is None:
            kept[number] = each
        else:
            of_entry.setdefault(each.tracked, {})[number] = each
    for tracked, commands in of_entry.items():
        try:
            kept |= _filter_superseded(tracked, commands, now, marks)
        except Exception as error:  # noqa: BLE001 -- told to `failed`
            failed(tracked, error)
    return [kept[number] for number in sorted(kept)]


def _filter_superseded(
    tracked: TrackedUpload, pending: dict[int, PendingCommand], now: Millis, marks: Marks
) -> dict[int, PendingCommand]:
    """What of one upload is to be sent; what a later decision has replaced no longer counts."""
    if tracked.gone:
        return {}
    held = [Held(each.command, each.plan) for each in pending.values()]
    tracked.upload, resolved = resolve(tracked.upload, held)
    tracked.unpublished -= resolved.count(None)
    return {
        number: _as(command, each, tracked, now, marks)
        for (number, each), command in zip(pending.items(), resolved, strict=True)
        if command is not None
    }


def _as(
    command: Command, pending: PendingCommand, tracked: TrackedUpload, now: Millis, marks: Marks
) -> PendingCommand:
    """The pending command with the number that it has now."""
    if command is pending.command:
        return pending
    outgoing = encode(command, tracked.upload.id, tracked.upload, now, None, marks)
    return replace(pending, command=command, outgoing=outgoing)


def send_all(
    pending: Collection[PendingCommand],
    now: Millis,
    marks: Marks,
    send: Callable[[PendingCommand], None],
    failed: Callable[[TrackedUpload | None, Exception, PendingMessage | None], None],
) -> int:
    """Send what is to be sent; tells how many that were."""
    kept = filter_superseded(pending, now, marks, lambda tracked, error: failed(tracked, error, None))
    for each in kept:
        try:
            send(each)
        except Exception as error:  # noqa: BLE001 -- told to `failed`
            failed(each.tracked, error, each.message)
    return len(kept)
