"""Commands as steps, with real processes."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stepbench import until
from uploadpp.process.configuration import ConfigurationError, read_model
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
from uploadpp.steps.command import COMPLAINTS, Command, CommandOptions
from uploadpp.steps.execution import MAX_LINE

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


@pytest.mark.parametrize(
    ("command", "size"),
    [
        ("true", 5),
        ("true", 300_000),
        ("sh -c 'head -c 299999 >/dev/null'", 300_000),
        ("sh -c 'exec 0<&-; sleep 0.1'", 300_000),
    ],
)
async def test_a_file_that_was_not_read_to_its_end_is_not_clean(command: str, size: int) -> None:
    verdict = await run(command, b"x" * size, step="virusscan")
    assert isinstance(verdict, Retry)
    assert verdict.message.startswith("exit status 0, but the command has not read the whole file")
    assert isinstance(verdict.result, VirusscanResult)
    assert verdict.result.error.startswith("not scanned: ")
    assert verdict.result.scanned_at is None
    assert isinstance(await run(command, b"x" * size), Continue), "another step may know without reading"
    found = await run(command, b"x" * size, step="virusscan", exit=["0=delete"])
    assert isinstance(found, Delete), "what was found, was found"


@pytest.mark.parametrize(
    ("command", "size"),
    [
        ("true", 0),
        ("cat", 300_000),
        ("sh -c 'head -c 300000 >/dev/null'", 300_000),
        ("true {path}", 300_000),
    ],
)
async def test_a_file_that_was_read_to_its_end_is_clean(command: str, size: int) -> None:
    verdict = await run(command, b"x" * size, step="virusscan")
    assert isinstance(verdict, Continue)
    assert isinstance(verdict.result, VirusscanResult)
    assert (verdict.result.infected, verdict.result.error) == (False, "")


@pytest.mark.parametrize("outcome", ["abort", "continue", "delete"])
async def test_a_status_can_say_that_a_file_was_not_scanned(outcome: str) -> None:
    """Such as 2 of clamdscan: the file is neither clean nor infected."""
    verdict = await run(
        "sh -c 'echo cannot read it; exit 2'",
        step="virusscan",
        exit=["1=delete", f"2={outcome}"],
        exit_unscanned=["2"],
    )
    assert verdict.outcome.value == outcome
    assert isinstance(verdict.result, VirusscanResult)
    assert (verdict.result.infected, verdict.result.scanned_at) == (False, None)
    assert verdict.result.error == "not scanned: cannot read it"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ('printf "\\377\\n"', "\ufffd"),
        ('printf "a\\n\\000\\n"', "\0"),
        ("head -c 200000 /dev/zero | tr \\\\0 x", f"{'x' * MAX_LINE}…"),
        ("yes | head -c 200000000; echo end", "end"),
    ],
)
async def test_whatever_a_command_prints_its_last_line_is_short(output: str, message: str) -> None:
    assert (await run(f"sh -c '{output}'")).message == message


async def test_s3_what_a_command_says_on_standard_error_is_a_line_of_ours(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It quotes an uploader's file, who could write lines of the log, and to the terminal of its reader."""
    caplog.set_level("INFO", "uploadpp.steps.command")
    forged = '{"level": "error", "message": "no"}\\n\\033[2Jhttps://storage.test/data/s3cr3t\\n'
    script = 'yes | head -n 200000 >&2; printf "%b" "$(cat)" >&2; sleep 0.01; echo said'
    verdict = await run(f"sh -c '{script}'", forged.encode())
    assert (type(verdict), verdict.message) == (Continue, "said")
    shown = capfd.readouterr().err  # a log handler may write there as well
    assert not any(each in shown for each in ("s3cr3t", "\033", "y\ny", '\n{"level'))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == COMPLAINTS
    assert lines[-3:] == [
        "the command said: y",
        'the command said: {"level": "error", "message": "no"}',
        "the command said: <url>",
    ]
    assert {vars(record)["upload"] for record in caplog.records} == {"test"}


async def test_the_command_knows_the_upload_and_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("OCIS_EVENTS_AUTH_PASSWORD", "OTEL_EXPORTER_OTLP_HEADERS", "AWS_SECRET_KEY", "MY_OWN")
    for name in (*secrets, "MINE", "OTHER"):
        monkeypatch.setenv(name, f"value-of-{name}")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    verdict = await run("sh -c 'env | sort | cut -d= -f1 | tr \\\\n ,'", pass_env=["MINE,OTHER"])
    names = set(verdict.message.strip(",").split(","))
    assert names >= {"PATH", "LC_ALL", "MINE", "OTHER", "UPLOAD_ID", "UPLOAD_USER", "UPLOAD_STEP"}
    assert not names & set(secrets)
    verdict = await run("sh -c 'echo $UPLOAD_ID,$UPLOAD_FILENAME,$UPLOAD_SIZE'")
    assert verdict.message == "test,plan.pdf,5"


async def test_a_command_starts_whatever_the_upload_is_called() -> None:
    upload = replace(Upload.of(b"x", "n\0" * 200_000), id="i" * 200_000, step="mine", size=10**4000)
    verdict = await Command(options("sh -c 'echo ${#UPLOAD_FILENAME} ${#UPLOAD_ID}'")).check(upload)
    assert verdict.message == "4096 4096"


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
        ({"UPLOADPP_STEP_EXIT": "1"}, "UPLOADPP_STEP_EXIT='1': '1' is not a pair"),
        ({"UPLOADPP_STEP_EXIT": "300=delete"}, "not a pair"),
        ({"UPLOADPP_STEP_PASS_ENV": "A=B"}, "UPLOADPP_STEP_PASS_ENV=.*'A=B' is not the name of a variable"),
        ({"UPLOADPP_STEP_EXIT": ","}, "UPLOADPP_STEP_EXIT=.*has only commas; name an exit status"),
        ({"UPLOADPP_STEP_EXIT_UNSCANNED": " ,,"}, "UPLOADPP_STEP_EXIT_UNSCANNED=.*has only commas"),
        ({"UPLOADPP_STEP_EXIT_UNSCANNED": "2,x"}, "UPLOADPP_STEP_EXIT_UNSCANNED=.*'x' is not an exit status"),
        ({"UPLOADPP_STEP_USER": "0"}, "UPLOADPP_STEP_USER='0': '0' is not a user such as 65534"),
        ({"UPLOADPP_STEP_USER": "nobody"}, "UPLOADPP_STEP_USER='nobody': .*is not a user"),
        ({"UPLOADPP_STEP_EXIT": "1=remove"}, "should be 'continue', 'retry', 'abort' or 'delete'"),
    ],
)
def test_options_that_cannot_be_used(variables: Mapping[str, str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        read_model(CommandOptions, {}, variables)


@pytest.mark.parametrize(
    ("status", "exits", "infected"),
    [
        (0, ["0=delete", "1=continue"], True),
        (1, ["0=delete", "1=continue"], False),
        (0, ["0=abort", "1=continue", "3=continue"], True),
        (3, ["0=abort", "1=continue", "3=continue"], False),
        (1, ["1=continue"], True),
        (1, ["0=continue", "1=continue"], True),
    ],
)
async def test_what_is_kept_from_the_user_is_infected(status: int, exits: object, *, infected: bool) -> None:
    """`grep` ends with 0 when it has found something."""
    verdict = await run(f"sh -c 'echo said; exit {status}'", step="virusscan", exit=exits)
    assert isinstance(verdict.result, VirusscanResult)
    assert (verdict.result.infected, verdict.result.description) == (infected, "said" if infected else "")


@pytest.mark.parametrize(
    "given",
    ["\u0663=delete", f"{'1' * 5000}=delete", "-1=delete", "1 2=delete"],
    ids=["arabic", "long", "negative", "two"],
)
def test_what_is_no_exit_status(given: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a pair such as 1=delete"):
        options("cat", exit=[given])


@pytest.mark.parametrize("what", ["rm -r $TMPDIR/..", "rm $TMPDIR/../lock"])
async def test_a_folder_that_somebody_removes_is_made_anew(what: str) -> None:
    """Programs that tidy /tmp up do that, and the command itself can."""
    script = f"if grep -q first; then {what}; echo removed; else echo $TMPDIR; fi"
    command = Command(options(f"sh -c '{script}'"))
    assert (await command.check(Upload.of(b"first"))).message == "removed"
    verdict = await command.check(Upload.of(b"second"))
    assert isinstance(verdict, Continue)
    assert Path(verdict.message).parent.name.startswith("uploadpp-step-")


def test_a_command_is_made_where_there_is_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    Command(options("cat"))
