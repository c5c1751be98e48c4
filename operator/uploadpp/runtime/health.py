"""/healthz, /readyz and /metrics (port 9255, as the service we replace).

Healthy means that the process works on what it should; ready means that it owns its shard
and reads the log, or stands by to take over. Unlike the legacy service's, they look.

Any Pod that reaches the port may send what it likes: a request is one short head, read within
seconds, and there are never more than so many connections. One request is answered for each.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from hmac import compare_digest
from http import HTTPStatus
from typing import NamedTuple, Protocol

from uploadpp.runtime.listening import listen

log = logging.getLogger(__name__)

Check = Callable[[], str]
"""Returns what is wrong, in words; empty when nothing is."""

MAX_CONNECTIONS = 64
MAX_HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 5.0
WRITE_SECONDS = 10.0
LINGER_SECONDS = 1.0
TEXT = "text/plain; charset=utf-8"


class Metrics(Protocol):
    """What /metrics serves."""

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        ...


class Answer(NamedTuple):
    """A response."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT
    more: str = ""
    """Further lines of its head."""


class BadRequestError(Exception):
    """A request that is not answered as asked; the answer says why."""

    def __init__(self, status: HTTPStatus, why: str, more: str = "") -> None:
        super().__init__(why)
        self.answer = Answer(status, f"{why}\n".encode(), more=more)


class Request(NamedTuple):
    """What is looked at of a request."""

    method: bytes
    path: bytes
    authorization: list[bytes]


def parse_request(head: bytes) -> Request:
    """The head of a request, without its empty line.

    Raises:
        BadRequestError: it is not one.
    """
    first, *lines = head.split(b"\r\n")
    match first.split(b" "):
        case [method, target, version] if version.startswith(b"HTTP/1."):
            path = target.partition(b"?")[0]
            if path.lower().startswith((b"http://", b"https://")):  # as proxies are asked
                path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        case _:
            raise BadRequestError(HTTPStatus.BAD_REQUEST, "not an HTTP/1.1 request")
    if method not in {b"GET", b"HEAD"}:
        raise BadRequestError(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", "Allow: GET, HEAD\r\n")
    headers = [line.partition(b":") for line in lines]
    given = [value.strip() for name, _, value in headers if name.lower() == b"authorization"]
    return Request(method, path, given)


class HealthServer:
    """A small HTTP server for probes and scrapes."""

    def __init__(self, address: str, token: str, metrics: Metrics, healthy: Check, ready: Check) -> None:
        self._address = address
        self._token = token.encode("utf-8", "surrogateescape")
        self._metrics = metrics
        self._checks = {b"/healthz": healthy, b"/readyz": ready}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        """Connections that have not sent their request yet, the oldest first."""

    @property
    def port(self) -> int:
        """The port it listens on, once it does."""
        port: int = self._servers[0].sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be used.
        """
        for each in listen(self._address):
            self._servers.append(await asyncio.start_server(self._accept, sock=each, limit=MAX_HEAD_BYTES))

    async def stop(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Make room for a probe: who has not asked for anything yet goes first."""
        if len(self._tasks) >= MAX_CONNECTIONS:
            if not self._waiting:
                writer.transport.abort()
                return
            oldest = next(iter(self._waiting))
            self._waiting.pop(oldest).transport.abort()
            oldest.cancel()
            self._tasks.discard(oldest)
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        self._waiting[task] = writer
        task.add_done_callback(lambda done: self._end(done, writer))

    def _end(self, task: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        self._tasks.discard(task)
        self._waiting.pop(task, None)
        if writer.transport.get_write_buffer_size():
            writer.transport.abort()
        else:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await self._head(reader)
            if head is None:
                return
            async with asyncio.timeout(WRITE_SECONDS):
                writer.write(self._respond(head))
                await writer.drain()
                writer.write_eof()
            # A connection that is closed with bytes unread is reset, and the answer may be lost.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    while await reader.read(MAX_HEAD_BYTES):
                        pass
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the other side has gone, is too slow, or has to make room

    async def _head(self, reader: asyncio.StreamReader) -> bytes | None:
        """The head of a request; empty when it is too long, None when none came in time."""
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            head = b""
        except (asyncio.IncompleteReadError, TimeoutError):
            return None
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- one for each connection
        self._waiting.pop(task, None)
        return head.removesuffix(b"\r\n\r\n")

    def _respond(self, head: bytes) -> bytes:
        method = b""
        try:
            if not head:
                raise BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long")  # noqa: TRY301
            request = parse_request(head)
            method = request.method
            answer = self._answer(request)
        except BadRequestError as error:
            answer = error.answer
        except Exception:
            log.exception("a probe or scrape has failed; this is a bug, please report it")
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed; the log says why\n")
        lines = (
            f"HTTP/1.1 {answer.status} {answer.status.phrase}\r\nContent-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n{answer.more}\r\n"
        )
        return lines.encode() + (b"" if method == b"HEAD" else answer.body)

    def _answer(self, request: Request) -> Answer:
        if (check := self._checks.get(request.path)) is not None:
            problem = check()
            status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
            return Answer(status, f"{problem or 'OK'}\n".encode("utf-8", "backslashreplace"))
        if request.path != b"/metrics":
            return Answer(HTTPStatus.NOT_FOUND, b"there are /healthz, /readyz and /metrics\n")
        if self._token and not self._may_read(request):
            more = "WWW-Authenticate: Bearer\r\n"
            return Answer(HTTPStatus.UNAUTHORIZED, b"a bearer token is needed\n", more=more)
        return Answer(HTTPStatus.OK, self._metrics.text(), "text/plain; version=0.0.4")

    def _may_read(self, request: Request) -> bool:
        """Whether it brings the token, in a comparison that takes as long for any other one."""
        given = request.authorization[0] if len(request.authorization) == 1 else b""
        scheme, _, token = given.partition(b" ")
        return compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"
