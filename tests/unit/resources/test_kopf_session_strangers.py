"""What a server says to kopf's own requests besides an answer: counted, and not kept."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from uploadpp.kube.access import Access
from uploadpp.kube.api import Api
from uploadpp.kube.credentials import Credentials
from uploadpp.resources.watch.kopf_session import KopfSession

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
BODY = b'{"gitVersion":"v1","versions":[]}'


@contextlib.asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await answer(await reader.readuntil(b"\r\n\r\n"), writer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://localhost:{server.sockets[0].getsockname()[1]}"
    server.close()


@contextlib.asynccontextmanager
async def asking(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    session = KopfSession("uploadpostprocessings", lambda: None, lambda _: False)
    made = await session.session(Credentials(Access(server=url)))
    assert made.aiohttp_session is not None
    yield made.aiohttp_session
    await session.close()


async def early(_: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3000)
        await writer.drain()


async def test_s8_answers_before_the_answer_to_kopf_are_counted() -> None:
    async with serving(early) as url, asking(url) as session:
        with pytest.raises(aiohttp.ClientPayloadError, match="more answers than one request has"):
            await asyncio.wait_for(session.get(f"{url}/api"), 5)


async def test_s8_cookies_are_not_kept() -> None:
    """A proxy may set some with each answer, and each would be sent with every request."""
    heads: list[bytes] = []

    async def sets(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        cookie = b"Set-Cookie: c%d=%s\r\n" % (len(heads), b"x" * 1000)
        length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        writer.write(b"HTTP/1.1 200 OK\r\n" + cookie + length + BODY)

    async with serving(sets) as url:
        async with asking(url) as session:
            for _ in range(2):
                await (await session.get(f"{url}/api")).read()
        async with Api(Credentials(Access(server=url))) as api:
            for _ in range(2):
                with contextlib.suppress(Exception):
                    await api.request("GET", "/version")
    assert len(heads) == 4
    assert not any(b"cookie:" in head.lower() for head in heads)
