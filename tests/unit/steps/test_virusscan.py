"""What follows from what clamd says."""

import asyncio
import contextlib
import logging
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakeclamd import listening
from uploadpp.core.states import Outcome
from uploadpp.process.configuration import ConfigurationError, read_model
from uploadpp.steps import Abort, Continue, Delete, Retry, Upload, Verdict, VirusscanResult
from uploadpp.steps.clamd import (
    MAX_FILE_BYTES,
    Address,
)
from uploadpp.steps.virusscan import Virusscan, VirusscanOptions


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


ENCRYPTED, BROKEN = b"stream: Heuristics.Encrypted.Zip FOUND", b"stream: Heuristics.Broken.Executable FOUND"
MACROS, UNWANTED = b"stream: Heuristics.OLE2.ContainsMacros.VBA FOUND", b"stream: PUA.Win.Tool.X-1 FOUND"


@pytest.mark.parametrize(
    ("reply", "flags", "outcome", "infected"),
    [
        *((reply, {}, Outcome.RETRY, False) for reply in (ENCRYPTED, BROKEN)),
        *((ENCRYPTED, {"encrypted": each.value}, each, False) for each in Outcome),
        *((BROKEN, {"unscannable": each.value}, each, False) for each in Outcome),
        (ENCRYPTED, {"infected": "delete", "unscannable": "delete"}, Outcome.RETRY, False),
        (BROKEN, {"infected": "delete", "encrypted": "delete"}, Outcome.RETRY, False),
        (MACROS, {}, Outcome.DELETE, True),
        (UNWANTED, {"infected": "abort"}, Outcome.ABORT, True),
        (UNWANTED, {"suspicious": "continue"}, Outcome.CONTINUE, True),
        (MACROS, {"suspicious": "abort", "encrypted": "continue"}, Outcome.ABORT, True),
        (FOUND, {"suspicious": "continue"}, Outcome.DELETE, True),
    ],
)
async def test_an_option_says_what_happens_to_each(
    tmp_path: Path, reply: bytes, flags: dict[str, str], outcome: Outcome, *, infected: bool
) -> None:
    said = await checked(tmp_path, reply, **flags)
    assert said.outcome is outcome
    assert isinstance(said.result, VirusscanResult)
    assert said.result.infected is infected
    assert (said.result.scanned_at is not None) is infected
    if not infected:
        assert said.result.error == said.message != ""
    if outcome is Outcome.RETRY:
        assert ("--encrypted" if reply is ENCRYPTED else "--unscannable") in said.message


@pytest.mark.parametrize("oversize", ["", "abort", "continue"])
async def test_clamd_says_ok_to_what_is_beyond_its_ceiling(tmp_path: Path, oversize: str) -> None:
    """It is not even sent; by itself clamd would not look at 3 GiB and answer OK."""
    options = read_model(VirusscanOptions, {"oversize": oversize} if oversize else {}, {})
    upload = replace(Upload.of(b""), size=3 << 30)
    said = await Virusscan(Address(path=str(tmp_path / "nobody")), options).check(upload)
    assert said.outcome.value == (oversize or "retry")
    assert isinstance(said.result, VirusscanResult)
    assert str(MAX_FILE_BYTES) in said.result.error
    assert said.result.scanned_at is None


@pytest.mark.parametrize("announced", [0, 3])
@pytest.mark.parametrize("oversize", ["", "abort", "partial"])
async def test_the_announced_size_is_not_believed(tmp_path: Path, oversize: str, announced: int) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(struct.pack("!I", 0))
        writer.write(OK + b"\0")

    flags = {"max_scan_size": "4", **({"oversize": oversize} if oversize else {})}
    async with listening(tmp_path, handler) as address:
        virusscan = Virusscan(address, read_model(VirusscanOptions, flags, {}))
        said = await virusscan.check(replace(Upload.of(b"hello"), size=announced))
    assert isinstance(said.result, VirusscanResult)
    assert said.result.scanned_at is None
    assert said.result.error.startswith(
        "only the first 4" if oversize == "partial" else "not scanned: larger"
    )
    assert said.outcome is (Outcome.ABORT if oversize == "abort" else Outcome.CONTINUE)


async def test_an_empty_file_is_scanned(tmp_path: Path) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(14) == b"zINSTREAM\0\0\0\0\0"
        writer.write(OK + b"\0")

    async with listening(tmp_path, handler) as address:
        said = await Virusscan(address, read_model(VirusscanOptions, {}, {})).check(Upload.of(b""))
    assert isinstance(said.result, VirusscanResult)
    assert said.result.scanned_at is not None


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
        {"UPLOADPP_STEP_ENCRYPTED": "partial"},
        {"UPLOADPP_STEP_UNSCANNABLE": "no"},
        {"UPLOADPP_STEP_SUSPICIOUS": "retry"},
    ],
)
def test_options_that_cannot_be_used(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(variables))):
        read_model(VirusscanOptions, {}, variables)


async def warned(folder: Path, *replies: bytes, uploads: int = 3) -> tuple[list[str], int]:
    """What is logged about a clamd that answers so, and how many files it has got."""
    said, files, asked = list(replies), 0, asyncio.Event()
    warnings: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal files
        await reader.readuntil(struct.pack("!I", 0))
        files += 1
        if files == len(replies):
            asked.set()
        writer.write(said.pop(0) + b"\0")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warnings.append(record.getMessage())

    logger, seen = logging.getLogger("uploadpp.steps.clamd_alerts"), Handler()
    logger.addHandler(seen)
    try:
        async with listening(folder, handler) as address:
            scanner = Virusscan(address, read_model(VirusscanOptions, {}, {}))
            for _ in range(uploads):
                await scanner.check(Upload.of(b"x"))
                while (task := scanner._alerts._asking) is not None and not task.done():
                    await asyncio.wait({task})
            await asked.wait()
    finally:
        logger.removeHandler(seen)
    return warnings, files


def warning(missing: str) -> str:
    said = "clamd says OK to files that it has not scanned, and they count as clean"
    return f"{said}; set {missing} in clamd.conf"


async def test_a_clamd_that_says_ok_to_everything_is_warned_of_once(tmp_path: Path) -> None:
    missing = "AlertEncrypted yes and AlertExceedsMax yes"
    assert await warned(tmp_path, OK, OK, OK, OK, OK) == ([warning(missing)], 5)


async def test_a_clamd_that_reports_what_it_has_not_scanned_is_not_warned_of(tmp_path: Path) -> None:
    exceeded = b"stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND"
    assert await warned(tmp_path, OK, ENCRYPTED, exceeded, OK, OK) == ([], 5)


async def test_it_is_asked_again_when_it_has_not_answered(tmp_path: Path) -> None:
    unknown = b"stream: x ERROR"
    found = await warned(tmp_path, OK, unknown, OK, ENCRYPTED, OK, OK)
    assert found == ([warning("AlertExceedsMax yes")], 6)


async def test_it_is_asked_only_if_something_was_clean(tmp_path: Path) -> None:
    assert await warned(tmp_path, FOUND, FOUND, FOUND) == ([], 3)
