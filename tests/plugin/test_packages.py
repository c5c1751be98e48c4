"""The packages for pip and uv: installed where there is nothing else, and started by the real kubectl."""

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from e2e.paths import REPO
from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from uploadpp import __version__

UV = [str(REPO / "scripts/uv")]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels that `make dist` writes, by the name of their package."""
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run([sys.executable, REPO / "scripts/build_packages.py", str(folder)], check=True)
    assert len(list(folder.glob("*.tar.gz"))) == 2
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


def fresh(folder: Path, *wheels: Path) -> Path:
    """A virtual environment with these wheels and nothing that they ask for; its folder of programs."""
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = str(folder / "bin/python")
    install = [*UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-index", "--python", python]
    subprocess.run([*install, *map(str, wheels)], check=True)
    return folder / "bin"


def test_the_plugin_alone(pp: Plugin, writer: Writer, packages: dict[str, Path], tmp_path: Path) -> None:
    programs = fresh(tmp_path / "venv", packages["kubectl_pp"])
    tools = tmp_path / "tools"
    path = f"{programs}:{tools}:/usr/bin:/bin"
    assert pp("version", PATH=path).out == f"kubectl-pp {__version__} (uploadpp.io/v1alpha1)\n"
    writer.put(at("upload-7", ago_minutes=5))
    assert pp("list", "-o", "name", PATH=path).out == "uploadpostprocessing.uploadpp.io/upload-7\n"
    offered = subprocess.run(
        ["kubectl", "__complete", "pp", "status", "upload-"],
        env={**pp.environment, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert offered.stdout.startswith("upload-7\t")
    listed = subprocess.run(
        [*UV, "pip", "list", "--python", str(programs / "python"), "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split("==")[0].split(" @")[0] for line in listed.stdout.splitlines()] == ["kubectl-pp"]


def test_as_a_tool_of_uv(pp: Plugin, packages: dict[str, Path], tmp_path: Path) -> None:
    """`uv tool install`, the first way that docs/install.md names."""
    programs, tools = tmp_path / "bin", tmp_path / "tools"
    folders = {"UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(programs)}
    install = [*UV, "tool", "install", "--quiet", "--offline", "--no-index", "--python", sys.executable]
    subprocess.run([*install, str(packages["kubectl_pp"])], env={**os.environ, **folders}, check=True)
    assert {each.name for each in programs.iterdir()} == {"kubectl-pp", "kubectl_complete-pp"}
    shown = pp("version", PATH=f"{programs}:{tools}:/usr/bin:/bin")
    assert shown.out == f"kubectl-pp {__version__} (uploadpp.io/v1alpha1)\n"


def test_both_in_one_environment(packages: dict[str, Path], tmp_path: Path) -> None:
    """Neither has a file of the other, so that removing one leaves the other whole."""
    names = [set(zipfile.ZipFile(path).namelist()) for path in packages.values()]
    assert not names[0] & names[1]
    programs = fresh(tmp_path / "venv", *packages.values())
    run = subprocess.run([programs / "kubectl-pp", "version"], capture_output=True, text=True, check=True)
    assert __version__ in run.stdout
    assert (programs / "uploadpp").exists()


def test_their_metadata(packages: dict[str, Path]) -> None:
    for name, path in packages.items():
        with zipfile.ZipFile(path) as wheel:
            inner = next(each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
            found = Parser().parsestr(wheel.read(inner).decode())
            programs = wheel.read(inner.replace("METADATA", "entry_points.txt")).decode()
            assert any(each.endswith("/licenses/LICENSE") for each in wheel.namelist())
        assert found["Version"] == __version__
        for field in ("Summary", "License-Expression", "Author", "Keywords", "Requires-Python"):
            assert found[field], (name, field)
        assert found.get_payload(), "a page to read"
        assert len(found.get_all("Project-URL", [])) == 3
        if name == "kubectl_pp":
            assert found.get_all("Requires-Dist") is None
            assert found["Requires-Python"] == ">=3.9"
            assert "kubectl-pp = " in programs
        else:
            assert any(each.startswith("kopf") for each in found.get_all("Requires-Dist", []))
            assert "uploadpp = " in programs
