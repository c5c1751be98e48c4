"""What docs/steps.md and examples/ say works, literally, also where nothing but the package is installed."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.kubectl import Kubectl
from e2e.paths import REPO
from tests.stepbench import StepBench, StepProcess
from uploadpp.process.configuration import variables_of
from uploadpp.process.settings import Settings
from uploadpp.steps.cli import NAME_VARIABLE
from uploadpp.steps.command import CommandOptions
from uploadpp.steps.options import SHARED, ServiceOptions
from uploadpp.steps.policies import PoliciesOptions
from uploadpp.steps.rules import read_rules
from uploadpp.steps.virusscan import VirusscanOptions

DOCS = (REPO / "docs" / "steps.md").read_text()
EXAMPLE = REPO / "examples" / "step.yaml"
ELF = b"\x7fELF\x02\x01\x01" + bytes(1000)


def blocks(language: str, text: str = DOCS) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def example(folder: Path) -> Path:
    """The ten lines, in the file that the documentation calls it."""
    (code,) = blocks("python")
    assert len(code.splitlines()) <= 11
    path = folder / "no_programs.py"
    path.write_text(code)
    return path


async def serves(bench: StepBench, step: StepProcess) -> None:
    """Whether it does what the documentation says."""
    await asyncio.to_thread(step.start)
    program = await bench.answer(await bench.start("no-programs", ELF))
    text = await bench.answer(await bench.start("no-programs", b"hello"))
    short = await bench.answer(await bench.start("no-programs", b"\x7fE"))
    assert program.payload["Outcome"] == "delete"
    assert program.payload["Result"] == {"ErrorMsg": "programs are not wanted here"}
    assert (text.payload["Outcome"], short.payload["Outcome"]) == ("continue", "continue")


async def test_the_ten_lines(bench: StepBench, tmp_path: Path) -> None:
    await serves(bench, bench.process([str(example(tmp_path))]))


def test_the_readme_shows_the_same_lines() -> None:
    assert blocks("python") == blocks("python", (REPO / "README.md").read_text())


@pytest.mark.timeout(600)
async def test_the_ten_lines_in_a_fresh_environment(bench: StepBench, tmp_path: Path, wheel: Path) -> None:
    """Built, installed into an environment of its own, and run: with what is declared and nothing else."""
    python = await asyncio.to_thread(fresh_environment, tmp_path, wheel)
    step = bench.process([str(example(tmp_path))], python=python)
    await serves(bench, step)
    done = await asyncio.to_thread(
        run, str(python.parent / "uploadpp"), "step", "policies", "--rule", "delete mime", check=False
    )
    assert done.returncode == 2
    assert "is not a condition such as" in done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be published."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    (found,) = folder.glob("*.whl")
    return found


def locked(wheel: Path) -> str:
    """Constraints: the locked versions, which are in uv's cache, and our wheel."""
    lock = (REPO / "requirements.lock").read_text()
    pins = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?(==[^\s;\\]+)", lock, re.MULTILINE)
    return "".join(f"{name}{pin}\n" for name, pin in pins) + f"uploadpp @ {wheel.as_uri()}\n"


@pytest.mark.timeout(600)
def test_from_nothing_to_a_tested_step_in_five_commands(tmp_path: Path, wheel: Path) -> None:
    """The block of the page, line by line, in an empty folder; uv finds packages as it is set up to."""
    (block,) = blocks("sh", DOCS.split("## From nothing to a tested step", 1)[1].split("\n## ", 1)[0])
    commands = [shlex.split(line) for line in block.splitlines()]
    assert len(commands) == 5
    (tmp_path / "constraints.txt").write_text(locked(wheel))
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if name not in {"VIRTUAL_ENV", "PYTHONPATH", "UV_PYTHON"}
        },
        "PATH": os.pathsep.join([str(REPO / "scripts"), f"{sys.base_prefix}/bin", os.environ["PATH"]]),
        "UV_CONSTRAINT": str(tmp_path / "constraints.txt"),
        "UV_NO_CONFIG": "1",
    }
    folder = tmp_path / "empty"
    folder.mkdir()
    said = {}
    for words in commands:
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == (5 if "--try" in words else 0), (words, done.stdout, done.stderr)
        said[words[0]] = done.stdout
    assert " 4 passed in " in said[".venv/bin/pytest"]
    assert said[".venv/bin/python"].startswith("/bin/ls: delete\n")
    assert not done.stderr
    assert list(folder.glob(".venv/lib/*/site-packages/uploadpp/py.typed")), "authors' type checks need it"


def fresh_environment(folder: Path, wheel: Path) -> Path:
    """A virtual environment with our wheel; returns its python."""
    venv, uv = folder / "venv", str(REPO / "scripts" / "uv")
    run(uv, "venv", "--python", sys.executable, str(venv))
    python = venv / "bin" / "python"
    # The locked versions, so that it tests us and finds everything in uv's cache.
    pins = ["--constraints", "requirements.lock", "--no-config"]
    run(uv, "pip", "install", "--python", str(python), *pins, str(wheel))
    return python


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(command, cwd=REPO, env=clean, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


COMMANDS = [
    line.removeprefix("$ ")
    for block in blocks("console")
    for line in block.splitlines()
    if line.startswith("$ uploadpp step")
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_line_starts(bench: StepBench, tmp_path: Path, command: str) -> None:
    words = shlex.split(command)
    if "--exec" in words and shutil.which(shlex.split(words[words.index("--exec") + 1])[0]) is None:
        pytest.skip("the program of this example is not installed")
    (rules,) = blocks("yaml")
    (tmp_path / "rules.yaml").write_text(rules)
    words = [str(tmp_path / word) if word == "rules.yaml" else word for word in words]
    step = bench.process(["-m", "uploadpp", *words[1:]])
    await asyncio.to_thread(step.start)


def test_the_rules_of_the_documentation(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(blocks("yaml")[0])
    assert len(read_rules(tmp_path / "rules.yaml").rules) == 3


def known_variables() -> set[str]:
    models = (CommandOptions, VirusscanOptions, PoliciesOptions, ServiceOptions)
    own = {v for model in models for name in model.model_fields for v in variables_of(name, model)}
    return own | {v for name in SHARED for v in variables_of(name, Settings)} | {NAME_VARIABLE}


def test_variables_that_the_documentation_names_exist() -> None:
    named = set(re.findall(r"\b(?:UPLOADPP_STEP|OCIS)_[A-Z_]+\b", DOCS))
    assert named
    assert named <= known_variables()


def example_objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(EXAMPLE.read_text()))


def test_the_example_sets_variables_that_exist() -> None:
    (container, _) = example_objects()[0]["spec"]["template"]["spec"]["containers"]
    assert {each["name"] for each in container["env"]} <= known_variables()


def test_the_example_is_what_kubernetes_takes(kubectl: Kubectl) -> None:
    kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(EXAMPLE))
