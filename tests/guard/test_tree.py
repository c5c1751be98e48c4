"""Rules about the tree itself."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Things that are true on one machine only and mean nothing to anybody else. Written so that this file
# does not contain them.
FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w./-])/" + r"work/",
            r"(?<![\w./-])/ro" + r"ot/(?!\.)",
            r"/home/" + r"[a-z]+/",
            r"files\.python" + r"hosted\.org",
            r"pypi\." + r"org/simple",
            r"proxy\.golang" + r"\.org",
        ]
    )
)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def test_operator_folder_is_no_package() -> None:
    """With an __init__.py it would hide Python's own operator module."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    code = "import operator; print(operator.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).parent == Path(sysconfig.get_paths()["stdlib"])


def test_files_are_small() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/file_sizes.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_helper_scripts_are_short() -> None:
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.suffix == "" and path.is_file()]
    assert scripts
    assert {path.name: n for path in scripts if (n := len(path.read_text().splitlines())) >= 40} == {}


def test_the_texts_of_events_are_in_one_file_on_each_side() -> None:
    made = [
        path.relative_to(ROOT / "operator/uploadpp").as_posix()
        for path in sorted((ROOT / "operator/uploadpp").rglob("*.py"))
        if re.search(r"\bNotice\(", path.read_text())
    ]
    assert made == ["core/event_texts.py", "pipeline/fault_event_texts.py"]


def test_no_trace_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_import_contracts() -> None:
    lint_imports = Path(sys.prefix, "bin", "lint-imports")
    done = subprocess.run(
        [lint_imports, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
