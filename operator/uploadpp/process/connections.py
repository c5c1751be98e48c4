"""Connections to a port that any Pod can reach: one short request each, and one answer.

A client may send anything, or nothing, as often as it likes. A request that is there
when its connection is accepted is answered at once, so a probe never waits among those who have not
asked for anything. All others wait in one of a few slots, for seconds. When no slot is left, the oldest
connection of the address with the most connections is closed, so a client with one connection keeps it.
"""

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from socket import SHUT_WR, socket

from uploadpp.process.listening import listen

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
MAX_HEAD_BYTES = 16 * 1024
MAX_EMPTY = 16
"""Bytes of empty lines that may come before a request."""
AT_ONCE = 128
"""Maximum number of connections to accept in a row: that takes a few milliseconds."""
PAUSE_SECONDS = 0.5
SWEEP_SECONDS = 0.25
END = b"\r\n\r\n"
_NONE_LEFT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Stage(IntEnum):
    """How far a connection is."""

    WAITING = 0
    """Its request is not complete."""
    ANSWERING = 1
    """It does not take its answer as fast as it is sent."""
    ANSWERED = 2
    """It has its answer, and is closed first."""


SECONDS = {Stage.WAITING: 5.0, Stage.ANSWERING: 10.0, Stage.ANSWERED: 1.0}
"""How long a connection may be in a stage."""


@dataclass(slots=True, eq=False)
class Connection:
    """One connection."""

    sock: socket
    address: str
    stage: Stage = Stage.WAITING
    until: float = 0.0
    """When it is closed, on the clock of the loop."""
    received: bytearray = field(default_factory=bytearray)
    rest: bytes | memoryview = b""
    """Of the answer, what is not sent yet."""
    reading: bool = False
    """Whether the loop says when something can be read."""
    writing: bool = False


def head_of(received: bytearray) -> bytes | None:
    """The head of a request without its empty line; empty when it is too long, None when more has to come."""
    begun = received.lstrip(b"\r\n")
    if len(received) - len(begun) > MAX_EMPTY:
        return b""
    head, end, _ = begun.partition(END)
    if len(head) > MAX_HEAD_BYTES:
        return b""
    return bytes(head) if end else None


def request_of(received: bytearray, body_bytes: Callable[[bytes], int]) -> tuple[bytes, bytes] | None:
    """The head of a request and its body; None when more has to come."""
    head = head_of(received)
    if not head:
        return None if head is None else (b"", b"")
    wanted = body_bytes(head)
    if not wanted:
        return head, b""
    start = received.index(head + END) + len(head + END)
    body = received[start : start + wanted]
    return (head, bytes(body)) if len(body) == wanted else None


class Connections:
    """Answers requests at an address."""

    def __init__(
        self,
        address: str,
        respond: Callable[[bytes, bytes], bytes],
        body_bytes: Callable[[bytes], int] = lambda _: 0,
    ) -> None:
        """Prepare.

        Args:
            address: as in `listening.listen`.
            respond: the whole response to the head and the body of a request; the head is empty when it was
                too long.
            body_bytes: how long the body is, by the head; 0 where it is not read.
        """
        self._address = address
        self._respond = respond
        self._body_bytes = body_bytes
        self._listeners: list[socket] = []
        self._open: dict[Connection, None] = {}
        """The oldest first."""
        self._answered: dict[Connection, None] = {}
        self._of: dict[str, dict[Connection, None]] = {}
        """Those of each address."""
        self._sweeping: asyncio.TimerHandle | None = None

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
            self._loop.add_reader(each, self._accept, each)

    def stop(self) -> None:
        """Stop listening, and close what is open."""
        for each in self._listeners:
            self._loop.remove_reader(each)
            each.close()
        self._listeners = []
        for connection in list(self._open):
            self._close(connection)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _accept(self, listener: socket) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NONE_LEFT:
                    self._pause(listener, error)
                    return
                continue  # this client has already disconnected
            sock.settimeout(0)
            self._begin(Connection(sock, str(address[0])))

    def _pause(self, listener: socket, error: OSError) -> None:
        """Descriptors or memory are used up: asked again at once, the loop would do nothing else."""
        log.warning("cannot answer probes and scrapes: %s", error)
        self._loop.remove_reader(listener)
        self._loop.call_later(PAUSE_SECONDS, self._resume, listener)

    def _resume(self, listener: socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _begin(self, connection: Connection) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            self._close(self._least())
        self._open[connection] = None
        self._of.setdefault(connection.address, {})[connection] = None
        self._enter(connection, Stage.WAITING)
        self._read(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _least(self) -> Connection:
        """The connection to close: one that has its answer, else the oldest of the address with the most."""
        most: dict[Connection, None] = max(self._of.values(), key=len)
        return next(iter(self._answered or most))

    def _enter(self, connection: Connection, stage: Stage) -> None:
        connection.stage = stage
        connection.until = self._loop.time() + SECONDS[stage]
        if stage is Stage.ANSWERED:
            self._answered[connection] = None

    def _sweep(self) -> None:
        """Close those that are too slow."""
        now = self._loop.time()
        for each in list(self._open):
            if each.until <= now:
                self._close(each)
        self._sweeping = self._loop.call_later(SWEEP_SECONDS, self._sweep) if self._open else None

    def _listen_to(self, connection: Connection, *, reading: bool, writing: bool) -> None:
        """Watch for data to read or room to write. This costs more than everything else here."""
        loop, sock = self._loop, connection.sock
        if reading and not connection.reading:
            loop.add_reader(sock, self._read, connection)
        elif connection.reading and not reading:
            loop.remove_reader(sock)
        if writing and not connection.writing:
            loop.add_writer(sock, self._write, connection)
        elif connection.writing and not writing:
            loop.remove_writer(sock)
        connection.reading, connection.writing = reading, writing

    def _close(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        self._answered.pop(connection, None)
        held = self._of.get(connection.address, {})
        held.pop(connection, None)
        if not held:
            self._of.pop(connection.address, None)
        self._listen_to(connection, reading=False, writing=False)
        connection.sock.close()

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(MAX_HEAD_BYTES)
        except BlockingIOError:
            self._listen_to(connection, reading=True, writing=False)
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        if connection.stage is Stage.WAITING:
            connection.received += data
            if (request := request_of(connection.received, self._body_bytes)) is not None:
                connection.received.clear()
                connection.rest = memoryview(self._respond(*request))
                self._enter(connection, Stage.ANSWERING)
                self._write(connection)
                return
        self._listen_to(connection, reading=True, writing=False)

    def _write(self, connection: Connection) -> None:
        try:
            connection.rest = connection.rest[connection.sock.send(connection.rest) :]
            if not connection.rest:
                connection.sock.shutdown(SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)
            return
        if connection.rest:
            self._listen_to(connection, reading=False, writing=True)
            return
        # A connection that is closed with bytes unread is reset, and the answer may be lost.
        self._enter(connection, Stage.ANSWERED)
        self._read(connection)
