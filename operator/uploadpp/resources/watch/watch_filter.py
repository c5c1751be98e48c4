"""Keeps from kopf what it would tell us of our own writes: most of what a busy watch says.

Each event that kopf is given costs a task, two copies and a handler's call, and while its thread is at
that the events of the log wait: at 140 uploads a second half of their latency was this.

Knows nothing of what makes an event an echo: `resources.event_handler` does.
"""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson

from uploadpp.pipeline.ports import Json

IsOwnWrite = Callable[[Json], bool]
"""Whether a resource, as the watch has it, is nothing new. Asked in kopf's thread: it may change nothing."""

CHANGES = frozenset({"ADDED", "MODIFIED"})
"""What may be an echo; others are deletions, positions and errors."""
WITHOUT_NAMES = frozenset({"BOOKMARK", "ERROR"})

log = logging.getLogger(__name__)


class OwnWriteFilter:
    """The body of an answer to a watch, as kopf reads it: line by line (an `aiohttp.StreamReader`)."""

    def __init__(self, content: aiohttp.StreamReader, is_own_write: IsOwnWrite) -> None:
        self._content = content
        self._is_own_write = is_own_write

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the reader has
        """Everything else is the reader's own."""
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines that are news, as soon as they are there, and at the end what is left."""
        rest = b""
        async for data in self._content.iter_chunked(size):
            *lines, rest = (rest + data).split(b"\n")
            news = [line for line in lines if self._is_news(line)]
            if news:
                yield b"\n".join([*news, b""])
        if rest and self._is_news(rest):
            yield rest

    def _is_news(self, line: bytes) -> bool:
        """Whether kopf is given a line. One that kopf could not read would end its watch."""
        try:
            event = orjson.loads(line)
            kind, resource = event["type"], event["object"]
            if kind in WITHOUT_NAMES:
                return isinstance(resource, dict)
            meta = resource["metadata"]
            meta["name"].encode()
        except (ValueError, KeyError, TypeError, AttributeError):
            if line.strip():
                log.warning(
                    "a line of the watch is not an event and is passed over", extra={"bytes": len(line)}
                )
            return False
        try:
            return kind not in CHANGES or not self._is_own_write(resource)
        except Exception:
            log.exception("an event of the watch is passed on unseen", extra={"resource": meta["name"]})
            return True
