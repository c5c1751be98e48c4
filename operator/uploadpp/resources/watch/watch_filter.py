"""Drops watch events that our own writes caused, before kopf parses them: most events of a busy watch.

Each event that kopf is given costs a task, two copies and a handler's call, and while its thread is at
that the events of the log wait: at 140 uploads a second half of their latency was this.

Knows nothing of what makes an event one of our own writes: `resources.event_handler` does.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
import orjson

from uploadpp.core.line_buffer import LineBuffer
from uploadpp.core.nesting import shallow
from uploadpp.kube.bodies import MOST_BYTES
from uploadpp.pipeline.ports import Json

IsOwnWrite = Callable[[Json], bool]
"""Whether a resource, as the watch has it, is nothing new. Asked in kopf's thread: it may change nothing."""

CHANGES = frozenset({"ADDED", "MODIFIED"})
"""What may be an own write; others are deletions, positions and errors."""
EXPIRED = orjson.dumps({"type": "ERROR", "object": {"kind": "Status", "code": HTTPStatus.GONE}})
"""What has kopf list anew. Any other error in a watch would end kopf."""
ERROR_PAUSE_SECONDS = 1.0
LINE_SECONDS = 15.0
"""From the first byte of an event to its last. The API server writes each at once."""
MOST_SAID = 500

log = logging.getLogger(__name__)


class Content(Protocol):
    """The part of an `aiohttp.StreamReader` that is needed here."""

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """The body in pieces."""
        ...


class ExpiredWatch:
    """The body of a watch whose position is too old."""

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """The one line."""
        del n
        yield EXPIRED + b"\n"


def _check(begun: LineBuffer) -> None:
    """Restart the watch when an incomplete line cannot be the API server's: it hides all later events.

    Raises:
        aiohttp.ClientPayloadError: it is too long, or takes too long.
    """
    if len(begun) > MOST_BYTES:
        raise aiohttp.ClientPayloadError("a line of the watch is longer than any event")
    if begun and begun.age(time.monotonic()) > LINE_SECONDS:
        raise aiohttp.ClientPayloadError("a line of the watch does not end")


class OwnWriteFilter:
    """The body of an answer to a watch, as kopf reads it: line by line (an `aiohttp.StreamReader`)."""

    def __init__(self, content: Content, is_own_write: IsOwnWrite) -> None:
        self._content = content
        self._is_own_write = is_own_write
        self._failed = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the reader has
        """Everything else is the reader's own."""
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines that are news, as soon as they are there, and at the end what is left."""
        begun = LineBuffer()
        async for data in self._content.iter_chunked(size):
            lines = begun.feed(data, time.monotonic())
            news = [found for line in lines if (found := self._news(line))]
            if self._failed:
                await asyncio.sleep(ERROR_PAUSE_SECONDS)
            if news:
                yield b"\n".join([*news, b""])
            _check(begun)
        if found := self._news(begun.rest):
            yield found

    def _news(self, line: bytes) -> bytes:
        """What kopf is given of a line; nothing when it could not read it: that would end its watch."""
        line = shallow(line)  # kopf copies what it is given, with a level of its stack for each of ours
        try:
            event = orjson.loads(line)
            kind, resource = event["type"], event["object"]
            if kind == "ERROR":
                return self._error(resource)
            meta = resource["metadata"]
            version = meta.get("resourceVersion")
            if not isinstance(version, str | None):
                raise TypeError(version)  # noqa: TRY301 -- one place for what cannot be read
            if kind == "BOOKMARK":
                return line if version else b""
            meta["name"].encode()
            known = kind in CHANGES
        except (ValueError, KeyError, TypeError, AttributeError):
            if line.strip():
                log.warning("skipped a line of the watch that is not an event", extra={"bytes": len(line)})
            return b""
        try:
            return b"" if known and self._is_own_write(resource) else line
        except Exception:
            log.exception("cannot inspect a watch event; passing it on", extra={"resource": meta["name"]})
            return line

    def _error(self, status: Json) -> bytes:
        """An error that the watch ends with: whatever it is, all is listed and the watch begins anew."""
        if status.get("code") != HTTPStatus.GONE:
            words = " ".join(str(status.get("message", ""))[:MOST_SAID].split())
            log.warning("the watch ended and is being restarted: %s", words or "no error message")
            self._failed = True
        return EXPIRED
