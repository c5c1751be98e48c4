"""`uploadpp step` as people call it: with a real clamd, with commands, with rules."""

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.demo.clamav import ClamavUnavailableError, ClamdServer
from e2e.demo.steps.scanners import eicar
from tests.stepbench import RESOURCE, StepBench


@pytest.fixture
async def clamd(instance: Instance) -> ClamdServer:
    try:
        made = ClamdServer(instance)
    except ClamavUnavailableError as error:
        pytest.skip(f"no clamd here: {error}")
    await asyncio.to_thread(made.start)
    return made


async def outcomes(
    bench: StepBench,
    step: str,
    *contents: bytes,
    **members: Any,  # noqa: ANN401 -- members of the event
) -> list[tuple[str, Any]]:
    """Outcome and result for each content, in order."""
    uploads = [await bench.start(step, content, **members) for content in contents]
    answers = [await bench.answer(upload) for upload in uploads]
    return [(answer.payload["Outcome"], answer.payload["Result"]) for answer in answers]


async def test_a_virus_scan_with_clamd(bench: StepBench, clamd: ClamdServer) -> None:
    step = bench.process(["-m", "uploadpp", "step", "virusscan", "--clamd", f"unix:{clamd.socket}"])
    await asyncio.to_thread(step.start)
    clean, infected, large = await outcomes(
        bench, "virusscan", b"%PDF-1.7" * 50_000, eicar(), b"a" * 30_000_000
    )
    assert clean[0] == "continue"
    assert clean[1] | {"Scandate": ""} == {
        "Infected": False,
        "Description": "",
        "Scandate": "",
        "ResourceID": RESOURCE,
        "ErrorMsg": "",
        "Timestamp": None,
    }
    assert infected[0] == "delete"
    assert infected[1]["Infected"] is True
    assert infected[1]["Description"].startswith("Eicar-Test-Signature")
    assert infected[1]["ErrorMsg"] == ""
    # 25 MB are what this clamd takes (StreamMaxLength): an ERROR is never clean.
    assert large[0] == "retry"
    assert large[1]["ErrorMsg"].startswith("the file is larger than clamd's StreamMaxLength; raise")
    await asyncio.to_thread(clamd.kill)
    (down,) = await outcomes(bench, "virusscan", b"x")
    assert down[0] == "retry"
    assert down[1]["ErrorMsg"].startswith("clamd cannot be reached")


async def test_a_virus_scan_with_limits_of_its_own(bench: StepBench, clamd: ClamdServer) -> None:
    """Everything by variables, as in a container."""
    step = bench.process(
        ["-m", "uploadpp", "step"],
        UPLOADPP_STEP_NAME="virusscan",
        UPLOADPP_STEP_CLAMD=str(clamd.socket),
        UPLOADPP_STEP_INFECTED="abort",
        UPLOADPP_STEP_MAX_SCAN_SIZE="1M",
        UPLOADPP_STEP_CONCURRENCY="2",
    )
    await asyncio.to_thread(step.start)
    infected, large = await outcomes(bench, "virusscan", eicar(), eicar() + b"a" * 2_000_000)
    assert infected[0] == "abort"
    assert large[0] == "continue"
    assert large[1]["Infected"] is False
    assert large[1]["ErrorMsg"] == "not scanned: larger than 1048576 bytes"


async def test_the_beginning_of_a_large_file_is_scanned(bench: StepBench, clamd: ClamdServer) -> None:
    step = bench.process(
        ["-m", "uploadpp", "step", "virusscan", "--clamd", str(clamd.socket)],
        UPLOADPP_STEP_MAX_SCAN_SIZE="1M",
        UPLOADPP_STEP_OVERSIZE="partial",
    )
    await asyncio.to_thread(step.start)
    clean, infected = await outcomes(bench, "virusscan", b"a" * 2_000_000, eicar() + b" " * 2_000_000)
    assert (clean[0], infected[0]) == ("continue", "delete")
    assert clean[1]["ErrorMsg"] == "only the first 1048576 of 2000000 bytes were scanned"
    assert infected[1]["Infected"] is True


def zipped(*contents: bytes, flags: int = 0) -> bytes:
    """A ZIP archive of these files, which says of each that it has these flags."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"file {number}", content)
    data = bytearray(stream.getvalue())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        found = data.find(mark)
        while flags and found >= 0:
            data[found + at] |= flags
            found = data.find(mark, found + 1)
    return bytes(data)


@pytest.mark.parametrize("action", ["", "abort", "continue", "delete"])
async def test_what_clamd_cannot_look_into_is_neither_clean_nor_infected(
    bench: StepBench, instance: Instance, action: str
) -> None:
    """A ZIP with a password; a ZIP with a virus in it is one, also beside something encrypted."""
    try:
        clamd = ClamdServer(instance, "AlertEncrypted yes", "AlertExceedsMax yes", "MaxFileSize 1M")
    except ClamavUnavailableError as error:
        pytest.skip(f"no clamd here: {error}")
    await asyncio.to_thread(clamd.start)
    argv = ["-m", "uploadpp", "step", "virusscan", "--clamd", str(clamd.socket)]
    step = bench.process([*argv, *([f"--encrypted={action}"] if action else [])])
    await asyncio.to_thread(step.start)
    encrypted, virus, plain, large, empty = await outcomes(
        bench,
        "virusscan",
        zipped(b"secret" * 100, flags=1),
        zipped(eicar()),
        zipped(b"hello"),
        bytes(2_000_000),
        b"",
    )
    assert encrypted[0] == (action or "retry")
    assert encrypted[1]["Infected"] is False
    assert "Heuristics.Encrypted.Zip" in encrypted[1]["ErrorMsg"]
    assert encrypted[1]["Scandate"] == "0001-01-01T00:00:00Z"
    assert (virus[0], virus[1]["Infected"]) == ("delete", True)
    assert large[0] == "retry"
    assert large[1]["Infected"] is False
    assert "Heuristics.Limits.Exceeded" in large[1]["ErrorMsg"]
    for clean in (plain, empty):
        assert (clean[0], clean[1]["Infected"], clean[1]["ErrorMsg"]) == ("continue", False, "")


async def test_a_command(bench: StepBench) -> None:
    step = bench.process(
        ["-m", "uploadpp", "step", "grep", "--exec=grep -c forbidden", "--exit=0=delete", "--exit=1=continue"]
    )
    await asyncio.to_thread(step.start)
    good, bad = await outcomes(bench, "grep", b"nothing\n", b"forbidden\nforbidden\n")
    assert good == ("continue", {"ErrorMsg": "0"})
    assert bad == ("delete", {"ErrorMsg": "2"})
    (gone,) = await outcomes(bench, "grep", b"x", url=bench.gateway.url("gone", 60))
    assert gone == ("retry", {"ErrorMsg": "DownloadError: the download answered 404"})
    (expired,) = await outcomes(bench, "grep", b"x", url=bench.gateway.url("x", -60))
    assert expired == ("retry", {"ErrorMsg": "DownloadError: the download answered 403"})


async def test_rules(bench: StepBench, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"rules": [{"outcome": "abort", "mime": "application/x-executable"}]}))
    step = bench.process(
        ["-m", "uploadpp", "step", "policies", "--rule=delete extension=exe", "--rules-file", str(rules)]
    )
    await asyncio.to_thread(step.start)
    elf = b"\x7fELF\x02\x01\x01" + bytes(100)
    assert await outcomes(bench, "policies", b"x", elf) == [
        ("continue", None),
        ("abort", {"ErrorMsg": "a rule forbids mime application/x-executable"}),
    ]
    assert (await outcomes(bench, "policies", b"x", Filename="a.exe"))[0][0] == "delete"
