"""In which order programs are looked for, and which ones will do."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.cluster import binaries, chromium, envtest, golang
from e2e.cluster.tools import TOOLS, Tool, parse_version


@pytest.fixture(autouse=True)
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No program is found, nothing can be fetched or built, the cache is empty."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setattr(envtest, "fetch", lambda _folder: False)
    monkeypatch.setattr(golang, "build", no_build)
    binaries.resolve.cache_clear()
    yield tmp_path
    binaries.resolve.cache_clear()


def no_build(_tool: Tool, _target: Path) -> None:
    raise golang.GoUnavailableError("install Go")


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_sources_in_their_order(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(_tool: Tool, target: Path) -> None:
        program(target, "built")

    monkeypatch.setattr(golang, "build", build)
    built = binaries.resolve("kube-apiserver")
    assert built.source == "built from controlplane/go.mod"

    def source() -> str:
        binaries.resolve.cache_clear()
        return binaries.resolve("kube-apiserver").source

    assert source() == "built before from controlplane/go.mod"
    program(sandbox / "cache/uploadpp/bin/envtest-v1.37.2/kube-apiserver", "Kubernetes v1.37.0")
    assert source() == "downloaded before"
    program(sandbox / "path/kube-apiserver", "Kubernetes v1.34.1")
    assert source() == "PATH"
    program(sandbox / "venv/bin/kube-apiserver", "Kubernetes v1.36.0")
    assert source() == "virtual environment"
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(sandbox / "assets"))
    assert source() == "virtual environment", "an empty folder hides nothing"
    program(sandbox / "assets/kube-apiserver", "whatever")
    assert source() == "KUBEBUILDER_ASSETS"


def test_download_comes_before_build(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(folder: Path) -> bool:
        program(folder / "etcd", "etcd Version: 3.6.0")
        return True

    monkeypatch.setattr(envtest, "fetch", fetch)
    assert binaries.resolve("etcd").source == "downloaded"
    assert binaries.resolve("etcd").path.is_relative_to(sandbox / "cache")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("kube-apiserver", "Kubernetes v1.31.9"),
        ("kube-apiserver", "Kubernetes v0.0.0-master+$Format:%H$"),
        ("kubectl", "Client Version: v1.32.4-dispatcher"),
        ("kubectl", "no version"),
    ],
)
def test_unusable_version_on_path_is_passed_over(sandbox: Path, name: str, says: str) -> None:
    program(sandbox / "path" / name, says)
    with pytest.raises(binaries.BinaryUnavailableError):
        binaries.resolve(name)


def test_nothing_found_says_what_to_install() -> None:
    with pytest.raises(binaries.BinaryUnavailableError, match="install Go"):
        binaries.resolve("kube-apiserver")
    with pytest.raises(binaries.BinaryUnavailableError, match=r"kubectl 1\.36\.0 or newer is needed"):
        binaries.resolve("kubectl")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Kubernetes v1.37.2", (1, 37, 2)),
        ("etcd Version: 3.7.0\nGit SHA: x", (3, 7, 0)),
        ("v4.3.1+g1234567", (4, 3, 1)),
        ("Client Version: v1.36.1+k3s1", (1, 36, 1)),
        ("Client Version: v1.32.4-dispatcher", None),
        ("", None),
    ],
)
def test_parse_version(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


def test_pins_are_read_from_go_mod() -> None:
    assert TOOLS["kube-apiserver"].pinned == "v1.37.2"
    assert TOOLS["etcd"].pinned == "v3.7.0"
    assert TOOLS["helm"].pinned.startswith("v4.")
    with pytest.raises(LookupError):
        _ = TOOLS["kubectl"].pinned


def test_every_build_tells_the_program_its_version() -> None:
    flags = golang.ldflags(TOOLS["kube-apiserver"])
    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in flags
    assert "-X k8s.io/component-base/version.gitMinor=37" in flags


class TestEnvtest:
    """The published archive, with a made-up publisher."""

    @pytest.fixture
    def published(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
        monkeypatch.undo()
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name in ("etcd", "kube-apiserver", "kubectl", "../../evil"):
                member = tarfile.TarInfo(f"controller-tools/envtest/{name}")
                member.size = 3
                tar.addfile(member, io.BytesIO(b"bin"))
        archive = buffer.getvalue()
        url = "https://example.invalid/archive.tar.gz"
        entry = {"selfLink": url, "hash": hashlib.sha512(archive).hexdigest()}
        releases = {
            version: {
                f"envtest-{version}-linux-{machine}.tar.gz": entry
                if version == "v1.36.0"
                else {**entry, "hash": ""}
            }
            for version in ("v1.31.0", "v1.36.0", "v1.35.1", "v1.99.0")
        }
        return {envtest.INDEX: yaml.safe_dump({"releases": releases}).encode(), url: archive}

    @pytest.fixture
    def fetched(
        self, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> list[str]:
        """The addresses that were asked for."""
        asked: list[str] = []

        def get(url: str) -> bytes:
            asked.append(url)
            if url not in published:
                raise OSError("no route")
            return published[url]

        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(envtest, "_get", get)
        return asked

    def test_takes_the_newest_release_that_is_not_newer_than_the_pin(
        self, fetched: list[str], tmp_path: Path
    ) -> None:
        assert envtest.fetch(tmp_path / "bin")
        assert len(fetched) == 2
        assert sorted(path.name for path in (tmp_path / "bin").iterdir()) == ["etcd", "kube-apiserver"]
        assert os.access(tmp_path / "bin/etcd", os.X_OK)

    def test_wrong_checksum_is_refused(
        self, fetched: list[str], published: dict[str, bytes], tmp_path: Path
    ) -> None:
        published["https://example.invalid/archive.tar.gz"] += b"x"
        assert not envtest.fetch(tmp_path / "bin")
        assert len(fetched) == 2
        assert not (tmp_path / "bin").exists()

    def test_refusal_is_remembered_for_a_day(
        self, fetched: list[str], published: dict[str, bytes], tmp_path: Path
    ) -> None:
        index = published.pop(envtest.INDEX)
        assert not envtest.fetch(tmp_path / "bin")
        published[envtest.INDEX] = index
        assert not envtest.fetch(tmp_path / "bin")
        assert len(fetched) == 1
        yesterday = time.time() - 25 * 3600
        os.utime(tmp_path / "cache/uploadpp/envtest-refused", (yesterday, yesterday))
        assert envtest.fetch(tmp_path / "bin")


def test_two_processes_build_once(sandbox: Path) -> None:
    """The loser of the race for the lock finds what the winner made."""
    script = """
import sys, time
from pathlib import Path
from e2e.cluster import binaries, chromium, envtest, golang
def build(tool, target):
    with Path(sys.argv[1]).open("a") as builds:
        builds.write("x")
    time.sleep(0.5)
    target.touch(mode=0o755)
envtest.fetch = lambda folder: False
golang.build = build
binaries.resolve("etcd")
"""
    command = [sys.executable, "-c", script, str(sandbox / "builds")]
    both = [subprocess.Popen(command, cwd=Path(__file__).parents[3]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert (sandbox / "builds").read_text() == "x"


def test_without_chromium_the_sentence_says_what_is_missing(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert binaries.main(["chromium"]) == 0, "tests that need it are skipped; the others run"
    assert capsys.readouterr().out == f"{chromium.MISSING}: the tests of the page are skipped\n"
    program = sandbox / "path/google-chrome"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert chromium.provide() == f"chromium: {program}"
