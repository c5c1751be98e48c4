"""`events`, and the Events of one upload for `status`."""

from __future__ import annotations

import time

from kubectl_pp import foreign, selection
from kubectl_pp.client import Client, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode
from kubectl_pp.screen import Color, harmless
from kubectl_pp.table import Paint, layout
from kubectl_pp.times import human, parse_age
from kubectl_pp.upload import KIND, Upload
from kubectl_pp.view import event_time

MOST_SAID = 4096
_FIELDS = frozenset(
    {"metadata", "type", "reason", "message", "involvedObject", "count", "series", "source"}
    | {"firstTimestamp", "lastTimestamp", "eventTime", "reportingComponent"}
)
_OF_METADATA = frozenset({"name", "namespace", "uid", "creationTimestamp"})
HEAD = ("LAST SEEN", "TYPE", "REASON", "UPLOAD", "COUNT", "MESSAGE")


def events_of(client: Client, namespace: str | None, upload: Upload | None = None) -> list[Json]:
    """Events about uploads, or about one, the newest last."""
    path = "/api/v1/events" if namespace is None else f"/api/v1/namespaces/{namespace}/events"
    selector = f"involvedObject.kind={KIND}"
    if upload is not None:
        selector += f",involvedObject.name={upload.name}"
    found = foreign.read(client, path, {"fieldSelector": selector}, _bounded)
    if upload is not None:
        found = [e for e in found if e["involvedObject"].get("uid") in (None, "", upload.meta.get("uid"))]
    return sorted(found, key=event_time)


def _bounded(event: Json) -> Json:
    """Limits what is shown of an Event. The API server accepts a megabyte, in any field."""
    found = {name: _cut(value) for name, value in event.items() if name in _FIELDS}
    if isinstance(meta := found.get("metadata"), dict):
        found["metadata"] = {name: value for name, value in meta.items() if name in _OF_METADATA}
    return found


def _cut(value: object) -> object:
    if isinstance(value, dict):
        return {name: each[:MOST_SAID] if isinstance(each, str) else each for name, each in value.items()}
    return value[:MOST_SAID] if isinstance(value, str) else value


def run(context: Context) -> int:
    """Print Events."""
    options, now = context.options, time.time()
    if options.names:
        uploads = selection.find_named(context, options.names)
        found = [e for u in uploads for e in events_of(context.client, u.namespace, u)]
    else:
        found = events_of(context.client, context.namespace)
    if options.warnings:
        found = [event for event in found if event.get("type") == "Warning"]
    if options.since:
        earliest = now - parse_age(options.since, "--since")
        found = [event for event in found if event_time(event) >= earliest]
    if not found:
        context.screen.note("No events found.")
        return ExitCode.OK
    rows: list[tuple[str, ...]] = [] if options.no_headers else [HEAD]
    paint: Paint = {}
    for event in sorted(found, key=event_time):
        if event.get("type") == "Warning":
            paint[(len(rows), 1)] = Color.WAITING
        rows.append(
            (
                human(now - event_time(event)),
                event.get("type", ""),
                event.get("reason", ""),
                event["involvedObject"].get("name", ""),
                str(event.get("count") or 1),
                harmless(event.get("message", "")),
            )
        )
    context.screen.lines(layout(rows, context.screen, paint))
    return ExitCode.OK
