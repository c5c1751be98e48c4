"""The NATS client, with what the library leaves out.

TLS that was asked for is insisted on before anything secret is sent. Files are read again at each connection.
The server's refusals are kept in its words. No answer of a server ends the client permanently.
"""

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError
from nats.js.api import Header

from uploadpp.wire.credentials import CredsFile, NkeyFile
from uploadpp.wire.jetstream import SafeJetStream
from uploadpp.wire.listing import ListMemory
from uploadpp.wire.server_time import ServerTime
from uploadpp.wire.silence import LEAVE_SECONDS, SHOWN_SECONDS, Silence
from uploadpp.wire.stream_message import MESSAGE_ID

log = logging.getLogger(__name__)

REFUSAL_SECONDS = 30.0
"""How long a refused permission counts after it was last reported. What needs it is retried more often."""
AGAIN_SECONDS = 10.0
"""A refused subscription is asked for again so often, by a new connection."""
MAX_REFUSALS = 16
REMEDY = "grant it to the user we log in as; docs/nats.md lists what is needed"
STORED = "$JS.ACK."
"""What the reply subject of a message from a stream begins with; what the server says itself has none."""
MOST_HEADER_BYTES = 16 << 10
"""Ours have a hundred bytes. Those of a message may have a megabyte, which takes a quarter of a second."""
_ONLY_ID = re.compile(rb"NATS/1\.0\r\n%b: ([!-~]{1,256})\r\n\r\n" % MESSAGE_ID.encode())
"""What most messages of a stream have as headers. Read here, because the library takes much longer."""
PERMISSIONS = "permissions violation"
STALE = "stale connection"
AUTHORIZATION = ("authorization violation", "authentication expired", "authentication timeout")


class TlsMissingError(NatsError):
    """TLS was asked for, and the server does not offer it."""


class SafeClient(Client):
    """A client that tells what keeps it from working."""

    def __init__(
        self,
        tls: Callable[[], ssl.SSLContext] | None,
        creds: CredsFile | None = None,
        nkey: NkeyFile | None = None,
        logins: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        """`logins` are user and password by the shown address of a server."""
        super().__init__()
        self._tls = tls
        self.creds = creds
        self.nkey = nkey
        self.logins = logins or {}
        self.lists = ListMemory()
        self.silence = Silence()
        self.server_time = ServerTime()
        self._leaving: Any = None
        """The server that we leave for another one."""
        self._words = ""
        self._refused: dict[str, float] = {}
        self._next_try = 0.0
        self._odd: set[str] = set()
        self.disconnected_at: float | None = time.monotonic()
        """When the connection was lost; None while there is one."""

    # -- what a person is told ----------------------------------------------------------------

    @property
    def problem(self) -> str:
        """Why NATS cannot be used; empty if it can."""
        if not self.is_connected:
            return f"NATS is not connected: {self._words}" if self._words else "NATS is not connected"
        seconds = self.silence.seconds if self._in_cluster else 0.0
        silent = f"JetStream has not answered through {self._shown()} for {seconds:.0f} s"
        return "; ".join(self.refused) or (silent if seconds > SHOWN_SECONDS else "")

    @property
    def refused(self) -> list[str]:
        """What the server has not permitted lately, in its words."""
        old = time.monotonic() - REFUSAL_SECONDS
        return [f"NATS refuses: {words} ({REMEDY})" for words, at in self._refused.items() if at > old]

    @property
    def silent_seconds(self) -> float:
        """Seconds without a connection."""
        return time.monotonic() - self.disconnected_at if self.disconnected_at is not None else 0.0

    @property
    def _in_cluster(self) -> bool:
        return bool(self._server_info.get("cluster"))

    def not_answered(self) -> None:
        """JetStream has not answered a request. A server that is cut off from its cluster is left."""
        if not self.is_connected:
            return
        self.silence.unanswered()
        if self.silence.seconds < LEAVE_SECONDS or not self._in_cluster or self.refused:
            return
        self.silence.answered()  # counts anew for the next one
        self._leaving = self._current_server
        log.warning(
            "JetStream does not answer through %s, which may be cut off from its cluster; connecting to "
            "another server",
            self._shown(),
        )
        self._connect_again()

    def lost(self) -> None:
        """The connection is gone."""
        self.disconnected_at = time.monotonic()

    def explain(self, error: Exception) -> str:
        """An error in words, with what is known about its cause."""
        text = str(error).removeprefix("nats: ")
        text = (text.strip("'") if text.startswith("'") else text) or type(error).__name__
        if isinstance(error, ssl.SSLError):
            text = f"TLS: {text}"
        if self.creds is not None and any(word in text.lower() for word in AUTHORIZATION):
            expired = self.creds.expired()
            text += f" ({expired})" if expired else ""
        if not self.is_connected:
            self._words = text
            if self.disconnected_at is None:
                self.lost()
        return text

    # -- hooks into the library ---------------------------------------------------------------

    def jetstream(self, **opts: Any) -> SafeJetStream:  # noqa: ANN401 -- the library's
        """JetStream on this connection."""
        return SafeJetStream(self, **opts)

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """Made anew for each connection: certificates are renewed while we run."""
        return self._tls() if self._tls is not None else super().ssl_context

    async def _process_connect_init(self) -> None:
        """Connect to the server that was chosen; whatever goes wrong, the next one is tried."""
        try:
            await super()._process_connect_init()
        except Exception as error:
            if self._transport is not None and self._transport:
                self._transport.close()  # type: ignore[no-untyped-call]
            if isinstance(error, NatsError | OSError | TimeoutError):
                raise
            raise NatsError(f"the server's greeting cannot be used: {type(error).__name__}") from error
        self._words, self.disconnected_at = "", None
        self._refused.clear()
        self.silence.answered()

    async def _attempt_reconnect(self) -> None:
        """Connect again. The library closes the old connection in order, and waits until all is sent.

        A server that hangs, or that cannot be reached any more, takes nothing: it would wait forever.
        """
        transport = self._transport
        if isinstance(transport, TcpTransport) and transport._io_writer is not None:  # noqa: SLF001
            transport._io_writer.transport.abort()  # noqa: SLF001
        await super()._attempt_reconnect()

    async def _select_next_server(self) -> None:
        """Connect to a server. One that we have just left is the last to be tried."""
        left, self._leaving = self._leaving, None
        if left in self._server_pool:
            self._server_pool.remove(left)
            self._server_pool.append(left)
        await super()._select_next_server()

    def _connect_command(self) -> bytes:
        """What we tell about ourselves; the first secret bytes of a connection."""
        if self._tls is not None and not self._encrypted():
            raise TlsMissingError(
                f"TLS is required, but {self._shown()} does not offer it; no credentials were sent"
            )
        if self.nkey is not None:
            self._public_nkey = self.nkey.public_key()
        return super()._connect_command()

    def _encrypted(self) -> bool:
        transport = self._transport
        writer = transport._io_writer if isinstance(transport, TcpTransport) else None  # noqa: SLF001
        return writer is not None and writer.get_extra_info("ssl_object") is not None

    async def _read_loop(self) -> None:
        """Read until the connection ends. The library goes on deaf after an error that it does not know."""
        await super()._read_loop()
        task = asyncio.current_task()
        if self.is_connected and not (task is not None and task.cancelling()):
            await self._process_op_err(NatsError("nats: the connection is not read any more"))

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """The headers of a message; none if they cannot be read. The publisher chooses them.

        An exception here, or below, would permanently end the reading of the connection.
        """
        if not headers:
            return None
        if usual := _ONLY_ID.fullmatch(headers):
            return {MESSAGE_ID: usual[1].decode()}
        if len(headers) > MOST_HEADER_BYTES:
            self._pass_over("headers")
            return None
        try:
            return await super()._process_headers(headers)
        except Exception:  # noqa: BLE001 -- whatever the library stumbles over
            self._pass_over("headers")
            return None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg | None:
        """A message as it is handed over; None for one that is skipped.

        Whoever publishes chooses the reply subject, and a part of the subject where we listen to all. The
        library takes each message with a status for a word of the server, also one from the stream.
        """
        try:
            message = Msg(self, subject.decode("ascii"), reply.decode("ascii"), data, headers, _sid=sid)
        except UnicodeDecodeError:
            self._pass_over("subject")  # ours are all ASCII
            return None
        if headers and Header.STATUS in headers and message.reply.startswith(STORED):
            del headers[Header.STATUS]
        return message

    def _pass_over(self, what: str) -> None:
        level = logging.DEBUG if what in self._odd else logging.WARNING
        self._odd.add(what)
        log.log(level, "cannot read the %s of a message; skipping it", what)

    async def _process_err(self, err_msg: str) -> None:
        """An error of the server in a running connection.

        The library gives up on most of them. They all are temporary: expired credentials are renewed on disk.
        """
        if STALE in err_msg:
            await super()._process_err(err_msg)
            return
        words = self._original(err_msg)
        error = NatsError(f"nats: {words}")
        self._err = error
        if PERMISSIONS not in err_msg:
            await self._error_cb(error)
            self._words = self.explain(error)
            await self._process_op_err(error)
            return
        known = words in self._refused
        if known or len(self._refused) < MAX_REFUSALS:
            self._refused[words] = time.monotonic()
        if not known:
            await self._error_cb(error)
        if "subscription" in err_msg:
            self._ask_again()

    def _original(self, err_msg: str) -> str:
        """The server's words as it wrote them; the library passes them on in lower case."""
        line = bytes(self._ps.buf).partition(b"\r\n")[0].decode("utf-8", "replace")
        words = line.removeprefix("-ERR").strip()
        return (words if words.lower() == err_msg else err_msg).strip("'")

    def _ask_again(self) -> None:
        """A subscription that was refused stays so until the next connection."""
        now = time.monotonic()
        if now >= self._next_try:
            self._next_try = now + AGAIN_SECONDS
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._renew)

    def _renew(self) -> None:
        if self.is_connected and any("ubscription" in words for words in self._refused):
            self._connect_again()

    def _connect_again(self) -> None:
        task = asyncio.ensure_future(self.force_reconnect())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _shown(self) -> str:
        server = self._current_server
        return f"{server.uri.hostname}:{server.uri.port}" if server is not None else "the server"

    def login(self, part: int) -> str | None:
        """User (0) or password (1) for the server at hand; for one that was learned, those of the first."""
        known: Any = self.logins.get(self._shown()) or next(iter(self.logins.values()), None)
        return str(known[part]) if known else None


def trouble(client: Client) -> str:
    """Why a client cannot be used; empty if it can."""
    if isinstance(client, SafeClient):
        return client.problem
    return "" if client.is_connected else "NATS is not connected"
