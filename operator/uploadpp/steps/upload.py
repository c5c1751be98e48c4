"""The upload a step works on, and its bytes."""

import asyncio
import io
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

CHUNK_BYTES = 64 * 1024
UNKNOWN_SIZE_BYTES = 1 << 30
"""The most bytes of a file whose size is not announced."""
SPARE_BYTES = 64 << 20
"""Bytes that stay free on a disk when a file is saved."""


class DownloadError(Exception):
    """The bytes could not be downloaded, or not all of them. The text contains no URL."""


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


SOMEBODY = User(id="user-1", username="einstein", mail="einstein@example.org")
"""Who uploads in tests of a step, unless a test says otherwise."""
UNNAMED = "test"


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
    def of(  # noqa: PLR0913 -- everything that a step can see
        cls,
        content: bytes | Path = b"",
        filename: str = "",
        user: User = SOMEBODY,
        *,
        id: str = "",  # noqa: A002 -- as the field is called
        size: int | None = None,
        space_id: str = "space-1",
        resource_id: str = "file-1",
        storage_id: str = "storage-1",
        step: str = "",
        traceparent: str = "",
        redelivered: bool = False,
    ) -> "Upload":
        """An upload without a server, for tests of a step: call the step's function with it, or deliver it.

        Args:
            content: the bytes, or the file that has them.
            filename: its name; by default that of the file, or `file`.
            user: who uploads it; by default somebody whose id, name and mail are known.
            id: the upload's id; `test` by default.
            size: the announced size, 0 for none; by default the real one. With another one a step gets a
                DownloadError where the bytes do not fit.
            space_id: the space it is in.
            resource_id: the file within its space.
            storage_id: the storage that has the space.
            step: the step's name, as the operator calls it.
            traceparent: the W3C trace that the work belongs to.
            redelivered: whether the start was delivered before.

        Raises:
            OSError: the file cannot be looked at.
        """
        local = LocalBytes(content)
        announced = local.size() if size is None else size
        return cls(
            id=id or UNNAMED,
            filename=filename or (content.name if isinstance(content, Path) else "file"),
            size=announced,
            user=user,
            space_id=space_id,
            resource_id=resource_id,
            storage_id=storage_id,
            step=step,
            traceparent=traceparent,
            redelivered=redelivered,
            opener=_LocalOpener(local, announced),
        )

    @property
    def local(self) -> "LocalBytes":
        """The bytes of an upload that `of` has made.

        Raises:
            TypeError: it was made otherwise.
        """
        if not isinstance(self.opener, _LocalOpener):
            raise TypeError("only an upload of Upload.of(…) can be delivered")
        return self.opener.local


def _check_room(path: Path, size: int) -> None:
    if shutil.disk_usage(path.parent).free < size + SPARE_BYTES:
        raise DownloadError("there is not enough room on the disk of the step")


@dataclass(frozen=True, slots=True)
class LocalBytes:
    """Bytes that need no server."""

    content: bytes | Path = field(repr=False)

    def size(self) -> int:
        """How many there are.

        Raises:
            OSError: the file cannot be looked at.
        """
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def open(self) -> BinaryIO:
        """Read from the beginning.

        Raises:
            OSError: the file cannot be read.
        """
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


class _Blocks:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def read(self, n: int = -1, /) -> bytes:
        size = n if n >= 0 else CHUNK_BYTES
        if isinstance(self._file, io.BytesIO):
            return self._file.read(size)
        return await asyncio.to_thread(self._file.read, size)


@dataclass(frozen=True, slots=True)
class _LocalOpener:
    local: LocalBytes
    size: int

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[Content]:
        with self.local.open() as file:
            yield Content(_Blocks(file), self.size)
