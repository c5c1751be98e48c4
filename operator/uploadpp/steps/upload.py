"""The upload a step works on, and its bytes."""

import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 64 * 1024
UNKNOWN_SIZE_BYTES = 1 << 30
"""The most bytes of a file whose size is not announced."""
SPARE_BYTES = 64 << 20
"""What stays free on a disk that a file is saved to."""


class DownloadError(Exception):
    """The bytes could not be had, or not all of them. The text holds no URL."""


class Reader(Protocol):
    """A stream of bytes: of asyncio or of aiohttp."""

    async def read(self, n: int = -1, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who uploads. `id` is the opaque id; the others may be empty."""

    id: str = ""
    username: str = field(default="", repr=False)
    mail: str = field(default="", repr=False)


class Content:
    """The bytes of an upload, from the beginning to the end, once."""

    def __init__(
        self,
        reader: Reader,
        size: int,
        on_bytes: Callable[[int], None] | None = None,
        *,
        max_size: int = UNKNOWN_SIZE_BYTES,
    ) -> None:
        """`size` is what was announced, 0 when nothing was: then at most `max_size` bytes are read."""
        self._reader = reader
        self._size = size
        self._most = size or max_size
        self._on_bytes = on_bytes
        self._seen = 0

    async def read(self, size: int = -1) -> bytes:
        """Exactly so many bytes, fewer only at the end of the file; all that are left for -1.

        Raises:
            DownloadError: the connection ended before the file did.
        """
        parts: list[bytes] = []
        missing = size
        while missing and (part := await self._some(CHUNK_BYTES if size < 0 else min(missing, CHUNK_BYTES))):
            parts.append(part)
            missing -= len(part) if size > 0 else 0
        return b"".join(parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self._some(CHUNK_BYTES):
            yield part

    async def _some(self, most: int) -> bytes:
        part = await self._reader.read(most)
        self._seen += len(part)
        if self._seen > self._most:
            what = f"the upload {self._size}" if self._size else "--max-size allows fewer"
            raise DownloadError(f"the download has more than {self._most} bytes, {what}")
        if not part and self._size and self._seen != self._size:
            # Half a file can look clean.
            raise DownloadError(f"the download has {self._seen} bytes, the upload {self._size}")
        if part and self._on_bytes is not None:
            self._on_bytes(len(part))
        return part


Opener = Callable[[], AbstractAsyncContextManager[Content]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What a step gets. The URL of the bytes is a secret and stays inside of `open`."""

    id: str
    filename: str
    size: int
    user: User = User()
    space_id: str = ""
    resource_id: str = ""
    """The file within its space."""
    storage_id: str = ""
    step: str = ""
    traceparent: str = ""
    """The trace this work belongs to, as W3C writes it; empty without one."""
    redelivered: bool = False
    """Whether the start was delivered before, so that work may have been begun, as before a crash."""
    opener: Opener = field(repr=False, compare=False)

    def open(self) -> AbstractAsyncContextManager[Content]:
        """Start the download: `async with upload.open() as content: async for chunk in content: …`."""
        return self.opener()

    async def save(self, path: Path) -> None:
        """Download into a file.

        Raises:
            DownloadError: the bytes could not be had, or there is not enough room for them.
        """
        _check_room(path, self.size)
        async with self.open() as content:
            with path.open("wb") as file:
                unchecked = 0
                async for chunk in content:
                    unchecked += len(chunk)
                    if unchecked >= SPARE_BYTES // 4:
                        _check_room(path, unchecked)
                        unchecked = 0
                    file.write(chunk)

    @classmethod
    def of(cls, content: bytes, filename: str = "file", user: User = User()) -> "Upload":
        """An upload without a server, for tests of a step."""
        return cls(id="test", filename=filename, size=len(content), user=user, opener=_in_memory(content))


def _check_room(path: Path, size: int) -> None:
    if shutil.disk_usage(path.parent).free < size + SPARE_BYTES:
        raise DownloadError("there is not enough room on the disk of the step")


class _Memory:
    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)

    async def read(self, n: int = -1, /) -> bytes:
        part, self._rest = self._rest[:n], self._rest[n:]
        return bytes(part)


def _in_memory(content: bytes) -> Opener:
    @asynccontextmanager
    async def opened() -> AsyncGenerator[Content]:
        yield Content(_Memory(content), len(content))

    return opened
