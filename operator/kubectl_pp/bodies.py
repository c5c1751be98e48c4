"""Reads responses within limits of time and size: a proxy may send one byte by byte, or without an end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse, IncompleteRead

from kubectl_pp.errors import ExpiredError, UnavailableError
from uploadpp.core.line_buffer import LineBuffer
from uploadpp.core.nesting import shallow

SILENT_SECONDS = 90.0
"""Timeout for the next byte. The API server ends a request after 60 s, and a watch in which
nothing happens says so each minute."""
PATIENCE_SECONDS = 60.0
LEAST_BYTES_PER_SECOND = 16 << 10
"""Minimum average speed after that."""
MOST_BYTES = 512 << 20
"""Maximum size of a response. A page of 500 uploads has about 2 MB, all of 50,000 at once 150 MB."""
EVENT_SECONDS = 15.0
"""From the first byte of an event of a watch to its last. The API server writes each at once."""
MOST_EVENT_BYTES = 16 << 20
"""Maximum size of a watch event: ten times the maximum of an object in etcd."""
PART = 64 << 10
IN_BETWEEN = "is there a proxy in between?"


@contextmanager
def closed_on_error(response: HTTPResponse) -> Iterator[HTTPResponse]:
    """A response that is closed when something goes wrong: what is left of it is not read."""
    try:
        yield response
    except BaseException:
        response.close()
        raise


def whole(response: HTTPResponse, limit: float | None) -> bytes:
    """The body.

    Args:
        response: as it begins.
        limit: the seconds it may take, plus one for each `LEAST_BYTES_PER_SECOND` that arrived. None is
            `PATIENCE_SECONDS`.

    Raises:
        UnavailableError: it does not end.
        OSError, HTTPException: the connection broke.
    """
    began, size, parts = time.monotonic(), 0, list[bytes]()
    while part := response.read1(PART):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise UnavailableError("the response does not end", IN_BETWEEN)
        patience = PATIENCE_SECONDS if limit is None else limit
        if time.monotonic() - began > patience + size / LEAST_BYTES_PER_SECOND:
            raise UnavailableError("the response takes too long", f"see --request-timeout; {IN_BETWEEN}")
    if response.length:  # `read1` takes what was cut off for the end
        raise IncompleteRead(b"", response.length)
    response.close()  # all is read, and `read1` has not noticed: the connection is for the next request
    return b"".join(parts)


def lines(response: HTTPResponse) -> Iterator[bytes]:
    """The events of a watch as they come.

    Raises:
        ExpiredError: one does not end: behind it nothing would be heard, so all has to be listed again.
        OSError, HTTPException: the connection broke.
    """
    begun = LineBuffer()
    while part := response.read1(PART):
        yield from filter(None, begun.feed(part, time.monotonic()))
        too_slow = begun and begun.age(time.monotonic()) > EVENT_SECONDS
        if too_slow or len(begun) > MOST_EVENT_BYTES:
            raise ExpiredError("an event of the watch does not end")
    if begun:
        yield begun.rest


def read_json(content: bytes) -> object:
    """What JSON says. What is nested too deep for verbs to walk through is left out of it.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(shallow(content) if len(content) < PART else content)
    except RecursionError:  # a long list: one resource in it hides no other
        return json.loads(shallow(content))
