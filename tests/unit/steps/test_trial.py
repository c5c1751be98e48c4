"""`--try FILE` says what a step would do with a file, by the code that serves events."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from uploadpp.__main__ import main
from uploadpp.steps import Abort, Continue, Delete, Retry, Upload, Verdict, VirusscanResult, step
from uploadpp.steps.upload import SOMEBODY


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.exe"
    path.write_bytes(b"hello")
    return path


def tried(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and what is said of each file."""
    status = main(["step", *map(str, arguments), "--output=json"])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "status", "outcome", "message"),
    [
        (["--rule=delete extension=exe"], 5, "delete", "a rule forbids extension exe"),
        (["--rule=abort mime=text/plain"], 4, "abort", "a rule forbids mime text/plain"),
        (["--rule=delete extension=com"], 0, "continue", ""),
        (["--exec=sh -c 'wc -c; exit 7'", "--exit=7=abort"], 4, "abort", "5"),
        (["--exec=sh -c 'cat {path}; exit 9'"], 3, "retry", "exit status 9: hello"),
        (["--exec=sleep 60", "--timeout=100ms"], 1, "retry", "the step took longer than 0.1 s"),
        (["--clamd=/no/such/socket"], 3, "retry", "clamd cannot be reached: FileNotFoundError"),
        (["--exec=cat", "--download-from=https://ocis:9200/data/"], 0, "continue", "hello"),
    ],
)
def test_a_file_goes_through_every_kind_of_step(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    outcome: str,
    message: str,
) -> None:
    ended, (said,) = tried(capsys, "mine", *arguments, "--try", file)
    assert (ended, said["outcome"], said["message"]) == (status, outcome, message)
    assert said["failed"] is (status == 1)
    event = said["event"]
    assert event["type"] == "PostprocessingStepFinished"
    assert event["metadata"]["eventtype"] == "events.PostprocessingStepFinished"
    payload = event["payload"]
    assert (payload["FinishedStep"], payload["Filename"], payload["Outcome"]) == ("mine", "plan.exe", outcome)
    assert (payload["Result"] or {}).get("ErrorMsg", "") == message


def test_the_verdict_is_said_in_plain_words(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "mine", "--rule=delete mime=text/plain", "--try", str(file)]) == 5
    first, meaning, reason, took, event, *payload = capsys.readouterr().out.splitlines()
    assert first == f"{file}: delete"
    assert meaning == "  The file would not be released; its bytes are removed."
    assert reason == "  Reason: a rule forbids mime text/plain"
    assert took.startswith("  It took 0.")
    assert took.endswith(" s and read 5 of 5 bytes.")
    assert event == "  PostprocessingStepFinished:"
    assert json.loads("\n".join(payload))["Outcome"] == "delete"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--exec=sleep 60", "--timeout=50ms"], "Hint: Give it more time with --timeout"),
        (["--clamd=/no/such/socket"], "Hint: Does a clamd run at the address of --clamd?"),
    ],
)
def test_what_a_person_can_do_is_said(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    main(["step", "mine", *arguments, "--try", str(file)])
    assert hint in capsys.readouterr().out


def test_of_several_files_the_worst_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("a.txt", "b.abort", "c.delete", "d.fail")
    for name in names:
        (tmp_path / name).write_text(name)
    paths = [tmp_path / name for name in names]
    cases = "*abort) exit 4;; *delete) exit 5;; *fail) exec sleep 9"
    rules = [f"--exec=sh -c 'case $UPLOAD_FILENAME in {cases}; esac'"]
    rules += ["--exit=4=abort", "--exit=5=delete"]
    for count, status in ((1, 0), (2, 4), (3, 5), (4, 1)):
        timeout = "--timeout=500ms" if count == len(paths) else "--timeout=60s"  # only the last one sleeps
        ended, said = tried(capsys, "mine", *rules, timeout, "--try", *paths[:count])
        assert ended == status
        assert [each["file"] for each in said] == [str(path) for path in paths[:count]]
    ended, said = tried(capsys, "mine", *rules, "--try", paths[2], "--try", paths[0], paths[1])
    assert (ended, [each["outcome"] for each in said]) == (5, ["delete", "continue", "abort"])
    assert len({each["event"]["payload"]["UploadID"] for each in said}) == 3


def test_who_uploads_what_can_be_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @step("mine")
    async def work(upload: Upload) -> Verdict:
        user = upload.user
        return Abort(f"{upload.filename} {user.id} {user.username} {user.mail} {upload.space_id}")

    def said(*flags: str) -> str:
        with pytest.raises(SystemExit) as ended:
            work.run(["--try", str(file), "--output=json", *flags])
        assert ended.value.code == 4
        return str(json.loads(capsys.readouterr().out)["message"])

    assert said() == f"plan.exe {SOMEBODY.id} {SOMEBODY.username} {SOMEBODY.mail} space-1"
    assert said("--filename=x.pdf", "--uploader=mary", "--space=s") == "x.pdf mary mary mary@example.org s"
    assert said("--uploader=mary@example.net") == "plan.exe mary mary mary@example.net space-1"


def ended_with(work: Any, *flags: str | Path) -> int:  # noqa: ANN401 -- a step, or a mistake
    with pytest.raises(SystemExit) as ended:
        step("virusscan", timeout=0.2)(work).run(["--try", *map(str, flags)])
    return int(ended.value.code or 0)


async def continues(upload: Upload) -> Verdict:
    return Continue("again" if upload.redelivered else "first", result=VirusscanResult())


async def says_retry(_: Upload) -> Verdict:
    return Retry("later")


async def raises_delete(_: Upload) -> Verdict:
    raise Delete("bad")


async def raises(_: Upload) -> Verdict:
    raise KeyError("\x1b[31mno such key")


async def returns_nothing(_: Upload) -> None:
    return None


async def has_another_result(_: Upload) -> Verdict:
    return Continue(result={"Infected": False})


async def is_late(_: Upload) -> Verdict:
    await asyncio.sleep(60)
    return Continue()


async def exits(_: Upload) -> Verdict:
    sys.exit(0)


@pytest.mark.parametrize(
    ("work", "status", "reason"),
    [
        (continues, 0, "first"),
        (says_retry, 3, "later"),
        (raises_delete, 5, "bad"),
        (raises, 1, "KeyError: '\\x1b[31mno such key'"),
        (returns_nothing, 1, "the step returned NoneType instead of a verdict"),
        (has_another_result, 1, "the result of virusscan must be a VirusscanResult"),
        (is_late, 1, "the step took longer than 0.2 s"),
        (exits, 1, "SystemExit: 0"),
    ],
)
def test_a_step_of_an_author_too(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    work: Any,  # noqa: ANN401 -- some return what is not a verdict
    status: int,
    reason: str,
) -> None:
    assert ended_with(work, file) == status
    said = capsys.readouterr()
    assert f"  Reason: {reason}\n" in said.out
    assert (", because the step failed\n" in said.out) is (status == 1)
    assert "\x1b" not in said.out + said.err


def test_an_exception_is_shown_from_the_authors_first_line_on(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended_with(raises, file)
    trace = capsys.readouterr().err.splitlines()
    assert __file__ in trace[1]
    assert "in raises" in trace[1]


def test_a_delivery_for_the_second_time(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended_with(continues, file, "--redelivered") == 0
    assert "Reason: again" in capsys.readouterr().out


def test_the_limits_of_the_step_count(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, (said,) = tried(capsys, "mine", "--exec=cat", "--max-size=4", "--try", file)
    assert (status, said["outcome"], said["read"]) == (1, "retry", 0)
    assert said["message"] == "DownloadError: the upload has 5 bytes, more than --max-size"


def test_what_is_not_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe that nobody writes to would never end, whatever --timeout says. Nothing at all is tried then."""
    pipe, good = tmp_path / "pipe", tmp_path / "good"
    os.mkfifo(pipe)
    good.write_text("x")
    for path, why in (
        (pipe, "is not a regular file"),
        (Path("/dev/null"), "is not a regular file"),
        (tmp_path, "is a folder, not a file"),
        (tmp_path / "none", "No such file or directory"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        assert main(["step", "mine", "--exec=cat", "--timeout=1s", "--try", str(good), str(path)]) == 2
        said = capsys.readouterr()
        assert said.err == f"uploadpp: --try={path}: {why}\n"
        assert said.out == ""


def test_a_file_that_is_gone_by_its_turn_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = file.with_name("other")
    other.write_text("x")
    argv = ["step", "mine", f"--exec=rm {other}", "--try", str(file), str(other)]
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out.startswith(f"{file}: continue\n")
    assert said.err == f"uploadpp: --try={other}: No such file or directory\n"


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--filename=x"], "--filename applies only to --try; omit it"),
        (["--redelivered"], "--redelivered applies only to --try; omit it"),
        (["--try", "{file}", "{file}", "--filename=x"], "--filename needs a single file"),
    ],
)
def test_flags_that_do_not_go_together_are_named(
    file: Path, capsys: pytest.CaptureFixture[str], flags: list[str], problem: str
) -> None:
    given = [flag.replace("{file}", str(file)) for flag in flags]
    assert main(["step", "mine", "--exec=cat", *given]) == 2
    assert problem in capsys.readouterr().err


def test_an_odd_name_of_a_file_harms_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / os.fsdecode(b"\x1b[31m\xff\xe2\x80\xae.txt")
    path.write_text("x")
    assert main(["step", "mine", "--exec=true", "--try", str(path)]) == 0
    first, *_, event = capsys.readouterr().out.split("\n", 5)
    assert first.isprintable()
    assert all(each.isprintable() or each == "\n" for each in event)
    assert json.loads(event)["Filename"] == "\x1b[31m\ufffd\u202e.txt"


STEP = """\
import asyncio, sys, time
from uploadpp.steps import Continue, Upload, Verdict, step

@step("mine", timeout=0.2)
async def mine(upload: Upload) -> Verdict:
    print("begun", flush=True)
    while True:
        try:
            {line}
        except asyncio.CancelledError:
            print("told to stop", flush=True)
            {stop}

mine.run()
"""


def a_program(folder: Path, line: str, stop: str) -> list[str]:
    path = folder / "mine.py"
    path.write_text(STEP.format(line=line, stop=stop))
    return [sys.executable, str(path), "--try", str(path)]


def test_told_to_stop_it_stops_the_step_as_in_production(tmp_path: Path) -> None:
    argv = [*a_program(tmp_path, "await asyncio.sleep(600)", "raise"), "--timeout=0"]
    numbers = (signal.SIGINT, signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        processes = (subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in numbers)
        started = [stack.enter_context(process) for process in processes]
        for process, number in zip(started, numbers, strict=True):
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            process.send_signal(number)
        for process in started:
            out, _ = process.communicate(timeout=30)
            assert process.returncode == 130
            assert out.startswith("told to stop\n")
            assert ": interrupted\n" in out


def test_a_thread_that_does_not_end_does_not_keep_it(tmp_path: Path) -> None:
    argv = a_program(tmp_path, "await asyncio.to_thread(time.sleep, 600)", "raise")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Reason: the step took longer than 0.2 s" in done.stdout
    assert "did not stop when it was told to" in done.stderr


def test_a_function_that_blocks_its_process_is_told_so(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploadpp.steps.trial.BLOCKED_SECONDS", 0.2)

    async def blocks(_: Upload) -> Verdict:
        await asyncio.sleep(0)
        sys.modules["time"].sleep(0.5)
        return Continue(result=VirusscanResult())

    assert ended_with(blocks, file, "--timeout=0") == 0
    assert "without a pause" in capsys.readouterr().out


def test_the_help_has_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["step", "--help"])
    said = capsys.readouterr().out
    assert "  5    delete\n" in said
    assert "--uploader WHO" in said


def test_where_the_output_finds_no_room_it_is_said(file: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "uploadpp",
        "step",
        "mine",
        "--rule=delete extension=exe",
        "--try",
        str(file),
    ]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "uploadpp: cannot write the output: No space left on device\n",
    )
    reader, writer = os.pipe()
    os.close(reader)  # as after `| head`
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
