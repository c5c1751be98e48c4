"""Commands as steps, with real processes."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stepbench import until
from uploadpp.runtime.configuration import ConfigurationError, read_model
from uploadpp.steps import (
    Abort,
    Content,
    Continue,
    Delete,
    DownloadError,
    Retry,
    Upload,
    Verdict,
    VirusscanResult,
)
from uploadpp.steps.command import Command, CommandOptions

PYTHON = f"{sys.executable} -c"


def options(command: str, **flags: object) -> CommandOptions:
    return read_model(CommandOptions, {"exec": command, **flags}, {})


async def run(command: str, content: bytes = b"hello", step: str = "mine", **flags: object) -> Verdict:
    upload = replace(Upload.of(content, "plan.pdf"), step=step)
    return await Command(options(command, **flags)).check(upload)


async def test_the_file_is_on_standard_input_and_the_last_line_is_the_message() -> None:
    verdict = await run("sh -c 'echo first; wc -c; echo'", b"x" * 300_000)
    assert isinstance(verdict, Continue)
    assert verdict.message == "300000"


async def test_the_file_is_where_its_path_stands_and_gone_afterwards() -> None:
    verdict = await run("sh -c 'cat {path}; echo; echo {path}; cat'")
    assert isinstance(verdict, Continue)
    assert verdict.message.endswith("/file")
    assert not os.path.exists(verdict.message)  # noqa: PTH110, ASYNC240 -- nobody waits


@pytest.mark.parametrize(
    ("status", "exits", "kind"),
    [
        (0, [], Continue),
        (1, [], Retry),
        (1, ["1=delete"], Delete),
        (1, "0=continue, 1=abort", Abort),
        (0, ["0=delete"], Delete),
        (2, ["1=delete"], Retry),
    ],
)
async def test_what_an_exit_status_means(status: int, exits: object, kind: type[Verdict]) -> None:
    verdict = await run(f"sh -c 'echo because; exit {status}'", exit=exits)
    assert type(verdict) is kind
    assert verdict.message == (f"exit status {status}: because" if kind is Retry else "because")


async def test_a_command_that_is_killed_is_a_retry_whatever_was_said() -> None:
    verdict = await run("sh -c 'kill -9 $$'", exit=["9=continue", "137=continue"])
    assert isinstance(verdict, Retry)
    assert verdict.message == "the command ended with signal 9"


async def test_a_command_may_stop_reading() -> None:
    verdict = await run("head -c 3", b"x" * 5_000_000)
    assert (type(verdict), verdict.message) == (Continue, "xxx")


async def test_a_flood_of_output_does_not_stop_it() -> None:
    verdict = await run(f"{PYTHON} 'print(\"y\" * 80 + chr(10)) or [print(i) for i in range(200000)]'")
    assert verdict.message == "199999"


@pytest.mark.parametrize("status", [0, 1])
async def test_a_virus_scan_says_what_the_storage_wants_to_know(status: int) -> None:
    verdict = await run(f"sh -c 'echo Eicar FOUND; exit {status}'", step="virusscan", exit=["1=delete"])
    assert isinstance(verdict.result, VirusscanResult)
    assert verdict.result.infected is (status == 1)
    assert verdict.result.description == ("Eicar FOUND" if status else "")
    assert (await run("sh -c 'exit 2'", step="virusscan")).result is None


async def test_the_command_knows_the_upload_but_not_our_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCIS_EVENTS_AUTH_PASSWORD", "secret")
    monkeypatch.setenv("MINE", "kept")
    verdict = await run(
        "sh -c 'echo $UPLOAD_ID,$UPLOAD_FILENAME,$UPLOAD_SIZE,$MINE,$OCIS_EVENTS_AUTH_PASSWORD'"
    )
    assert verdict.message == "test,plan.pdf,5,kept,"


async def test_half_a_file_has_no_verdict() -> None:
    """The command would say that it is clean."""

    class Broken:
        sent = False

        async def read(self, n: int = -1, /) -> bytes:
            del n
            if self.sent:
                raise DownloadError("broken")
            self.sent = True
            return b"half"

    upload = Upload.of(b"")
    reader = Broken()

    class Opened:
        async def __aenter__(self) -> Content:
            return Content(reader, 8)

        async def __aexit__(self, *_: object) -> None:
            pass

    with pytest.raises(DownloadError, match="broken"):
        await Command(options("sh -c 'cat; exit 0'")).check(replace(upload, opener=Opened))


async def test_a_command_that_is_given_up_ends_with_all_it_started() -> None:
    """Also one that does not want to."""
    mark = f"{60_000 + os.getpid()}.5"
    stubborn = f"sh -c 'trap \"\" TERM; sleep {mark} & sleep {mark}; sleep {mark}'"
    task = asyncio.create_task(run(stubborn))
    await until(lambda: len(processes(mark)) >= 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not processes(mark))


def processes(mark: str) -> list[Path]:
    """All processes with this word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (folder / "cmdline").read_bytes():
                found.append(folder)
    return found


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"UPLOADPP_STEP_EXEC": "no-such-program -x"}, "UPLOADPP_STEP_EXEC=.*no program 'no-such-program'"),
        ({"UPLOADPP_STEP_EXEC": "sh 'a"}, "No closing quotation"),
        ({"UPLOADPP_STEP_EXIT": "1"}, "UPLOADPP_STEP_EXIT='1': '1' is no pair"),
        ({"UPLOADPP_STEP_EXIT": "300=delete"}, "no pair"),
        ({"UPLOADPP_STEP_EXIT": "1=remove"}, "should be 'continue', 'retry', 'abort' or 'delete'"),
    ],
)
def test_options_that_cannot_be_used(variables: Mapping[str, str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        read_model(CommandOptions, {}, variables)
