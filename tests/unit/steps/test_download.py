"""What a server can do to a download; with real connections."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from yarl import URL

from tests.rawhttp import Body, hello, listening, nothing, sending, serving
from uploadpp.steps import DownloadError, Upload
from uploadpp.steps import download as module
from uploadpp.steps.download import Downloads, Limits
from uploadpp.storage.sources import Source, SourceError, redirected

OK = "HTTP/1.1 200 OK\r\n"
LENGTH = f"{OK}Content-Length: 5\r\n"
CHUNKED = f"{OK}Transfer-Encoding: chunked\r\n"


async def endless(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def endless_chunks(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def trickle(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def upload(
    url: str, size: int, limits: Limits | None = None
) -> AsyncIterator[tuple[Upload, list[int]]]:
    seen: list[int] = []
    downloads = Downloads(ssl.create_default_context(), seen.append, limits)
    try:
        yield Upload(id="u", filename="f", size=size, opener=downloads.opener(url, size, "")), seen
    finally:
        await downloads.close()


async def whole(it: Upload) -> bytes:
    async with it.open() as content:
        return await content.read()


async def read(url: str, size: int, limits: Limits | None = None) -> bytes:
    async with upload(url, size, limits) as (it, _), it.open() as content:
        return await content.read()


@pytest.mark.parametrize(
    ("size", "limits", "problem"),
    [
        (10, None, "more than 10 bytes, the upload 10"),
        (10, Limits(max_size=1000), "more than 10 bytes, the upload 10"),
        (0, Limits(max_size=1000), "more than 1000 bytes, --max-size allows fewer"),
        (1001, Limits(max_size=1000), "1001 bytes, more than --max-size"),
    ],
)
@pytest.mark.parametrize("save", [False, True])
async def test_a_download_ends_at_the_first_byte_too_many(
    tmp_path: Path, size: int, limits: Limits | None, problem: str, *, save: bool
) -> None:
    """Of a server that never ends, in memory and on the disk."""
    path = tmp_path / "file" if save else None
    answer = (OK, endless) if size else (CHUNKED, endless_chunks)
    async with serving({"/x": answer}) as base, upload(f"{base}/x", size, limits) as (it, seen):
        with pytest.raises(DownloadError, match=problem):
            await (it.save(path) if path else whole(it))
    assert sum(seen) <= 65536
    assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size <= 65536


async def test_an_unknown_size_has_a_limit_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNKNOWN_SIZE_BYTES", 500_000)
    async with serving({"/x": (CHUNKED, endless_chunks), "/y": (LENGTH, hello)}) as base:
        with pytest.raises(DownloadError, match="more than 500000 bytes"):
            await read(f"{base}/x", 0)
        assert await read(f"{base}/y", 0) == b"hello"


async def test_a_length_that_is_too_large_is_not_even_read() -> None:
    async with serving({"/x": (f"{OK}Content-Length: 999\r\n", nothing)}) as base:
        with pytest.raises(DownloadError, match="has 999 bytes, the upload 10"):
            await read(f"{base}/x", 10)


async def test_a_full_disk_is_not_made_fuller(tmp_path: Path) -> None:
    async with serving({"/x": (OK, endless)}) as base, upload(f"{base}/x", 1 << 60) as (it, seen):
        with pytest.raises(DownloadError, match="not enough room"):
            await it.save(tmp_path / "file")
    assert seen == []


async def test_a_trickle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)
    async with serving({"/x": (OK, trickle)}) as base:
        with pytest.raises(DownloadError, match="too slow"):
            await read(f"{base}/x", 1_000_000)


async def test_a_slow_step_is_not_a_slow_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 1.0)
    async with serving({"/x": (OK, hello)}) as base, upload(f"{base}/x", 5) as (it, _), it.open() as content:
        assert await content.read(1) == b"h"
        await asyncio.sleep(1.2)
        assert await content.read() == b"ello"


async def test_headers_that_do_not_end_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await trickle(writer)

    async with listening(talk) as base:
        with pytest.raises(DownloadError):
            await read(f"{base}/x", 5)


@pytest.mark.parametrize("answer", ["100 Continue", "103 Early Hints\r\nLink: x", "102 Processing\r\nA: b"])
@pytest.mark.parametrize("many", [2_000, 50_000])
async def test_s4_answers_before_the_answer_are_counted(answer: str, many: int) -> None:
    """The HTTP library would keep all that one read brings, and read nothing else meanwhile."""
    before = f"HTTP/1.1 {answer}\r\n\r\n"
    answers: dict[str, tuple[str, Body]] = {
        "/few": (f"{before * 7}{OK}Content-Length: 5\r\n", hello),
        "/many": (f"{before * many}{OK}Content-Length: 5\r\n", hello),
    }
    async with serving(answers) as base:
        assert await read(f"{base}/few", 5) == b"hello"
        with pytest.raises(DownloadError, match="the download failed: ClientPayloadError"):
            await read(f"{base}/many", 5)


async def test_s4_answers_that_nobody_has_asked_for_are_not_the_next_file() -> None:
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        answer = f"{OK}Content-Length: 5\r\n\r\n".encode()
        while await reader.readuntil(b"\r\n\r\n"):
            asked += 1
            writer.write(answer + b"hello" + (answer + b"WRONG") * 1000)

    async with listening(talk) as base, upload(f"{base}/x", 5) as (it, _):
        for number in (1, 2, 3):
            assert (await whole(it), asked) == (b"hello", number)


async def test_the_bytes_are_taken_as_they_are() -> None:
    """A bomb stays small, and what is scanned is what was sent."""
    async with serving({"/x": (f"{OK}Content-Encoding: gzip\r\n", hello)}) as base:
        assert await read(f"{base}/x", 5) == b"hello"


async def test_encoded_bytes_of_an_unknown_number_are_not_taken_for_the_file() -> None:
    """Of a known size they would be too few or too many."""
    async with serving({"/x": (f"{OK}Content-Encoding: gzip\r\n", hello)}) as base:
        with pytest.raises(DownloadError, match="encoded as gzip, and its size is not known"):
            await read(f"{base}/x", 0)
        with pytest.raises(DownloadError):
            await read(f"{base}/x", 50)
    async with serving({"/x": (f"{LENGTH}Content-Encoding: identity\r\n", hello)}) as base:
        assert await read(f"{base}/x", 0) == b"hello"


@pytest.mark.parametrize(
    "coding", ["gzip", "gzip, chunked", "chunked, chunked", "x\r\nTransfer-Encoding: chunked"]
)
async def test_bytes_that_are_encoded_for_the_transfer_are_not_taken_for_the_file(coding: str) -> None:
    body = sending(b"5\r\nhello\r\n0\r\n\r\n" if coding.endswith("chunked") else b"hello")
    async with serving({"/x": (f"{OK}Transfer-Encoding: {coding}\r\n", body)}) as base:
        with pytest.raises(DownloadError, match=r"encoded as (gzip|chunked|x), and its size is not known"):
            await read(f"{base}/x", 0)
        assert await read(f"{base}/x", 5) == b"hello"
        with pytest.raises(DownloadError):
            await read(f"{base}/x", 50)


@pytest.mark.parametrize("part", ["bytes 0-4/9", "bytes 0-4/*", "x" * 999])
async def test_what_the_server_calls_a_part_is_not_taken_for_the_file(part: str) -> None:
    """Caches answer a whole request with a part that they have, and with 200."""
    async with serving({"/x": (f"{LENGTH}Content-Range: {part}\r\n", hello)}) as base:
        with pytest.raises(DownloadError, match="is a part of a file") as caught:
            await read(f"{base}/x", 0)
        assert len(str(caught.value)) < 120
        assert await read(f"{base}/x", 5) == b"hello"


PART = b"5\r\nhello\r\n"


@pytest.mark.parametrize(
    "head",
    [
        OK,
        "HTTP/1.0 200 OK\r\n",
        f"{OK}Transfer-Encoding: chunked, identity\r\n",
        f"{OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        f"{OK}Transfer-Encoding: identity\r\n",
    ],
)
@pytest.mark.parametrize("body", [b"", b"hello", PART])
async def test_a_download_that_ends_where_the_connection_does_may_be_a_part_of_the_file(
    head: str, body: bytes
) -> None:
    """A step took the part for the file, and a scan of its beginning said clean."""
    async with serving({"/x": (head, sending(body))}) as base:
        with pytest.raises(DownloadError):
            await read(f"{base}/x", 0)
        with pytest.raises(DownloadError):
            await read(f"{base}/x", len(body) + 1)
        if head in {OK, "HTTP/1.0 200 OK\r\n"}:
            with pytest.raises(DownloadError, match="nothing says where the download ends"):
                await read(f"{base}/x", 0)
            assert not body or await read(f"{base}/x", len(body)) == body


@pytest.mark.parametrize("size", [0, 5, 9])
@pytest.mark.parametrize("head", [f"{OK}Content-Length: 9\r\n", CHUNKED])
async def test_a_connection_that_breaks_is_no_end(head: str, size: int) -> None:
    async with serving({"/x": (head, sending(PART if head == CHUNKED else b"hello"))}) as base:
        with pytest.raises(DownloadError):
            await read(f"{base}/x", size)


@pytest.mark.parametrize("head", [LENGTH, CHUNKED, f"{OK}Transfer-Encoding: Identity, Chunked\r\n"])
async def test_a_file_of_an_unknown_size_that_comes_as_a_whole(head: str) -> None:
    body = b"hello" if head == LENGTH else PART + b"0\r\n\r\n"
    async with serving({"/x": (head, sending(body))}) as base:
        assert await read(f"{base}/x", 0) == b"hello"


async def test_an_empty_file() -> None:
    async with serving({"/x": (f"{OK}Content-Length: 0\r\n", nothing)}) as base:
        assert await read(f"{base}/x", 0) == b""


@pytest.mark.parametrize(
    "status",
    ["204 No Content", "206 Partial Content", "304 Not Modified", "429 Too Many Requests", "503 Busy"],
)
async def test_what_is_not_200_is_not_the_file(status: str) -> None:
    async with serving({"/x": (f"HTTP/1.1 {status}\r\nRetry-After: 1\r\n", nothing)}) as base:
        with pytest.raises(DownloadError, match=f"the download answered {status[:3]}"):
            await read(f"{base}/x", 5)


def redirect(target: str, status: int = 302) -> tuple[str, Body]:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {target}\r\n", nothing


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with serving({"/x": redirect("/y", status), "/y": (OK, hello)}) as base:
        with pytest.raises(
            DownloadError, match=f"answered {status}; redirects are followed to --download-from"
        ):
            await read(f"{base}/x", 5)


async def test_redirects_are_followed_to_what_is_allowed_only() -> None:
    answers = {
        "/data/x": redirect("y"),
        "/data/y": (OK, hello),
        "/data/out": redirect("/secret"),
        "/data/dots": redirect("../secret"),
        "/data/far": redirect("http://elsewhere.test/data/y"),
        "/data/file": redirect("file:///etc/passwd"),
        "/data/nowhere": redirect(""),
        "/data/loop": redirect("/data/loop"),
        "/secret": (OK, hello),
    }
    async with serving(answers) as base:
        limits = Limits(sources=(Source.parse(f"{base}/data/"),))
        assert await read(f"{base}/data/x", 5, limits) == b"hello"
        for path in ("/data/out", "/data/dots", "/data/far", "/data/file", "/secret"):
            with pytest.raises(DownloadError, match="the URL is not used: it is") as raised:
                await read(f"{base}{path}", 5, limits)
            assert "elsewhere" not in str(raised.value)
        for path in ("/data/loop", "/data/nowhere"):
            with pytest.raises(DownloadError, match="redirected too often"):
                await read(f"{base}{path}", 5, limits)


def test_no_redirect_leaves_tls() -> None:
    with pytest.raises(SourceError, match="from https to http"):
        redirected(URL("https://a.test/x"), "http://a.test/x")


async def test_what_is_not_allowed_is_not_connected_to() -> None:
    """So the answer does not tell an open port from a closed one, or a name from none."""
    limits = Limits(sources=(Source.parse("https://storage.test/"),))
    said = set()
    async with serving({"/x": (OK, hello)}) as base:
        for url in (f"{base}/x", "http://127.0.0.1:1/x", "http://no-such-host.test/x"):
            with pytest.raises(DownloadError) as raised:
                await read(url, 5, limits)
            said.add(str(raised.value))
    assert len(said) == 1


async def test_a_host_that_does_not_answer_is_not_told_from_one_that_does_not_exist() -> None:
    said = set()
    for url in ("http://127.0.0.1:1/x", "http://no-such-host.invalid/x"):
        with pytest.raises(DownloadError) as raised:
            await read(url, 5)
        said.add(str(raised.value))
    assert said == {"the download failed: ClientConnectorError"}


@asynccontextmanager
async def proxy(answer: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that answers everything alike, and the heads of what it was asked."""
    heads: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n".encode())
        if answer == "200 OK":
            writer.write(b"hello")
        writer.close()

    async with listening(talk) as base:
        yield base, heads


async def test_proxies_count_as_for_services_written_in_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy("200 OK") as (address, heads):
        monkeypatch.setenv("HTTP_PROXY", address.replace("//", "//mary:hunter2@"))
        monkeypatch.setenv("NO_PROXY", ".example.org")
        assert await read("http://files.test/data/1", 5) == b"hello"
        assert heads[0].startswith("GET http://files.test/data/1 HTTP/1.1")
        assert "Proxy-Authorization: Basic bWFyeTpodW50ZXIy" in heads[0]
        with pytest.raises(DownloadError, match="ClientConnectorError"):
            await read("http://files.invalid.example.org/data/1", 5)
        with pytest.raises(DownloadError, match="ClientConnectorError"):
            await read("http://127.0.0.1:1/data/1", 5)
        assert len(heads) == 1


async def test_a_proxy_that_does_not_connect_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy("403 Forbidden") as (address, heads):
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(DownloadError, match="proxy of HTTPS_PROXY does not connect to the storage"):
            await read("https://files.test/data/1", 5)
        assert heads[0].startswith("CONNECT files.test:443 HTTP/1.1")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        with pytest.raises(DownloadError, match="proxy of HTTPS_PROXY or HTTP_PROXY cannot be reached"):
            await read("https://files.test/data/1", 5)
        monkeypatch.setenv("HTTPS_PROXY", "socks5://user:secret@127.0.0.1")
        with pytest.raises(DownloadError, match=r"^HTTPS_PROXY: a proxy must begin with http:// or https://"):
            await read("https://files.test/data/1", 5)


async def test_cookies_are_not_kept() -> None:
    requests: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"{OK}Set-Cookie: a=b\r\nConnection: close\r\n\r\nhello".encode())

    # By name: cookies of addresses are never kept.
    async with listening(talk) as base, upload(f"{base.replace('127.0.0.1', 'localhost')}/x", 5) as (it, _):
        assert await whole(it) == await whole(it) == b"hello"
    assert len(requests) == 2
    assert not any(b"cookie" in request.lower() for request in requests)
