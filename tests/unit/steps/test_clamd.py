"""What a clamd can answer, and what it can do to a connection; the real one is in the integration tests."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakeclamd import listening, says_ok
from uploadpp.process.configuration import ConfigurationError, read_model
from uploadpp.steps.clamd import (
    Address,
    BrokenError,
    EncryptedError,
    Kind,
    ScanError,
    TooLargeError,
    kind_of,
    scan,
    verdict,
)
from uploadpp.steps.virusscan import VirusscanOptions


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/clamd.sock", Address(path="/run/clamd.sock")),
        ("unix:/run/a:b", Address(path="/run/a:b")),
        ("unix:///run/clamd.sock", Address(path="/run/clamd.sock")),
        ("tcp:clamd:3310", Address(host="clamd", port=3310)),
        ("tcp://127.0.0.1:3310", Address(host="127.0.0.1", port=3310)),
        ("tcp:[::1]:3310", Address(host="::1", port=3310)),
        ("tcp:clamd.example.org.:3310", Address(host="clamd.example.org.", port=3310)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("clamd", "tcp:clamd", "tcp::3310", "tcp:a:99999", "http://a:1", "unix:clamd"),
        *("tcp:a..b:3310", f"tcp:{'a' * 64}:3310", "tcp:a b:3310", "tcp:mary@a:3310", "tcp:[]:3310"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"UPLOADPP_STEP_CLAMD=.*is not an address of clamd"):
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


@pytest.mark.parametrize(
    ("signature", "kind"),
    [
        ("Eicar-Test-Signature", Kind.MALWARE),
        ("Heuristics.Exploit.CVE_2023_1", Kind.MALWARE),
        ("Win.Trojan.Encrypted.Zip-1", Kind.MALWARE),
        ("Heuristics.Encrypted.7Zip", Kind.ENCRYPTED),
        ("Heuristics.Encrypted.PDF", Kind.ENCRYPTED),
        ("Encrypted.RAR", Kind.ENCRYPTED),
        ("heuristics.encrypted.zip", Kind.ENCRYPTED),
        ("Heuristics.Encrypted.Zip(44d88612fea8a8f36de82e1278abb02f:68)", Kind.ENCRYPTED),
        ("Heuristics.Broken.Media.JPEG.JFIFmarkerBadPosition", Kind.BROKEN),
        ("Broken.Executable", Kind.BROKEN),
        ("Heuristics.Limits.Exceeded.MaxScanTime", Kind.OVERSIZE),
        ("Heuristics.Limits.Exceeded", Kind.OVERSIZE),
        ("Heuristics.Email.ExceedsMax.PartsPerMessage", Kind.OVERSIZE),
        ("Heuristics.XZ.DicSizeLimit", Kind.OVERSIZE),
        ("PUA.Doc.Packed.EncryptedDoc-1", Kind.SUSPICIOUS),
        ("Heuristics.OLE2.ContainsMacros.XLM", Kind.SUSPICIOUS),
        ("Heuristics.Phishing.Email.SpoofedDomain", Kind.SUSPICIOUS),
        ("Heuristics.Structured.CreditCardNumber", Kind.SUSPICIOUS),
        ("Heuristics.PDF.ObfuscatedNameObject", Kind.SUSPICIOUS),
        ("Heuristics.GPTPartitionIntersection", Kind.SUSPICIOUS),
        ("Heuristics.APMPartitionIntersection", Kind.SUSPICIOUS),
        ("Heuristics.MBRPartitionnIntersect", Kind.SUSPICIOUS),  # as it stands in libclamav
        ("Heuristics.Zip.OverlappingFiles", Kind.MALWARE),
    ],
)
def test_what_clamd_found_is_told_from_what_it_could_not_look_at(signature: str, kind: Kind) -> None:
    assert kind_of(signature) is kind


@pytest.mark.parametrize(
    ("reply", "signature"),
    [
        ("stream: Eicar FOUND\0", "Eicar"),
        ("stream: Eicar FOUND\n", "Eicar"),
        ("stream: My Virus 1 FOUND\0", "My Virus 1"),
        ("stream: not FOUND yet FOUND\0", "not FOUND yet"),
        ("stream: two\nlines FOUND\0", "two\ufffdlines"),
        ("stream: \x1b[2J FOUND\0", "\ufffd[2J"),
        ("stream: Eicar FOUND\0stream: OK\0", "Eicar"),
        ("stream: Eicar FOUND\nstream: OK\n", "Eicar"),
        ("stream: Heuristics.Encrypted.Zip FOUND\0stream: Eicar FOUND\0", "Eicar"),
        ("INSTREAM size limit exceeded. ERROR\0stream: Eicar FOUND\0", "Eicar"),
        ("stream:  FOUND\0", "unnamed"),
        (f"stream: {'x' * 1000} FOUND", f"{'x' * 200}…"),
    ],
)
def test_a_name_is_read_from_any_reply_that_reports_one(reply: str, signature: str) -> None:
    assert verdict(reply, complete=True) == signature


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("stream: OK\0stream: OK\0", ScanError),
        ("stream: OK\nstream: x ERROR\0", ScanError),
        ("stream: Eicar\nOK\0", ScanError),
        ("stream: OK FOUNDX\0", ScanError),
        ("stream: Eicar FOU", ScanError),
        ("stream: Heuristics.Encrypted.Zip FOUND\0stream: OK\0", EncryptedError),
        ("stream: Heuristics.Broken.Executable FOUND\nstream: OK\0", BrokenError),
        ("stream: OK\0INSTREAM size limit exceeded. ERROR\0", TooLargeError),
    ],
)
def test_a_reply_of_several_lines_is_clean_only_if_all_are(reply: str, error: type[ScanError]) -> None:
    with pytest.raises(ScanError) as raised:
        verdict(reply, complete=True)
    assert type(raised.value) is error


async def test_the_ceiling_is_counted_where_no_size_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploadpp.steps.clamd.MAX_FILE_BYTES", 1_000_000)

    async with listening(tmp_path, says_ok) as address:
        with pytest.raises(TooLargeError, match="1000000"):
            await scan(address, much())


@pytest.mark.parametrize(
    ("reply", "error"),
    [(b"stream: OK\0", ScanError), (b"INSTREAM size limit exceeded. ERROR\0", TooLargeError)],
)
async def test_who_answers_and_neither_reads_on_nor_hangs_up_does_not_hold_us(
    tmp_path: Path, reply: bytes, error: type[ScanError]
) -> None:
    released = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100)
        writer.write(reply)
        await released.wait()

    async with listening(tmp_path, handler) as address, asyncio.timeout(30):
        with pytest.raises(error):
            await scan(address, much())
        released.set()


async def test_ok_to_a_file_that_was_not_sent_yet_is_not_clean(tmp_path: Path) -> None:
    """Here all is sent after all, but the answer was there before."""
    answered = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(10)
        writer.write(b"stream: OK\0")
        await writer.drain()
        answered.set()
        await reader.read()

    async def late() -> AsyncIterator[bytes]:
        await answered.wait()
        await asyncio.sleep(0.05)  # until the answer has arrived; nothing tells us
        yield b"x"

    async with listening(tmp_path, handler) as address, asyncio.timeout(30):
        with pytest.raises(ScanError):
            await scan(address, late())


async def test_a_connection_that_stays_open_after_the_answer_does_not_hold_us(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says_ok(reader, writer)
        await released.wait()

    async with listening(tmp_path, handler) as address, asyncio.timeout(30):
        assert await scan(address, much()) == ""
        released.set()


@pytest.mark.parametrize("reply", [b"stream: OK", b"stream: OK\0stream: OK", b"stream: OK\0\0x"])
async def test_s4_an_answer_whose_end_does_not_come_is_not_clean(tmp_path: Path, reply: bytes) -> None:
    """A name that begins with OK begins like that."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(10)
        while size := struct.unpack("!I", await reader.readexactly(4))[0]:
            await reader.readexactly(size)
        writer.write(reply)

    async with listening(tmp_path, handler) as address, asyncio.timeout(30):
        with pytest.raises(ScanError):
            await scan(address, much())
