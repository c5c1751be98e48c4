"""`--try FILE` says what a step would do with a file, by the code that serves events."""

import json
import os
from pathlib import Path

import pytest

from uploadpp.__main__ import main
from uploadpp.steps import Continue, Upload, Verdict, step


@pytest.mark.parametrize(
    ("arguments", "outcome", "message"),
    [
        (["--rule=delete extension=exe"], "delete", "a rule forbids extension exe"),
        (["--rule=delete extension=com"], "continue", None),
        (["--exec=sh -c 'wc -c; exit 7'", "--exit=7=abort"], "abort", "5"),
        (["--exec=sleep 60", "--timeout=100ms"], "retry", "the step took longer than 0.1 s"),
        (["--clamd=/no/such/socket"], "retry", "clamd cannot be reached: FileNotFoundError"),
    ],
)
def test_a_file_goes_through_the_step(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    outcome: str,
    message: str | None,
) -> None:
    file = tmp_path / "plan.exe"
    file.write_bytes(b"hello")
    assert main(["step", "mine", *arguments, "--try", str(file)]) == 0
    first, _, payload = capsys.readouterr().out.partition("\n")
    event = json.loads(payload)
    assert first == event["Outcome"] == outcome
    assert (event["FinishedStep"], event["Filename"]) == ("mine", "plan.exe")
    assert (event["Result"] or {}).get("ErrorMsg") == message


def test_a_step_of_an_author_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @step("mine")
    async def work(upload: Upload) -> Verdict:
        async with upload.open() as content:
            return Continue(f"{upload.filename} {upload.size} {(await content.read()).decode()}")

    file = tmp_path / "a.txt"
    file.write_text("hello")
    with pytest.raises(SystemExit) as ended:
        work.run(["--try", str(file)])
    assert ended.value.code == 0
    assert "a.txt 5 hello" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "mine", "--exec=true", "--try", str(tmp_path / "none")]) == 2
    assert f"--try={tmp_path / 'none'}: No such file" in capsys.readouterr().err


def test_what_is_not_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe that nobody writes to would never end, whatever --timeout says."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/null")):
        assert main(["step", "mine", "--exec=cat", "--timeout=1s", "--try", str(path)]) == 2
        assert f"--try={path}: is not a regular file" in capsys.readouterr().err


def test_the_limits_of_the_step_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.txt"
    file.write_text("hello")
    assert main(["step", "mine", "--exec=cat", "--max-size=4", "--try", str(file)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("retry\n")
    assert "the upload has 5 bytes, more than --max-size" in said
