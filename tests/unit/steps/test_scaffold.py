"""`uploadpp step new NAME` makes a step that works, and harms nothing that is there."""

import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from uploadpp.__main__ import main
from uploadpp.steps.decorator import Step
from uploadpp.steps.scaffold import files_of, module_of

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "step"
NAMES = [
    "no",
    "007",
    "null",
    "no-programs",
    "virusscan",
    "My.Step_2",
    "2fast",
    "class",
    "test",
    "step",
    "deliver",
    "delivery",
    "notes",
    "user",
    "upload",
    "download",
    "content",
    "continue",
    "uploadpp",
    "pytest",
    "json",
    "a",
    "x" * 63,
]


def test_the_example_is_what_is_made() -> None:
    found = {path.name: path.read_text() for path in EXAMPLE.iterdir() if path.is_file()}
    assert found == files_of("no-programs"), "run `make gen`"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "deep" / "folder"
    assert main(["step", "new", name, str(folder)]) == 0
    module = module_of(name)
    said = capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == files_of(name).keys()
    assert all(f"  {path}\n" in said for path in folder.iterdir())
    assert f"python {folder}/{module}.py --try FILE" in said

    step = ModuleType(module)
    exec((folder / f"{module}.py").read_text(), vars(step))  # noqa: S102 -- what we have just made
    found = vars(step)[module]
    assert isinstance(found, Step)
    assert found.name == name
    monkeypatch.setitem(sys.modules, module, step)
    tests: dict[str, object] = {}
    exec((folder / f"test_{module}.py").read_text(), tests)  # noqa: S102
    ran = [each() for title, each in tests.items() if title.startswith("test_") and callable(each)]
    assert len(ran) == 4


@pytest.mark.parametrize("name", NAMES)
def test_the_other_files_fit(name: str) -> None:
    files, module = files_of(name), module_of(name)
    values = yaml.safe_load(files["values.yaml"])
    assert values["steps"] == [{"name": name}]
    ((thing, service),) = values["stepServices"].items()
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", thing)
    assert service["step"] == name
    assert service["image"]["repository"] == f"registry.example.org/{thing}"
    docker = files["Dockerfile"].splitlines()
    copied = {line.split()[1] for line in docker if line.startswith("COPY")}
    assert copied == {"requirements.txt", f"{module}.py"}
    assert copied <= files.keys()
    assert f"/app/{module}.py" in docker[-1]
    assert f"--tag registry.example.org/{thing}:1 ." in docker[0]
    assert len(files["README.md"].splitlines()) <= 10
    assert all("no-programs" not in text and "no_programs" not in text for text in files.values()) or (
        name == "no-programs"
    )


def test_the_folder_has_the_name_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["step", "new", "My-Step"]) == 0
    assert (tmp_path / "My-Step" / "my_step.py").is_file()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("delay", "'delay' is a word of the operator's own"),
        ("finished", "'finished' is a word of the operator's own"),
        ("", "cannot be the name of a step"),
        ("a b", "cannot be the name of a step: it has 1 to 63 letters, digits"),
        ("a,b", "cannot be the name of a step"),
        ("../x", "cannot be the name of a step"),
        ("a/b", "cannot be the name of a step"),
        ("ä", "cannot be the name of a step"),
        ("a-", "cannot be the name of a step"),
        ("a\n", "cannot be the name of a step"),
        ("\x1b[31m", "cannot be the name of a step"),
        ("x" * 64, "cannot be the name of a step"),
        ("-x", "cannot be the name of a step"),
    ],
)
def test_names_that_cannot_be_used(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["step", "new", "--", name]) == 2
    said = capsys.readouterr().err
    assert said.startswith("uploadpp: ")
    assert problem in said
    assert "\x1b" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", sorted(files_of("mine")))
def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str) -> None:
    """Nor is anything written beside it; a link that leads nowhere counts too."""
    (tmp_path / there).symlink_to(tmp_path.parent / "elsewhere")
    (tmp_path / "other.txt").write_text("mine")
    assert main(["step", "new", "mine", str(tmp_path)]) == 2
    assert f"{tmp_path / there} exists already; nothing was written" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {there, "other.txt"}
    assert not (tmp_path.parent / "elsewhere").exists()


def test_a_folder_with_other_files_is_used(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("mine")
    assert main(["step", "new", "mine", str(tmp_path)]) == 0
    assert main(["step", "new", "another", str(tmp_path)]) == 2
    assert (tmp_path / "other.txt").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for folder, why in ((file, "File exists"), (file / "in it", "Not a directory"), (Path("/proc/x"), "")):
        assert main(["step", "new", "mine", str(folder)]) == 2
        assert f"uploadpp: {folder}: {why}" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def test_a_step_may_be_named_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert main(["step", "new", "--exec=cat", "--try", str(file)]) == 0
    assert '"FinishedStep": "new"' in capsys.readouterr().out


def test_its_help_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, word in (
        (["step", "new", "--help"], "never overwritten"),
        (["step", "--help"], "step new NAME"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert word in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["step", "new"])
    assert ended.value.code == 2
    assert "the following arguments are required: name" in capsys.readouterr().err
