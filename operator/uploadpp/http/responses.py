"""What a server may send in response to one request, besides the body.

A server may send any number of answers such as `100 Continue` before the real one, or more answers than
there were requests. The HTTP library keeps all of them that a read brings, thousands at once, and reads
nothing else meanwhile: one server can take the memory of a process, and keep its loop for seconds.
"""

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MOST_ANSWERS = 8
"""Answers to one request; there is one, and perhaps a `100 Continue` or `103 Early Hints` before it."""
PIECE_BYTES = 16 * 1024
"""Bytes that are parsed at a time, before the responses in them are counted."""


class FewAnswers(ResponseHandler):
    """A connection that is closed if it delivers too many responses."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._answers = 0

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 -- the library's
        """A request begins."""
        self._answers = 0
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:  # noqa: ANN401 -- an answer, as the library reads it
        """An answer has come."""
        self._answers += 1
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Bytes have come. Those of a body go on at once, what may be answers only bit by bit."""
        at = 0
        while at < len(data) or not at:  # without bytes the library goes on with what it has
            end = at + PIECE_BYTES
            if end < len(data) and self._is_in_a_body:
                end = len(data)
            super().data_received(data[at:end])
            at = max(end, 1)
            if self._answers > MOST_ANSWERS:
                self.set_exception(aiohttp.ClientPayloadError("more answers than one request has"))
                if self.transport is not None:
                    self.transport.close()
                return

    @property
    def _is_in_a_body(self) -> bool:
        return self._payload is not None and not self._payload.is_eof()


class Connector(aiohttp.TCPConnector):
    """Opens such connections."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 -- the library's
        super().__init__(**options)
        self._factory = partial(FewAnswers, loop=self._loop)  # type: ignore[assignment]  # it is one
