"""A web server that sends what it is told, byte by byte, also what no server should send."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Body = Callable[[asyncio.StreamWriter], Awaitable[None]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[str]:
    """A server whose connections are all closed at the end."""
    tasks: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the connections are closed in the next round of the loop


@asynccontextmanager
async def serving(answers: dict[str, tuple[str, Body]]) -> AsyncIterator[str]:
    """A server that answers each path as it is told, and closes the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        head, body = answers[request.split()[1].decode()]
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        await body(writer)

    async with listening(talk) as base:
        yield base


async def nothing(_: asyncio.StreamWriter) -> None:
    pass


async def hello(writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")


def sending(data: bytes) -> Body:
    async def body(writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return body
