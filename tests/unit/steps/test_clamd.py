"""What a clamd can answer, and what it can do to a connection; the real one is in the integration tests."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from uploadpp.core.states import Outcome
from uploadpp.runtime.configuration import ConfigurationError, read_model
from uploadpp.steps import Abort, Continue, Delete, Retry, Upload, Verdict, VirusscanResult
from uploadpp.steps.clamd import Address, ScanError, TooLargeError, scan, verdict
from uploadpp.steps.virusscan import Virusscan, VirusscanOptions

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/clamd.sock", Address(path="/run/clamd.sock")),
        ("unix:/run/a:b", Address(path="/run/a:b")),
        ("unix:///run/clamd.sock", Address(path="/run/clamd.sock")),
        ("tcp:clamd:3310", Address(host="clamd", port=3310)),
        ("tcp://127.0.0.1:3310", Address(host="127.0.0.1", port=3310)),
        ("tcp:[::1]:3310", Address(host="::1", port=3310)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text", ["clamd", "tcp:clamd", "tcp::3310", "tcp:a:99999", "http://a:1", "unix:clamd"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"UPLOADPP_STEP_CLAMD=.*is no address of clamd"):
        read_model(VirusscanOptions, {}, {"UPLOADPP_STEP_CLAMD": text})


def test_only_ok_is_clean() -> None:
    assert verdict("stream: OK", complete=True) == ""
    assert verdict("stream: Eicar FOUND", complete=False) == "Eicar"


@pytest.mark.parametrize(
    ("reply", "complete"),
    [
        ("", True),
        ("OK", True),
        ("stream: OK", False),
        ("stream: ok", True),
        ("stream: NOT OK", True),
        ("stream: Can't allocate memory ERROR", True),
        ("UNKNOWN COMMAND", True),
        ("COMMAND READ TIMED OUT", False),
    ],
)
def test_everything_else_is_not_clean(reply: str, *, complete: bool) -> None:
    with pytest.raises(ScanError) as raised:
        verdict(reply, complete=complete)
    assert not isinstance(raised.value, TooLargeError)


@pytest.mark.parametrize(
    "reply", ["INSTREAM size limit exceeded. ERROR", "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND"]
)
def test_limits_are_neither_clean_nor_a_virus(reply: str) -> None:
    with pytest.raises(TooLargeError):
        verdict(reply, complete=True)


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


async def much() -> AsyncIterator[bytes]:
    for _ in range(200):
        yield b"x" * 65536


async def test_the_file_arrives_as_it_is(tmp_path: Path) -> None:
    seen = bytearray()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(10) == b"zINSTREAM\0"
        while size := struct.unpack("!I", await reader.readexactly(4))[0]:
            seen.extend(await reader.readexactly(size))
        writer.write(b"stream: OK\0")

    async with listening(tmp_path, handler) as address:
        assert await scan(address, much()) == ""
    assert bytes(seen) == b"x" * 65536 * 200


async def test_an_answer_before_the_end_counts(tmp_path: Path) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100)
        writer.write(b"INSTREAM size limit exceeded. ERROR\0")
        await writer.drain()

    async with listening(tmp_path, handler) as address:
        with pytest.raises(TooLargeError):
            await scan(address, much())


async def test_ok_before_the_end_is_not_clean(tmp_path: Path) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100)
        writer.write(b"stream: OK\0")

    async with listening(tmp_path, handler) as address:
        with pytest.raises(ScanError, match="closed the connection"):
            await scan(address, much())


async def test_a_clamd_that_hangs_up_or_is_away(tmp_path: Path) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.readexactly(100)

    async with listening(tmp_path, handler) as address:
        with pytest.raises(ScanError, match="closed the connection"):
            await scan(address, much())
    with pytest.raises(ScanError, match="cannot be reached"):
        await scan(Address(path=str(tmp_path / "nobody")), much())


async def checked(folder: Path, reply: bytes, **flags: str) -> Verdict:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(struct.pack("!I", 0))
        writer.write(reply + b"\0")

    options = read_model(VirusscanOptions, flags, {})
    async with listening(folder, handler) as address:
        return await Virusscan(address, options).check(Upload.of(b"x"))


NOT_SCANNED = "not scanned: the file is larger than clamd's StreamMaxLength"
FOUND, OK, LIMIT = b"stream: Eicar FOUND", b"stream: OK", b"INSTREAM size limit exceeded. ERROR"


@pytest.mark.parametrize(
    ("reply", "flags", "kind", "result"),
    [
        (OK, {}, Continue, (False, "", "")),
        (FOUND, {}, Delete, (True, "Eicar", "")),
        (FOUND, {"infected": "abort"}, Abort, (True, "Eicar", "")),
        (FOUND, {"infected": "continue"}, Continue, (True, "Eicar", "")),
        (b"stream: x ERROR", {}, Retry, (False, "", "clamd answered: x ERROR")),
        (OK, {"max_scan_size": "1"}, Continue, (False, "", "")),
        (OK, {"max_scan_size": "0"}, Continue, (False, "", "")),
        (LIMIT, {"oversize": "abort"}, Abort, (False, "", NOT_SCANNED)),
    ],
)  # fmt: skip
async def test_what_follows(
    tmp_path: Path, reply: bytes, flags: dict[str, str], kind: type[Verdict], result: tuple[bool, str, str]
) -> None:
    said = await checked(tmp_path, reply, **flags)
    assert type(said) is kind
    assert isinstance(said.result, VirusscanResult)
    assert (said.result.infected, said.result.description, said.result.error) == result
    assert (said.result.scanned_at is None) is bool(said.result.error)


async def test_a_limit_of_clamd_is_a_retry_with_the_remedy(tmp_path: Path) -> None:
    said = await checked(tmp_path, LIMIT)
    assert isinstance(said, Retry)
    assert "--oversize" in said.message


@pytest.mark.parametrize("outcome", [None, *Outcome])  # all but partial
async def test_a_file_above_the_limit_is_not_even_sent(tmp_path: Path, outcome: Outcome | None) -> None:
    flags = {"max_scan_size": "4", **({"oversize": outcome.value} if outcome else {})}
    options = read_model(VirusscanOptions, flags, {})
    said = await Virusscan(Address(path=str(tmp_path / "nobody")), options).check(Upload.of(b"hello"))
    assert said.outcome is (outcome or Outcome.CONTINUE)
    assert isinstance(said.result, VirusscanResult)
    assert said.result.error == "not scanned: larger than 4 bytes"
    assert said.result.scanned_at is None


@pytest.mark.parametrize("reply", [OK, FOUND, LIMIT])
async def test_the_beginning_of_a_large_file(tmp_path: Path, reply: bytes) -> None:
    sent, wanted = b"", b"zINSTREAM\0" + struct.pack("!I", 4) + b"hell" + struct.pack("!I", 0)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        sent = await reader.readexactly(len(wanted))
        writer.write(reply + b"\0")

    options = read_model(VirusscanOptions, {"max_scan_size": "4", "oversize": "partial"}, {})
    async with listening(tmp_path, handler) as address:
        said = await Virusscan(address, options).check(Upload.of(b"hello"))
    assert sent == wanted
    assert isinstance(said.result, VirusscanResult)
    assert (said.outcome, said.result.infected) == {
        OK: (Outcome.CONTINUE, False),
        FOUND: (Outcome.DELETE, True),
        LIMIT: (Outcome.RETRY, False),
    }[reply]
    assert (said.result.scanned_at is not None) is (reply == FOUND)  # half a file is not clean
    if reply == OK:
        assert said.result.error == "only the first 4 of 5 bytes were scanned"


def test_a_part_needs_a_size() -> None:
    with pytest.raises(ConfigurationError, match="partial needs --max-scan-size"):
        read_model(VirusscanOptions, {"oversize": "partial"}, {})


@pytest.mark.parametrize(
    "variables",
    [
        {"UPLOADPP_STEP_INFECTED": "retry"},
        {"UPLOADPP_STEP_MAX_SCAN_SIZE": "big"},
        {"UPLOADPP_STEP_OVERSIZE": "x"},
    ],
)
def test_options_that_cannot_be_used(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(variables))):
        read_model(VirusscanOptions, {}, variables)
