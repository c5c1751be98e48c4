"""The admission webhook: the API server asks it, by HTTPS, before it stores a policy.

Whoever reaches the port may send what they like. So there is a limit to the connections, to what each of them
may send, to how long it may take, and to the time that reviews take from everything else. A connection above
the limit takes the place of the oldest one that has sent no review yet. So strangers do not keep the API
server out, and what was asked is answered.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from socket import socket
from time import monotonic
from typing import Any

import orjson

from uploadpp.http.files import read_regular
from uploadpp.process.listening import listen

log = logging.getLogger(__name__)

PATH = b"/policies/review"
MAX_CONNECTIONS = 16
MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024
"""A review holds the policy twice, as it is and as it was."""
CONNECTION_SECONDS = 10.0
HANDSHAKE_SECONDS = 5.0
PAUSE_SECONDS = 0.5
ACCEPT_SECONDS = 0.005
"""Between two connections: a handshake takes a millisecond or two of the loop."""
ARRIVAL_SECONDS = 0.1
"""How long a connection has to send its review before another one may take its place."""
REVIEWS_SHARE = 0.2
"""Share of the loop's time that reviews may take. Others wait for their turn."""
REREAD_SECONDS = 10.0
"""How soon a certificate that was replaced is used."""

Json = dict[str, Any]
Review = Callable[[Json], Json]
"""An AdmissionReview with its answer."""


class _RefusedError(Exception):
    """A request that is not answered with a review."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Certificate:
    """A certificate and its key, in two files that may be replaced at any time."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read them.

        Raises:
            OSError: they cannot be used; `strerror` says why.
        """
        self._files = (certificate, key)
        self.context = _server_context()
        self._material = self._read()
        self._load(self.context)

    def renew(self) -> bool:
        """Use what the files hold now; whether that is something new.

        Raises:
            OSError: they cannot be used. The former certificate stays in use.
        """
        material = self._read()
        if material == self._material:
            return False
        self._load(_server_context())  # a context that has failed to load is not usable any more
        self._load(self.context)
        self._material = material
        return True

    def _read(self) -> tuple[bytes, ...]:
        return tuple(read_regular(each) for each in self._files)

    def _load(self, context: ssl.SSLContext) -> None:
        certificate, key = self._files
        try:
            # Without a password, Python would prompt for that of an encrypted key.
            context.load_cert_chain(certificate, key, lambda: b"")
        except ssl.SSLError as error:
            why = "the key is not that of the certificate"
            if error.reason != "KEY_VALUES_MISMATCH":
                why = "the certificate or the key is damaged, encrypted or not in PEM form"
            raise ssl.SSLError(error.errno, why) from None


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


async def pause(seconds: float) -> None:
    """Let everything else run."""
    await asyncio.sleep(seconds)


class WebhookServer:
    """Answers AdmissionReviews."""

    def __init__(self, address: str, certificate: Certificate, review: Review) -> None:
        self._address = address
        self._certificate = certificate
        self._review = review
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self._listeners: list[socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._arriving: dict[asyncio.Task[None], float] = {}
        """The connections that have sent no review yet, the oldest first, and since when they are open."""
        self._freed = asyncio.Event()
        self.problem = ""
        """Why a replaced certificate cannot be used; empty when nothing is wrong."""

    @property
    def port(self) -> int:
        """The port that is listened on, once it is."""
        port: int = self._listeners[0].getsockname()[1]
        return port

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be used.
        """
        self._listeners = listen(self._address)
        for each in self._listeners:
            each.settimeout(0)
            self._accepting.append(asyncio.create_task(self._accept(each)))

    async def run(self) -> None:
        """Look again and again whether the certificate was replaced, until cancelled."""
        while True:
            await asyncio.sleep(REREAD_SECONDS)
            before = self.problem
            try:
                renewed = await asyncio.to_thread(self._certificate.renew)
            except OSError as error:
                self.problem = f"the new certificate cannot be used: {error.strerror or error}"
                if self.problem != before:
                    log.warning("the webhook keeps its former certificate: %s", self.problem)
                continue
            self.problem = ""
            if renewed:
                log.info("the webhook has a new certificate")

    async def stop(self) -> None:
        """Stop listening, and close what is open."""
        tasks = [*self._accepting, *self._serving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in self._listeners:
            each.close()
        self._listeners, self._accepting = [], []

    async def _accept(self, listener: socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._make_room()
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("the webhook cannot accept a connection: %s", error)
                await pause(PAUSE_SECONDS)
                continue
            task = asyncio.create_task(self._serve(sock))
            self._serving.add(task)
            self._arriving[task] = loop.time()
            task.add_done_callback(self._served)
            await pause(ACCEPT_SECONDS)

    async def _make_room(self) -> None:
        """Wait until another connection may come, and close one that is in its way."""
        loop = asyncio.get_running_loop()
        while len(self._serving) >= MAX_CONNECTIONS:
            self._freed.clear()
            late, wait = next(iter(self._arriving), None), None
            if late is not None:
                wait = self._arriving[late] + ARRIVAL_SECONDS - loop.time()
                if wait <= 0:
                    late.cancel()
                    self._served(late)
                    continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._freed.wait()

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        self._arriving.pop(task, None)
        self._freed.set()

    async def _serve(self, sock: socket) -> None:
        """One connection, with one request."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(MAX_HEAD_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(CONNECTION_SECONDS):
                transport, _ = await loop.connect_accepted_socket(
                    lambda: protocol,
                    sock,
                    ssl=self._certificate.context,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )
                writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                writer.write(await self._respond(reader))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError) as error:
            log.debug("a connection to the webhook has failed: %r", error)
        finally:
            if transport is not None:
                transport.abort()
            else:
                sock.close()

    async def _respond(self, reader: asyncio.StreamReader) -> bytes:
        status, body, kind = HTTPStatus.OK, b"", "application/json"
        try:
            review = await _read_review(reader)
            if (task := asyncio.current_task()) is not None:
                self._arriving.pop(task, None)
            body = orjson.dumps(await self._reviewed(review))
        except _RefusedError as error:
            status, body, kind = error.status, f"{error}\n".encode(), "text/plain; charset=utf-8"
        except (OSError, EOFError):
            raise
        except ValueError as error:
            status, body, kind = HTTPStatus.BAD_REQUEST, f"{error}\n".encode(), "text/plain; charset=utf-8"
        except Exception:
            log.exception("cannot review a policy; this is a bug, please report it")
            status, body, kind = HTTPStatus.INTERNAL_SERVER_ERROR, b"failed; the log says why\n", "text/plain"
        head = (
            f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body

    async def _reviewed(self, review: Json) -> Json:
        """The answer. One that took long has the next one wait."""
        async with self._turn:
            began = monotonic()
            if began < self._not_before:
                await pause(self._not_before - began)
                began = monotonic()
            try:
                return self._review(review)
            finally:
                ended = monotonic()
                self._not_before = ended + (ended - began) * (1 / REVIEWS_SHARE - 1)


async def _read_review(reader: asyncio.StreamReader) -> Json:
    """The AdmissionReview that is asked for.

    Raises:
        _RefusedError: the request is another one.
        OSError, EOFError: the connection has ended.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too long") from None
    first, *lines = head.split(b"\r\n")
    method, _, rest = first.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if path != PATH:
        raise _RefusedError(HTTPStatus.NOT_FOUND, f"there is only {PATH.decode()}")
    if method != b"POST":
        raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "only POST")
    headers = [line.partition(b":") for line in lines]
    length = next((value.strip() for name, _, value in headers if name.lower() == b"content-length"), b"")
    if not length.isdigit():
        raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed")
    if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
        raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY_BYTES} bytes")
    body = await reader.readexactly(int(length))
    with suppress(orjson.JSONDecodeError):
        review = orjson.loads(body)
        if isinstance(review, dict) and isinstance(review.get("request"), dict):
            return review
    raise _RefusedError(HTTPStatus.BAD_REQUEST, "not an AdmissionReview")
