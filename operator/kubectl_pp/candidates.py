"""What the shell offers of a cluster: names of uploads and of steps, of which there may be very many."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from kubectl_pp.client import PAGE
from kubectl_pp.context import Context
from kubectl_pp.errors import PluginError
from kubectl_pp.screen import harmless
from kubectl_pp.selection import ENDED, NOT_ENDED, RELEASE_FAILED, escaped
from kubectl_pp.upload import FINISHED, Upload, collection
from kubectl_pp.words import state

MOST = 100
SECONDS = 3.0
"""How long is searched. What was found by then is offered."""
OPEN = (NOT_ENDED, RELEASE_FAILED)
"""Field selectors of uploads that something can still be done about."""


def uploads(context: Context, start: str, *, ended: bool) -> dict[str, str]:
    """Names that begin with `start`, each with a description, at most `MOST`; of open uploads first.

    Without `ended` they are of open ones only.
    """
    found: dict[str, str] = {}
    with suppress(PluginError):  # what came before it is offered
        for upload in _read(context, (*OPEN, ENDED) if ended else OPEN, PAGE if start else MOST):
            if upload.name.startswith(start):
                filename = harmless(str(upload.file.get("filename", "")))
                found[upload.name] = f"{state(upload)} {filename}".strip()
            if len(found) >= MOST:
                break
    return found


def _read(context: Context, selectors: tuple[str, ...], limit: int) -> Iterator[Upload]:
    deadline = time.monotonic() + SECONDS
    for selector in selectors:
        query = {"fieldSelector": selector}
        for page in context.client.pages(collection(context.namespace), query, limit=limit):
            yield from map(Upload, page["items"])
            if time.monotonic() > deadline:
                return


def steps(context: Context) -> list[str]:
    """The steps of uploads without `finished`; of open ones first, and at most about `MOST`.

    After the first uploads only those at other steps are asked for, so that a few requests find all steps.
    """
    found: dict[str, None] = {}
    deadline = time.monotonic() + SECONDS
    with suppress(PluginError):  # what came before it is offered
        for part in (NOT_ENDED, ENDED):
            selector, more = part, True
            while more and len(found) < MOST and time.monotonic() < deadline:
                query = {"fieldSelector": selector, "limit": str(MOST)}
                page = context.client.select(collection(context.namespace), query)
                before = len(found)
                for upload in map(Upload, page["items"]):
                    found.update((name, None) for name in (*(s.name for s in upload.steps), upload.step))
                more = len(found) > before and bool(page["metadata"].get("continue"))
                known = dict.fromkeys(("", FINISHED, *found))
                selector = ",".join([part, *(f"status.currentStep!={escaped(name)}" for name in known)])
    return [name for name in found if name not in ("", FINISHED)]
