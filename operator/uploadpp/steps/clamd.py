"""clamd's INSTREAM command, and what its replies mean.

Only a clear "OK" is clean: "ERROR", silence and anything else are not. Not everything that clamd
reports as FOUND is something it found: with alerts switched on it also reports what it could not look
at. Such a file is neither clean nor infected.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from uploadpp.http.hosts import is_encodable

MAX_REPLY = 4096
MAX_SIGNATURE = 200
MAX_FILE_BYTES = 2**31 - 3
"""clamd says OK to larger files without a look at them, whatever its configuration says (INT_MAX - 2)."""
CONNECT_SECONDS = 10
MORE_SECONDS = 1.0
"""How long to wait for more after a reply; clamd disconnects at once."""


class ScanError(Exception):
    """It is not known whether the file is clean."""


class TooLargeError(ScanError):
    """clamd does not scan files of this size, or not to their end."""


class EncryptedError(ScanError):
    """clamd could not look into it: it is encrypted."""


class BrokenError(ScanError):
    """clamd could not look at all of it: it is damaged, or of a form that clamd does not read."""


class Kind(StrEnum):
    """What clamd found, or why it could not look."""

    MALWARE = "malware"
    SUSPICIOUS = "suspicious"
    OVERSIZE = "oversize"
    ENCRYPTED = "encrypted"
    BROKEN = "broken"


_KINDS = (
    # What clamd could not look at. Old versions name it without "Heuristics.".
    ("limits.exceeded", Kind.OVERSIZE),
    ("email.exceedsmax", Kind.OVERSIZE),
    ("xz.dicsizelimit", Kind.OVERSIZE),
    ("oversized.", Kind.OVERSIZE),
    ("encrypted.", Kind.ENCRYPTED),
    ("broken.", Kind.BROKEN),
    # What it found, which need not be malware: unwanted programs, macros, links, numbers of cards, odd disks.
    ("pua.", Kind.SUSPICIOUS),
    ("ole2.containsmacros", Kind.SUSPICIOUS),
    ("phishing.", Kind.SUSPICIOUS),
    ("structured.", Kind.SUSPICIOUS),
    ("safebrowsing.", Kind.SUSPICIOUS),
    ("pdf.obfuscated", Kind.SUSPICIOUS),
    ("apmpartition", Kind.SUSPICIOUS),
    ("gptpartition", Kind.SUSPICIOUS),
    ("mbrpartition", Kind.SUSPICIOUS),  # which clamd spells with two n
)


def kind_of(signature: str) -> Kind:
    """What a name reported by clamd stands for; what is not known is malware."""
    name = signature.casefold().removeprefix("heuristics.")
    return next((kind for beginning, kind in _KINDS if name.startswith(beginning)), Kind.MALWARE)


@dataclass(frozen=True, slots=True)
class Address:
    """Where clamd listens: a local socket, or host and port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Address":
        """`unix:/path`, `/path` or `tcp:host:port`, also with `//` after the scheme.

        Raises:
            ValueError: it is none of these.
        """
        path = text.removeprefix("unix:").removeprefix("//")
        if path.startswith("/"):
            return cls(path=path)
        if text.startswith("tcp:"):
            host, _, port = text.removeprefix("tcp:").removeprefix("//").rpartition(":")
            if _is_host(host.strip("[]")) and port.isascii() and port.isdecimal() and 0 < int(port) < 65536:  # noqa: PLR2004 -- ports have 16 bits
                return cls(host=host.strip("[]"), port=int(port))
        raise ValueError(
            f"{text!r} is not an address of clamd such as unix:/run/clamav/clamd.ctl or tcp:clamd:3310"
        )

    async def connect(self) -> socket.socket:
        """Open a connection.

        Raises:
            OSError: nobody listens there.
        """
        if self.path:
            return await _connect(socket.AF_UNIX, self.path)
        loop = asyncio.get_running_loop()
        places = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for number, (family, _, _, _, place) in enumerate(places, 1):
            try:
                return await _connect(family, place)
            except OSError:
                if number == len(places):
                    raise
        raise OSError(f"{self.host} has no address")


def _is_host(text: str) -> bool:
    """Whether the system may be asked for it."""
    return bool(text) and is_encodable(text) and not any(sign.isspace() or sign in "/@?#" for sign in text)


async def _connect(family: int, place: Any) -> socket.socket:  # noqa: ANN401 -- an address of that family
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)  # noqa: FBT003 -- its only argument
        await asyncio.get_running_loop().sock_connect(connection, place)
    except BaseException:
        connection.close()
        raise
    return connection


async def scan(address: Address, content: AsyncIterable[bytes]) -> str:
    """The name of what clamd found, or nothing when the file is clean.

    Raises:
        TooLargeError: a limit of clamd is exceeded.
        EncryptedError: clamd could not look into it.
        BrokenError: clamd could not look at all of it.
        ScanError: it could not be found out.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await address.connect()
    except (OSError, TimeoutError) as error:
        raise ScanError(f"clamd cannot be reached: {type(error).__name__}") from error
    exchange = _Exchange(connection)
    try:
        return await exchange.scan(content)
    finally:
        connection.close()


class _Exchange:
    """One file, and what clamd says about it.

    clamd may answer, and hang up, before it has everything. Its answer is then still there to be read,
    but not through a StreamReader: that forgets what it has when a write fails.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sent_all = False
        self._answered_early = False

    async def scan(self, content: AsyncIterable[bytes]) -> str:
        answering = asyncio.create_task(self._reply())
        answering.add_done_callback(self._stop_sending)
        sending = asyncio.create_task(self._send(content))
        try:
            await asyncio.wait({answering, sending}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done() and not self._sent_all:
                sending.cancel()  # the rest of the file may take long to download, and is not needed
                await asyncio.wait({sending})
            complete = not sending.cancelled() and await sending
            reply = await answering
            # "stream: OK" without its end may be the beginning of something else.
            complete = complete and not self._answered_early and reply.endswith("\0")
            return verdict(reply, complete=complete)
        finally:
            for task in (answering, sending):
                task.cancel()
            await asyncio.wait({answering, sending})

    def _stop_sending(self, _: asyncio.Task[str]) -> None:
        """Do not wait for a clamd that has answered and reads no more."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    async def _send(self, content: AsyncIterable[bytes]) -> bool:
        """Whether clamd has got the whole file."""
        loop, connection = asyncio.get_running_loop(), self._connection
        sent = 0
        try:
            await loop.sock_sendall(connection, b"zINSTREAM\0")
            async for chunk in content:
                sent += len(chunk)
                if sent > MAX_FILE_BYTES:
                    raise TooLargeError(f"clamd does not look at files of more than {MAX_FILE_BYTES} bytes")
                if chunk:  # a chunk without bytes would be the end
                    await loop.sock_sendall(connection, struct.pack("!I", len(chunk)) + chunk)
            self._sent_all = True
            await loop.sock_sendall(connection, struct.pack("!I", 0))
        except ConnectionError:
            return False
        return True

    async def _reply(self) -> str:
        """All that clamd says until it hangs up, or soon after the end of a record."""
        loop = asyncio.get_running_loop()
        reply = b""
        with contextlib.suppress(ConnectionError, TimeoutError):  # what came before counts
            while len(reply) < MAX_REPLY:
                async with asyncio.timeout(MORE_SECONDS if reply.endswith(b"\0") else None):
                    part = await loop.sock_recv(self._connection, MAX_REPLY)
                if not part:
                    break
                reply += part
                self._answered_early = self._answered_early or not self._sent_all
        return reply.decode(errors="replace")


def verdict(reply: str, *, complete: bool) -> str:
    """What a reply means, as for `scan`. It may hold several records and several lines: the worst counts."""
    records = [record.strip("\r\n") for record in reply.rstrip("\0\r\n").split("\0")]
    reported = [name for record in records for name in _signatures(record)]
    if reported:
        order = list(Kind)  # a finding outweighs what could not be scanned
        return _judged(min(reported, key=lambda name: order.index(kind_of(name))))
    if any("size limit exceeded" in record for record in records):
        raise TooLargeError("the file is larger than clamd's StreamMaxLength")
    if records == ["stream: OK"] and complete:
        return ""
    text = "; ".join(_shown(record.removeprefix("stream: ")) for record in records if record)
    if text and text != "OK":
        raise ScanError(f"clamd answered: {text}")
    raise ScanError("clamd did not answer" if complete else "clamd closed the connection")


def _signatures(record: str) -> list[str]:
    """The names that a record reports. A name may hold a line feed, and the word FOUND."""
    lines = [record] if record.endswith(" FOUND") else record.splitlines()
    texts = [line for line in lines if line.endswith(" FOUND")]
    return [_shown(text.removeprefix("stream: ").removesuffix(" FOUND")) or "unnamed" for text in texts]


def _shown(text: str) -> str:
    clean = "".join(each if each.isprintable() else "\ufffd" for each in text[: MAX_SIGNATURE + 1])
    return clean if len(clean) <= MAX_SIGNATURE else f"{clean[:MAX_SIGNATURE]}…"


def _judged(signature: str) -> str:
    match kind_of(signature):
        case Kind.OVERSIZE:
            raise TooLargeError(f"clamd did not scan all of it: {signature}")
        case Kind.ENCRYPTED:
            raise EncryptedError(f"clamd could not look into it: {signature}")
        case Kind.BROKEN:
            raise BrokenError(f"clamd could not look at all of it: {signature}")
        case _:
            return signature
