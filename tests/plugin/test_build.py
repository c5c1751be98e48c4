"""What `make plugin` writes, and what is generated from the plugin."""

import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from e2e.cluster.binaries import BinaryUnavailableError, resolve
from e2e.paths import REPO
from kubectl_pp.catalog import VERBS
from kubectl_pp.help import document
from uploadpp import __version__


def test_the_manual_is_up_to_date() -> None:
    assert (REPO / "docs/kubectl-pp.md").read_text() == document(), "make gen writes it"


def test_every_verb_has_an_example_and_ends_as_documented() -> None:
    assert [verb.name for verb in VERBS if not verb.examples] == ["version", "help"]
    for verb in VERBS:
        assert all(command.startswith(("kubectl pp ", "eval ")) for _, command in verb.examples)


def test_the_same_sources_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, REPO / "scripts/build_plugin.py", str(tmp_path)], check=True)
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (built / path.name).read_bytes(), path.name


def test_the_manifest_for_krew_fits_the_archive(built: Path, tmp_path: Path) -> None:
    manifest = yaml.safe_load((built / "pp.yaml").read_text())
    (platform,) = manifest["spec"]["platforms"]
    archive = built / "pp.tar.gz"
    assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert len(manifest["spec"]["shortDescription"]) <= 50
    with tarfile.open(archive) as tar:
        assert sorted(tar.getnames()) == sorted(file["from"] for file in platform["files"])
        tar.extractall(tmp_path, filter="data")
    run = subprocess.run(
        [tmp_path / platform["bin"], "version"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.startswith("kubectl-pp ")
    assert manifest["spec"]["version"] == f"v{run.stdout.split()[1]}"


def test_the_manifest_says_where_to_download(tmp_path: Path) -> None:
    def make(releases: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(REPO / "scripts/build_plugin.py"), str(tmp_path)]
        environment = {**os.environ, "RELEASES_URL": releases}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert "kubectl krew install --manifest=" in make("").stdout
    refused = make("http://downloads.test")
    assert (refused.returncode, refused.stderr) == (
        1,
        "RELEASES_URL=http://downloads.test: krew downloads from https:// addresses only\n",
    )
    assert make("https://downloads.test/pp/").stdout == ""
    (platform,) = yaml.safe_load((tmp_path / "pp.yaml").read_text())["spec"]["platforms"]
    assert platform["uri"] == f"https://downloads.test/pp/v{__version__}/pp.tar.gz"


def test_it_runs_where_nothing_is_installed(built: Path, tmp_path: Path) -> None:
    """Neither a module in the current folder nor an environment variable gets into the plugin."""
    (tmp_path / "json.py").write_text("raise SystemExit('a stranger')")
    environment = {
        "PATH": f"{Path(sys.executable).resolve().parent}:/bin:/usr/bin",
        "PYTHONPATH": str(tmp_path),
    }
    run = subprocess.run(
        [built / "kubectl-pp", "version", "-o", "json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"version"' in run.stdout


def test_krew_installs_it(built: Path, tmp_path: Path) -> None:
    """The real krew, which asks nobody: manifest and archive are here."""
    try:
        krew = resolve("krew").path
    except BinaryUnavailableError as error:
        pytest.skip(str(error))
    tools, root = tmp_path / "tools", tmp_path / "krew"
    tools.mkdir()
    for name, target in (
        ("kubectl", resolve("kubectl").path),
        ("kubectl-krew", krew),
        ("python3", Path(sys.executable).resolve()),
    ):
        (tools / name).symlink_to(target)
    environment = {"PATH": f"{root}/bin:{tools}:/usr/bin:/bin", "KREW_ROOT": str(root), "HOME": str(tmp_path)}

    def kubectl(*words: str) -> str:
        done = subprocess.run(
            ["kubectl", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    said = kubectl("krew", "install", f"--manifest={built}/pp.yaml", f"--archive={built}/pp.tar.gz")
    assert "Installed plugin: pp" in said
    assert "Python 3.9" in said
    assert kubectl("pp", "version").startswith(f"kubectl-pp {__version__}")
