"""A clamd that answers what a test wants."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from uploadpp.steps.clamd import Address

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(folder: Path, handler: Handler) -> AsyncIterator[Address]:
    path = str(folder / "clamd.sock")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_unix_server(handle, path):
        yield Address(path=path)


async def says_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(10)
    with contextlib.suppress(asyncio.IncompleteReadError):
        while size := struct.unpack("!I", await reader.readexactly(4))[0]:
            await reader.readexactly(size)
    writer.write(b"stream: OK" + b"\0")
