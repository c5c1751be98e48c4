"""A storage on loopback: serves one file a URL to the downloader of a step, whole or broken on purpose."""

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from enum import StrEnum

from uploadpp.steps.upload import CHUNK_BYTES, LocalBytes

MAX_HEAD = 64 * 1024
HOST = "127.0.0.1"


class Download(StrEnum):
    """How the bytes of an upload reach a step."""

    WHOLE = "whole"
    CUT = "cut"
    """The connection ends in the middle."""
    SHORT = "short"
    """The file has fewer bytes than the storage announced: it ends in the middle, and nothing looks wrong."""
    LARGER = "larger"
    """More bytes come than the storage announced."""
    MISSING = "missing"
    """The storage answers 404, as it does for an upload that it has lost."""
    EXPIRED = "expired"
    """The storage answers 403, as it does when the URL is too old."""
    REDIRECTED = "redirected"
    """The storage answers with another address."""
    STALLED = "stalled"
    """Half of the bytes come, and then nothing more."""
    REFUSED = "refused"
    """Nobody listens at the address of the storage."""


_STATUSES = {
    Download.MISSING: "404 Not Found",
    Download.EXPIRED: "403 Forbidden",
    Download.REDIRECTED: "307 Temporary Redirect",
}


@dataclass(frozen=True, slots=True)
class _Served:
    local: LocalBytes
    size: int
    download: Download


class Storage:
    """Listens on a free port of loopback until it is closed."""

    def __init__(self) -> None:
        self._files: dict[str, _Served] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._base = ""

    @property
    def base(self) -> str:
        """The beginning of every URL."""
        return f"{self._base}/data/"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: there is no loopback to listen on.
        """
        self._server = await asyncio.start_server(self._accept, HOST, 0, limit=MAX_HEAD)
        self._base = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Close the port and end what is being served."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def url(self, local: LocalBytes, download: Download) -> str:
        """A secret address of the bytes.

        Raises:
            OSError: the file cannot be looked at.
        """
        if download is Download.REFUSED:
            return f"http://{HOST}:1/data/{secrets.token_urlsafe(24)}"
        token = secrets.token_urlsafe(24)
        self._files[f"/data/{token}"] = _Served(local, local.size(), download)
        return f"{self.base}{token}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                head = await reader.readuntil(b"\r\n\r\n")
                served = self._files.get(head.split(b" ", 2)[1].decode("ascii", "replace"))
                await _answer(writer, served)
        finally:
            writer.close()


async def _answer(writer: asyncio.StreamWriter, served: _Served | None) -> None:
    download = Download.MISSING if served is None else served.download
    status = _STATUSES.get(download)
    if served is None or status is not None:
        where = f"Location: http://{HOST}:1/\r\n" if download is Download.REDIRECTED else ""
        writer.write(f"HTTP/1.1 {status}\r\n{where}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        return
    # Where more or less comes than announced the length is not in the head, so that the bytes are counted.
    sized = download not in {Download.SHORT, Download.LARGER}
    length = f"Content-Length: {served.size}\r\n" if sized else ""
    writer.write(f"HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n".encode())
    left = served.size if download in {Download.WHOLE, Download.LARGER} else served.size // 2
    with served.local.open() as file:
        while left and (part := await asyncio.to_thread(file.read, min(left, CHUNK_BYTES))):
            left -= len(part)
            await _write(writer, part)
    if download is Download.LARGER:
        await _write(writer, b"+")
    if download is Download.STALLED:
        await asyncio.Event().wait()


async def _write(writer: asyncio.StreamWriter, part: bytes) -> None:
    if writer.is_closing():
        raise ConnectionResetError  # the step has seen enough
    writer.write(part)
    await writer.drain()
