"""Describes the state of an upload in a few words, where only one line is available."""

from __future__ import annotations

import time

from kubectl_pp.screen import Screen
from kubectl_pp.times import clock, human
from kubectl_pp.upload import Stage, Step, Upload, stage_color, stage_icon


def state(upload: Upload) -> str:
    """Stage, step and attempt."""
    text = upload.stage
    step = current(upload)
    if upload.ended or step is None:
        return text
    text += f", step {step.name}"
    return f"{text} (attempt {step.attempts})" if step.attempts > 1 else text


def current(upload: Upload) -> Step | None:
    """The step being worked on."""
    return next((step for step in upload.steps if step.name == upload.step), None)


def painted(upload: Upload, screen: Screen) -> str:
    """The state with its icon, in its colour."""
    stuck = upload.stuck and not upload.ended
    icon = screen.icon(stage_icon(upload.stage, stuck=stuck))
    why = silence(upload)
    text = f"{icon} {upload.stage}" + (f" ({why})" if why else "")
    return screen.paint(text, stage_color(upload.stage, stuck=stuck))


def silence(upload: Upload) -> str:
    """Why no answer is expected: `no service`, for example. Empty if one may come."""
    if upload.ended or upload.stage == Stage.HELD:
        return ""
    return "no service" if upload.unserved else "stalled" if upload.stuck else ""


def next_try(upload: Upload, now: float) -> str:
    """When it continues automatically; empty if no time is set."""
    at = upload.time("nextAttemptTime")
    if at is None:
        return ""
    what = "continues" if upload.stage == Stage.DELAYING else "retries"
    if at <= now:
        return f"{what} now (due {human(now - at)} ago)"
    return f"{what} in {human(at - now)}, at {clock(at)}"


def ago(at: float | None) -> str:
    """How long ago a moment was."""
    return "" if at is None else human(time.time() - at)
