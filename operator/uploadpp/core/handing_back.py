"""What an upload becomes in the bucket of the legacy service, when it is given back (docs/adr/0046).

That service acts on events only: it starts nothing because of a record. So whatever waits for a timer, a
slot or a URL here gets an event as well, on which the service does at once what is due.
"""

from enum import StrEnum
from typing import NamedTuple

from uploadpp.core.adoption import Record
from uploadpp.core.commands import Command, Finish, ResumeStep, StartStep
from uploadpp.core.config import Config
from uploadpp.core.history import Known
from uploadpp.core.model import FINISHED_STEP, Millis, Upload
from uploadpp.core.states import DesiredState, Outcome, Stage


class Nudge(StrEnum):
    """What makes the service go on with an upload."""

    NOTHING = ""
    RESUME = "ResumePostprocessing"
    """It publishes the start of the current step, or PostprocessingFinished."""
    RESTART = "RestartPostprocessing"
    """The storage announces the upload with a fresh URL, and the service begins with the first step."""


class GivenBack(NamedTuple):
    """The record to write, the event to publish behind it, and what a person has to do, if anything."""

    record: Record
    nudge: Nudge = Nudge.NOTHING
    remark: str = ""


class Kept(NamedTuple):
    """An upload that stays here, and why; `over` says that the service must forget it."""

    why: str
    over: bool = False


BY_HAND = "a person has to decide; `postprocessing resume -u {id}` continues it there"


def give_back(known: Known, now: Millis, config: Config) -> GivenBack | Kept:
    """What the legacy service gets of an upload."""
    upload = known.upload
    if upload is None:
        return Kept("the log does not announce it")
    if upload.stage.ended:
        return Kept(f"it has ended: {upload.stage}", over=True)
    if not upload.run and not upload.finishes:  # one that is cancelled at once has no run, and an end
        return Kept(f"it has not begun: {upload.stage}")
    unproven = upload.next_step(0) if upload.run else upload.cursor
    if unproven < upload.cursor and upload.outcome in {None, Outcome.CONTINUE}:
        name = upload.plan[unproven].name  # the service would not run it again
        return Kept(f"the log has lost the answer of step {name}: the operator runs it again")
    in_step = upload.cursor < len(upload.plan)
    record = Record(
        id=upload.id,
        origin=upload.origin,
        steps=tuple(step.name for step in upload.plan),
        current=upload.plan[upload.cursor].name if in_step else FINISHED_STEP,
        outcome=_outcome(upload, in_step=in_step),
        failures=upload.step.retries if in_step else 0,
    )
    if upload.stage in {Stage.HELD, Stage.SUSPENDED}:
        return GivenBack(record, remark=f"{upload.stage}: {BY_HAND.format(id=upload.id)}")
    return GivenBack(record, _nudge(upload, known.missing, now, config), _remark(upload, known.missing))


def _remark(upload: Upload, missing: tuple[Command, ...]) -> str:
    """What the spec asks for and the service does not do by itself."""
    for each in missing:
        if isinstance(each, ResumeStep):
            return f"its restart {each.mark.token} asks for `postprocessing resume -s {each.step}`"
    if upload.stage.in_step and upload.control.desired is DesiredState.SUSPENDED:
        return "it was to be suspended behind its step, which the service cannot do: it continues"
    return ""


def _outcome(upload: Upload, *, in_step: bool) -> str:
    if in_step:
        return Outcome.RETRY if upload.stage is Stage.BACKING_OFF else ""
    return upload.outcome or Outcome.CONTINUE


def _nudge(upload: Upload, missing: tuple[Command, ...], now: Millis, config: Config) -> Nudge:
    unpublished = any(isinstance(each, StartStep | Finish) for each in missing)
    if upload.stage in {Stage.RELEASE_BACKING_OFF, Stage.AWAITING_TURN} or (
        upload.stage is Stage.AWAITING_READY and unpublished
    ):
        return Nudge.RESUME
    if upload.stage is Stage.AWAITING_READY or (upload.stage is Stage.RUNNING and not unpublished):
        return Nudge.NOTHING
    return Nudge.RESTART if upload.origin.needs_renewal(now, config.url_margin) else Nudge.RESUME
