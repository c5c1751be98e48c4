"""What a server may send before the body, for the HTTP client of the standard library.

That client reads any number of answers such as `100 Continue`, and its timeout begins again with each byte
of a head. A server that never completes a response would block it forever.

Standard library only, and no import of ours: the operator and `kubectl pp` share this file.
"""

import io
import time
from http.client import HTTPException, HTTPResponse
from typing import Any

MOST_ANSWERS = 8
"""Maximum number of responses to one request: usually one, perhaps with a `100 Continue` before it."""
HEAD_SECONDS = 30.0
"""From the first byte of an answer to the end of its head. Before that byte the socket's timeout counts."""


class EndlessHeadError(HTTPException):
    """A server sends one interim response after another, or a head that does not end."""


class _Timed(io.RawIOBase):
    """Reads from a connection, and fails when the head of a response takes too long."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._ends = float("inf")
        self._in_head = True

    def readable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The connection's."""
        return self._raw.fileno()

    def readinto(self, buffer: Any, /) -> "int | None":  # noqa: ANN401 -- whatever holds bytes
        """The next bytes.

        Raises:
            EndlessHeadError: the head has taken too long.
        """
        if self._in_head and time.monotonic() > self._ends:
            raise EndlessHeadError("the head of the response does not end")
        found = self._raw.readinto(buffer)
        self._ends = min(self._ends, time.monotonic() + HEAD_SECONDS)
        return found

    def head_is_over(self) -> None:
        """The time for the body is limited by its reader."""
        self._in_head = False

    def close(self) -> None:
        """Close the connection too."""
        self._raw.close()
        super().close()


class BoundedResponse(HTTPResponse):
    """A response whose head is bounded in number and time (the `response_class` of a connection)."""

    def __init__(self, sock: Any, *given: Any, **named: Any) -> None:  # noqa: ANN401 -- the library's
        super().__init__(sock, *given, **named)
        self._timed = _Timed(self.fp.detach())
        self.fp = io.BufferedReader(self._timed)
        self._answers = 0

    def begin(self) -> None:
        """Read the head.

        Raises:
            HTTPException, OSError: there is none.
        """
        super().begin()
        self._timed.head_is_over()

    def _read_status(self) -> "tuple[str, int, str]":
        """The first line of an answer; the library asks for the next one after each `100 Continue`."""
        self._answers += 1
        if self._answers > MOST_ANSWERS:
            raise EndlessHeadError("more answers than one request has")
        found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
        return found
