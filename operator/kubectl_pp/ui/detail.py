"""Everything that the page shows of one upload. Times are sent as they are: the page computes ages."""

from __future__ import annotations

from kubectl_pp import yaml
from kubectl_pp.hints import hints
from kubectl_pp.sanitize import Json
from kubectl_pp.screen import harmless
from kubectl_pp.times import parse_time
from kubectl_pp.ui.commands import Commands
from kubectl_pp.ui.rows import look, most_retries, tone
from kubectl_pp.upload import STEP_LOOKS, DesiredState, Stage, Step, StepState, Upload
from kubectl_pp.view import event_time, size
from kubectl_pp.words import current

EVENTS_SHOWN = 20
_WORDS: dict[str, str] = {
    StepState.RUNNING: "running",
    StepState.WAITING: "waiting for its turn",
    StepState.BACKING_OFF: "failed, retries",
    StepState.HELD: "held",
    StepState.SKIPPED: "left out",
}


def describe(upload: Upload, events: list[Json] | None, commands: Commands, now: float) -> Json:
    """For one upload. `events` is None where they may not be read."""
    file, step = upload.file, current(upload)
    filesize = file.get("filesize")
    facts = {
        "id": harmless(upload.id),
        "space": harmless(str(file.get("spaceID", ""))),
        "size": size(filesize) if isinstance(filesize, int) else "",
        "run": str(upload.status.get("run", "")),
        "outcome": upload.outcome,
        "wanted": upload.desired if upload.desired != DesiredState.ACTIVE else "",
    }
    return {
        "stamp": str(upload.meta.get("resourceVersion") or "0"),
        "namespace": upload.namespace,
        "name": upload.name,
        "file": harmless(str(file.get("filename", ""))),
        "user": harmless(str(file.get("userID", ""))),
        "facts": facts,
        "status": upload.status_word,
        "look": look(upload),
        "since": upload.since,
        "arrived": parse_time(str(file.get("receivedTime", ""))) or upload.created,
        "ended": upload.time("completionTime") if upload.ended else None,
        "removal": upload.time("expirationTime"),
        "next": None if upload.ended else upload.time("nextAttemptTime"),
        "delaying": upload.stage == Stage.DELAYING,
        "left": _left(upload, step),
        "why": upload.message,
        "steps": [_step(upload, each) for each in upload.steps],
        "hints": [
            {
                "text": hint.text,
                "command": commands.verb(hint.command, upload.namespace) if hint.command else "",
            }
            for hint in hints(upload, now)
        ],
        "conditions": [_condition(each) for each in upload.status.get("conditions") or []],
        "events": None if events is None else [_event(each) for each in events[-EVENTS_SHOWN:]],
        "yaml": "\n".join(harmless(line) for line in yaml.dump(upload.raw).splitlines()),
        "same": commands.verb(f"status {upload.name}", upload.namespace),
    }


def _left(upload: Upload, step: Step | None) -> int | None:
    """Failures that the current step may still have; None where that is not a question."""
    if step is None or upload.ended or upload.stage == Stage.HELD:
        return None
    return max(most_retries(upload, step.plan) - step.retries, 0)


def _step(upload: Upload, step: Step) -> Json:
    icon, color = STEP_LOOKS.get(step.state, STEP_LOOKS[StepState.WAITING])
    words = _WORDS.get(step.state) or (step.outcome or step.state).lower()
    if step.state == StepState.WAITING and step.name == upload.step:
        words = "queued for a slot" if upload.stage == Stage.QUEUED else "not started"
    if step.state == StepState.RUNNING and upload.stage == Stage.DELAYING:
        words = "waits for its start time"
    shape = f"{icon.name.lower()} {tone(color)}"
    if step.name == upload.step and upload.stuck and step.state == StepState.RUNNING:
        words, shape = "running, no answer", "held bad"
    return {
        "name": step.name,
        "look": shape,
        "words": words,
        "reason": step.reason,
        "message": step.message,
        "attempts": step.attempts,
        "retries": step.retries,
        "most": most_retries(upload, step.plan),
        "started": step.started,
        "finished": step.finished,
        "current": step.name == upload.step and not upload.ended,
    }


def _condition(condition: Json) -> Json:
    return {
        "type": str(condition.get("type", "")),
        "status": str(condition.get("status", "")),
        "reason": str(condition.get("reason", "")),
        "message": str(condition.get("message", "")),
        "since": parse_time(condition.get("lastTransitionTime")),
    }


def _event(event: Json) -> Json:
    return {
        "at": event_time(event),
        "warning": event.get("type") == "Warning",
        "reason": harmless(str(event.get("reason", ""))),
        "message": harmless(str(event.get("message", ""))),
        "count": int(event.get("count") or 1),
    }
