"""Answers without an end, and answers that grow when they are unpacked: bounded in memory and in time."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest

from uploadpp.kube import bodies
from uploadpp.kube.access import Access
from uploadpp.kube.api import Api
from uploadpp.kube.credentials import Credentials
from uploadpp.kube.errors import TooLargeAnswerError, UnavailableError
from uploadpp.kube.store import Store

META = {"name": "u1", "namespace": "ocis", "uid": "1-2", "resourceVersion": "7"}
UPLOAD = {"kind": "UploadPostprocessing", "metadata": META, "spec": {"upload": {"id": "u1"}}}
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
PIECE = b"[" * 65536
Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def serving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[Answer], Store]]:
    """A store before a server that answers as a test wants it."""
    monkeypatch.setattr(bodies, "MOST_BYTES", 1 << 20)
    answers: list[Answer] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        with contextlib.suppress(OSError):  # the client has had enough
            await answers[0](head.partition("\r\n")[0], writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Api(Credentials(Access(server=f"http://127.0.0.1:{port}"))) as api:

        def start(answer: Answer) -> Store:
            answers[:] = [answer]
            return Store(api, "ocis")

        yield start
    server.close()
    await server.wait_closed()


async def endless(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"\r\n")
    while True:
        writer.write(PIECE)
        await writer.drain()


async def endless_chunks(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + PIECE + b"\r\n")
        await writer.drain()


async def endless_error(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(PIECE)
        await writer.drain()


async def announced(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 99999999999\r\n\r\n" + PIECE)
    while True:
        writer.write(PIECE)
        await writer.drain()


async def bomb(_: str, writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(b"[" * (1 << 22))
    writer.write(OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


@pytest.mark.parametrize("answer", [endless, endless_chunks, endless_error, announced, bomb])
async def test_no_more_is_read_than_any_answer_has(
    serving: Callable[[Answer], Store], answer: Answer
) -> None:
    with pytest.raises(TooLargeAnswerError, match="more than 1048576 bytes"):
        await asyncio.wait_for(serving(answer).get("u1"), 10)


@pytest.mark.parametrize("before", ["100 Continue", "103 Early Hints"])
async def test_s8_answers_before_the_answer_are_counted(
    serving: Callable[[Answer], Store], before: str
) -> None:
    """The HTTP library would keep all that one read brings, and do nothing else for seconds."""

    async def early(_: str, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(f"HTTP/1.1 {before}\r\n\r\n".encode() * 3000)
            await writer.drain()

    with pytest.raises(UnavailableError, match="ends too early, or does not come from an API server"):
        await asyncio.wait_for(serving(early).get("u1"), 5)


@pytest.mark.parametrize(
    "chunk", [b"1\r\n[\r\n", b"1;" + b"x" * 2000 + b"\r\n[\r\n"], ids=["byte", "extension"]
)
async def test_a_chunk_for_each_byte_ends_with_the_time_of_the_request(
    serving: Callable[[Answer], Store], chunk: bytes
) -> None:
    async def chunks(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(chunk * 1000)
            await writer.drain()

    began = asyncio.get_running_loop().time()
    with pytest.raises(UnavailableError, match=r"no complete response in time|has more than"):
        await serving(chunks)._api.request("GET", "/version", timeout=1)
    assert asyncio.get_running_loop().time() - began < 20


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"Content-Length: 99\r\n\r\n{}", "ends too early"),
        (b"Content-Length: 1\r\n\r\n{}", "is not JSON|is not HTTP"),
        (b"Content-Length: -1\r\n\r\n{}", "is not HTTP"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "is not HTTP"),
        (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "ends too early|does not come"),
        (b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}", "is none of|not HTTP"),
        (b"X: x\r\n" * 100_000, "is not HTTP"),
        (b"X: " + b"x" * 1_000_000, "is not HTTP"),
    ],
    ids=["short", "long", "negative", "two", "not gzip", "huge chunk", "headers", "line"],
)
async def test_an_answer_that_lies_is_unavailable_and_says_why(
    serving: Callable[[Answer], Store], answer: bytes, words: str
) -> None:
    async def lies(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + answer)
        await writer.drain()

    with pytest.raises(UnavailableError, match=words):
        await asyncio.wait_for(serving(lies).get("u1"), 5)


async def test_an_answer_that_drips_ends_with_the_time_of_the_request(
    serving: Callable[[Answer], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = asyncio.Event()

    async def drips(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    store = serving(drips)
    request = store._api.request

    async def hurried(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- whatever is asked
        return await request(*args, **{**kwargs, "timeout": 0.3})

    monkeypatch.setattr(store._api, "request", hurried)
    with pytest.raises(UnavailableError, match="no complete response in time"):
        await store.get("u1")
    await asyncio.wait_for(gone.wait(), 5)


async def test_a_page_that_is_too_large_is_asked_for_again_with_fewer(
    serving: Callable[[Answer], Store],
) -> None:
    """Anybody who may make resources can make each of them a megabyte long."""
    large: list[dict[str, Any]] = [
        {**UPLOAD, "metadata": {**META, "name": f"u{n}"}, "status": {"x": "y" * 100_000}} for n in range(40)
    ]
    asked: list[int] = []

    async def pages(line: str, writer: asyncio.StreamWriter) -> None:
        query = dict(part.split("=") for part in line.split()[1].partition("?")[2].split("&"))
        first, limit = int(query.get("continue", "0")), int(query["limit"])
        asked.append(limit)
        rest = str(first + limit) if first + limit < len(large) else ""
        page = {
            "kind": "UploadPostprocessingList",
            "metadata": {"resourceVersion": "9", "continue": rest},
            "items": large[first : first + limit],
        }
        body = orjson.dumps(page)
        writer.write(OK + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    names = [each["metadata"]["name"] async for each in serving(pages).list_all()]
    assert names == [each["metadata"]["name"] for each in large]
    assert asked[:2] == [50, 12]


async def test_one_object_that_is_too_large_is_said(serving: Callable[[Answer], Store]) -> None:
    with pytest.raises(TooLargeAnswerError, match="unless this is a list, something between"):
        _ = [each async for each in serving(endless).list_all()]


async def test_packed_answers_are_read(serving: Callable[[Answer], Store]) -> None:
    """As the API server packs what is long."""

    async def packed(_: str, writer: asyncio.StreamWriter) -> None:
        body = gzip.compress(orjson.dumps(UPLOAD))
        writer.write(OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    assert await serving(packed).get("u1") == UPLOAD
