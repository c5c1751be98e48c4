"""The status of one upload as lines: head, steps, conditions, Events, advice."""

from __future__ import annotations

from kubectl_pp.client import Json
from kubectl_pp.context import Context
from kubectl_pp.hints import hints
from kubectl_pp.screen import Color, Screen, harmless, wrap
from kubectl_pp.table import layout
from kubectl_pp.times import human, moment, parse_time
from kubectl_pp.upload import STEP_LOOKS, DesiredState, Stage, Step, StepState, Upload
from kubectl_pp.words import next_try, painted

LABEL = 12
EVENTS_SHOWN = 8
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_STATUS_COLORS = {"True": Color.GOOD, "False": Color.BAD}
_BAD_WHEN_TRUE = {"Stalled", "Suspended", "Unserved"}


def render(context: Context, upload: Upload, events: list[Json] | None, now: float) -> list[str]:
    """Everything about an upload. `events` is None where they cannot be read."""
    screen, width = context.screen, context.screen.width
    lines = [*_head(screen, upload, now, width), "", *_steps(screen, upload, now, width)]
    lines += ["", *_conditions(screen, upload, now)]
    if events is None:
        lines += ["", _title(screen, "Events"), "  you are not allowed to list events"]
    elif events:
        lines += ["", *_events(screen, events, now, width)]
    advice = hints(upload, now)
    if advice:
        lines += ["", _title(screen, "What you can do")]
        for hint in advice:
            lines += wrap(hint.text, width, "  ")
            if hint.command:
                lines.append(
                    "    " + screen.paint(context.command(hint.command, upload.namespace), Color.BUSY)
                )
    return lines


def size(count: int) -> str:
    """A number of bytes for people."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004 -- binary units
        value, unit = value / 1024, unit + 1
    return f"{count} bytes" if not unit else f"{value:.1f} {_UNITS[unit]}"


def _title(screen: Screen, text: str) -> str:
    return screen.paint(text, Color.TITLE)


def _head(screen: Screen, upload: Upload, now: float, width: int | None) -> list[str]:
    file = upload.file
    rows = [("Name", upload.name)]
    if upload.id != upload.name:
        rows.append(("Upload id", harmless(upload.id)))
    rows.append(("Namespace", upload.namespace))
    if "filename" in file or "filesize" in file:
        length = f" ({size(int(file['filesize']))})" if "filesize" in file else ""
        rows.append(("File", harmless(str(file.get("filename", "not shown"))) + length))
    rows += [
        (label, harmless(str(file[key])))
        for label, key in (("Space", "spaceID"), ("User", "userID"))
        if key in file
    ]
    lines = [line for label, text in rows for line in _field(label, text, width)]
    state = painted(upload, screen) + f" for {human(now - upload.since)}"
    lines.append(f"{'State:':<{LABEL}}{state}")
    lines += _field("", upload.message, width) if upload.message else []
    rows = []
    run = int(upload.status.get("run", 0))
    if run:
        started = upload.time("startTime")
        rows.append(("Run", f"{run}" + (f", started {human(now - started)} ago" if started else "")))
    if upload.retries:
        rows.append(("Retries", str(upload.retries)))
    if text := next_try(upload, now):
        rows.append(("Next", text))
    if upload.outcome:
        rows.append(("Outcome", upload.outcome))
    if upload.desired != DesiredState.ACTIVE:
        rows.append(("Wanted", upload.desired))
    if policy := upload.status.get("policy"):
        rows.append(("Policy", _policy(policy)))
    if expires := upload.time("expirationTime"):
        due = f"in {human(expires - now)}, at {moment(expires)}" if expires > now else "due"
        rows.append(("Removal", due))
    return lines + [line for label, text in rows for line in _field(label, text, width)]


def _policy(policy: Json) -> str:
    text = f"rule {policy.get('rule')} of {policy.get('name')}, generation {policy.get('generation')}"
    priority = policy.get("priorityClass")
    return f"{text}, priority class {priority}" if priority else text


def _field(label: str, text: str, width: int | None) -> list[str]:
    lines = wrap(text, width, " " * LABEL)
    head = f"{label}:" if label else ""
    return [f"{head:<{LABEL}}{lines[0][LABEL:]}", *lines[1:]]


def _steps(screen: Screen, upload: Upload, now: float, width: int | None) -> list[str]:
    steps = upload.steps
    lines = [f"{_title(screen, 'Steps')}  {upload.status.get('progress', f'0/{len(steps)}')}"]
    longest = max((len(step.name) for step in steps), default=0)
    for step in steps:
        icon, color = STEP_LOOKS.get(step.state, STEP_LOOKS[StepState.WAITING])
        text = _step_words(upload, step, now)
        first, *more = wrap(text, width, " " * (longest + 6))
        head = f"  {screen.paint(screen.icon(icon), color)} {step.name:<{longest}}  "
        lines += [head + screen.paint(first.lstrip(), color), *[screen.paint(line, color) for line in more]]
        if step.message:
            lines += wrap(f"“{step.message}”", width, " " * (longest + 6))
    return lines if steps else [*lines, "  none: the file is released at once"]


def _step_words(upload: Upload, step: Step, now: float) -> str:
    tries = f"attempt {step.attempts}" if step.attempts else ""
    if step.retries:
        most = step.plan.get("maxRetries", upload.spec.get("retryPolicy", {}).get("maxRetries", 14))
        tries += f", {step.retries} of {most} retries used"
    if step.state == StepState.RUNNING:
        words = "waits for its start time" if upload.stage == Stage.DELAYING else "running"
        return f"{words} for {human(now - (step.started or now))}, {tries}"
    if step.state == StepState.WAITING:
        if upload.stage == Stage.QUEUED and step.name == upload.step:
            return f"queued for {human(now - upload.since)}" + (f", {tries}" if step.attempts else "")
        return "not started" if step.name == upload.step else "waiting for its turn"
    if step.state == StepState.BACKING_OFF:
        after = next_try(upload, now) or "retries"
        return f"failed ({step.reason or step.outcome or 'retry'}), {after}, {tries}"
    if step.state == StepState.SKIPPED:
        return "left out"
    took = f" in {human(step.seconds)}" if step.seconds is not None else ""
    many = f", {tries}" if step.attempts > 1 else ""
    return (
        f"{(step.outcome or step.state).lower()}{took}" + (f" ({step.reason})" if step.reason else "") + many
    )


def _conditions(screen: Screen, upload: Upload, now: float) -> list[str]:
    rows: list[tuple[str, ...]] = []
    paint = {}
    for condition in upload.status.get("conditions") or []:
        status = condition.get("status", "")
        changed = parse_time(condition.get("lastTransitionTime"))
        good = (
            {"True": "False", "False": "True"}.get(status, status)
            if condition.get("type") in _BAD_WHEN_TRUE
            else status
        )
        if condition.get("type") != "Finished" and good in _STATUS_COLORS:
            paint[(len(rows), 1)] = _STATUS_COLORS[good]
        rows.append(
            (
                condition.get("type", ""),
                status,
                condition.get("reason", ""),
                human(now - changed) if changed else "",
            )
        )
    if not rows:
        return [_title(screen, "Conditions"), "  none yet"]
    return [_title(screen, "Conditions"), *[f"  {line}" for line in layout(rows, screen, paint)]]


def _events(screen: Screen, events: list[Json], now: float, width: int | None) -> list[str]:
    lines = [_title(screen, "Events")]
    for event in events[-EVENTS_SHOWN:]:
        seen = event_time(event)
        count = int(event.get("count") or 1)
        color = Color.WAITING if event.get("type") == "Warning" else None
        times = f" (x{count})" if count > 1 else ""
        head = f"{human(now - seen):<7} {event.get('reason', ''):<16} "
        body = wrap(harmless(event.get("message", "")) + times, width, " " * (len(head) + 2))
        lines.append(
            "  " + screen.paint(head.rstrip(), color) + head[len(head.rstrip()) :] + body[0].lstrip()
        )
        lines += body[1:]
    return lines


def event_time(event: Json) -> float:
    """When an Event was last seen."""
    for key in ("lastTimestamp", "eventTime", "firstTimestamp"):
        if at := parse_time(event.get(key)):
            return at
    return parse_time(event.get("metadata", {}).get("creationTimestamp")) or 0.0
