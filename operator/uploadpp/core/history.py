"""What the log says of one upload, carried out on a state without publishing anything.

It is the replay of a take-over (invariant 2.3), for tools that run while no operator does: `uploadpp adopt`
and `uploadpp release`. The commands that the log does not show as published are left over at the end.
"""

from collections.abc import Iterable
from typing import NamedTuple

from uploadpp.core.commands import Command, Kind
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import (
    FinishedElsewhere,
    Input,
    Published,
    Resume,
    RetriedElsewhere,
    SpecChanged,
    StartedElsewhere,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import LogPosition, Millis, Upload
from uploadpp.core.replay import Held, Position, apply, resolve
from uploadpp.core.rules.arrival import as_wanted, overrules
from uploadpp.core.rules.control import concerns
from uploadpp.core.states import Outcome, Stage


class Said(NamedTuple):
    """One message of the log that concerns an upload, or all uploads in a step."""

    sequence: int
    at: Millis
    event: Input
    event_id: str = ""


class Known(NamedTuple):
    """An upload, and the commands that it stands for and that are not in the log."""

    upload: Upload | None
    missing: tuple[Command, ...] = ()


def catch_up(
    known: Known, upload_id: str, said: Iterable[Said], last: int, stream: str, config: Config
) -> Known:
    """The upload after all that was said, up to the position `last` of the log."""
    upload = known.upload
    plan = upload.plan if upload is not None else ()
    held = {command.mark.event_id(upload_id): Held(command, plan) for command in known.missing}
    for each in said:
        if (
            isinstance(each.event, Resume)
            and each.event.step
            and not (upload and concerns(upload, each.event))
        ):
            continue
        if upload is not None and overrules(upload, each.event):
            held = {}  # it was decided by what a person's resource said
        if isinstance(each.event, Published):
            held.pop(each.event_id, None)
        at = Position(stream, each.sequence)
        decision = apply(upload, upload_id, each.event, at, each.at, config)
        if decision.met is not None:
            held.pop(decision.met.event_id(upload_id), None)
        upload = decision.upload
        plan = upload.plan if upload is not None else ()
        held |= {command.mark.event_id(upload_id): Held(command, plan) for command in decision.commands}
    if upload is None:
        return Known(None)
    upload, resolved = resolve(upload, list(held.values()))
    log = LogPosition(stream, max(last, upload.log.sequence), upload.log.start)
    return Known(evolve(upload, log=log), tuple(each for each in resolved if each is not None))


def taken_over(
    upload: Upload, said: Iterable[Said], at: Position, now: Millis, config: Config, *, own_name: bool
) -> Known:
    """An upload with a resource as a new owner has it: after the log, and after what its spec asks for.

    The resource has the `own_name` of its upload, or another one. Overruled by an announcement, one of
    another name is left alone, with all that it asks for.
    """
    if own_name:
        said = [_as_wanted(each, upload) for each in said]
    known = catch_up(Known(upload), upload.id, said, at.sequence, at.stream, config)
    found = known.upload
    assert found is not None  # noqa: S101 -- it began with one
    overruled = upload.origin.by_hand and not found.origin.by_hand
    is_seen = upload.control == found.control and found.control.generation <= found.observed_generation
    if is_seen or found.stage is Stage.PENDING or (overruled and not own_name):
        return known
    decision = decide(found, found.id, SpecChanged(upload.control), now, config)
    held = [Held(each, found.plan) for each in known.missing]
    held += [Held(each, decision.upload.plan) for each in decision.commands]
    asked, resolved = resolve(decision.upload, held)
    return Known(asked, tuple(each for each in resolved if each is not None))


def _as_wanted(said: Said, upload: Upload) -> Said:
    return said._replace(event=as_wanted(said.event, upload)) if overrules(upload, said.event) else said


def as_of_others(said: Iterable[Said]) -> list[Said]:
    """The same with our own events as those of another service: they belong to an earlier life of ours."""
    return [each._replace(event=other) for each in said if (other := _of_others(each.event)) is not None]


def _of_others(event: Input) -> Input | None:
    if not isinstance(event, Published):
        return event
    match event.mark.kind:
        case Kind.START:
            return StartedElsewhere(event.mark.detail, event.sequence)
        case Kind.FINISH:
            return FinishedElsewhere(Outcome(event.mark.detail), event.sequence)
        case Kind.RETRY:
            return RetriedElsewhere()
    return None
