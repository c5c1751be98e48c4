"""Collects at the end what the claims are checked against, and prints it for people."""

import json
import textwrap

from e2e.demo.claims import RESOURCES, Facts
from e2e.demo.screen import WIDTH, Screen
from e2e.demo.sessions import Place
from e2e.demo.stage import Stage
from e2e.demo.storage import Storage
from e2e.demo.stories import PERSONAL, STORIES, USER_ID
from e2e.demo.wire import read_all

_COLUMNS = (9, 13, 11, 18)


async def collect(stage: Stage, storage: Storage, screen: Screen) -> Facts:
    """Ask the API server, the stream, the disk, the log and the metrics."""
    resources = stage.kubectl.json("get", "uploadpostprocessings")
    tokens = storage.gateway.issued
    return Facts(
        resources={item["metadata"]["name"]: item for item in resources["items"]},
        events=await read_all(storage.js),
        places={story.id: storage.sessions.place(story.id) for story in STORIES},
        visible={
            RESOURCES: json.dumps(resources),
            "Events": stage.kubectl("get", "events", "--output=yaml"),
            "the operator's log": stage.operator.log.read_text(),
            "the operator's metrics": stage.operator.metrics(),
        },
        # A JWT is a secret as a whole; its last part alone would be enough to recognise it.
        secrets=[*PERSONAL, "/data/", *(token.rpartition(".")[2] for token in tokens)],
        user_id=USER_ID,
        widest=screen.widest,
    )


def report(facts: Facts) -> str:
    """A table of what happened and why; the reasons are the operator's own words."""
    lines = [_row("UPLOAD", "FILE", "STATUS", "ITS BYTES", "WHY")]
    for story in STORIES:
        summary = facts.condition(story.id, "Succeeded")
        why = facts.condition(story.id, "Stalled").get("message") or summary.get("message")
        where = str(facts.places.get(story.id, Place.GONE))
        status = summary.get("reason", "unknown")
        lines.append(_row(story.id, story.filename, status, where, why or "it has no resource"))
    return "\n".join(lines)


def _row(*cells: str) -> str:
    """One row, its last cell folded to what is left of the line."""
    left = "".join(cell.ljust(width) for cell, width in zip(cells[:-1], _COLUMNS, strict=True))
    return textwrap.fill(
        cells[-1], WIDTH, initial_indent=left, subsequent_indent=" " * sum(_COLUMNS), break_long_words=False
    )
