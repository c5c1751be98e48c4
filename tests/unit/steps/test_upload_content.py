"""Reading the bytes of an upload."""

import asyncio
from pathlib import Path

import pytest

from uploadpp.steps import Content, DownloadError, Upload


class Crumbs:
    """A connection that gives a few bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self.rest = content

    async def read(self, n: int = -1, /) -> bytes:
        await asyncio.sleep(0)
        size = min(3, n) if n >= 0 else 3
        part, self.rest = self.rest[:size], self.rest[size:]
        return part


@pytest.mark.parametrize("size", [0, 1, 3, 4, 10, 11, 500])
async def test_as_many_bytes_as_asked_for(size: int) -> None:
    content = Content(Crumbs(b"0123456789"), 10)
    assert await content.read(size) == b"0123456789"[:size]
    assert await content.read() == b"0123456789"[size:]
    assert await content.read(5) == b""


async def test_chunks_follow_what_was_read() -> None:
    seen: list[int] = []
    content = Content(Crumbs(b"0123456789"), 10, seen.append)
    assert await content.read(2) == b"01"
    assert b"".join([chunk async for chunk in content]) == b"23456789"
    assert sum(seen) == 10


async def test_half_a_file_is_an_error() -> None:
    with pytest.raises(DownloadError, match="has 10 bytes, the upload 11"):
        await Content(Crumbs(b"0123456789"), 11).read()
    with pytest.raises(DownloadError):
        async for _ in Content(Crumbs(b"0123456789"), 9):
            pass
    assert await Content(Crumbs(b"0123456789"), 0).read() == b"0123456789"  # of an unknown size


async def test_saving(tmp_path: Path) -> None:
    big = bytes(range(256)) * 1000
    await Upload.of(big).save(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == big
    async with Upload.of(big).open() as content:
        assert await content.read(70_000) == big[:70_000]
