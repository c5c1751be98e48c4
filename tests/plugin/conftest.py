"""The plugin as a person has it: built, on PATH, started by the real kubectl."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2e.cluster.binaries import resolve
from e2e.cluster.golang import SHORT_LIFE
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.local import LocalCluster
from e2e.paths import REPO
from tests.plugin.resources import Writer

TIMEOUT = 180.0
_LIMITS_OF_A_LINE = ("COLUMNS", "LINES", "NO_COLOR", "LC_ALL", "LC_CTYPE", "TERM")


@dataclass(frozen=True)
class Result:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Plugin:
    """`kubectl pp` in one namespace of one cluster."""

    environment: dict[str, str]
    namespace: str

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> Result:
        done = subprocess.run(
            ["kubectl", "pp", *words],
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[str]":
        """The same in the background."""
        return subprocess.Popen(
            ["kubectl", "pp", *words],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # signals can go to the whole group, as from a terminal
        )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `make plugin` writes."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, REPO / "scripts/build_plugin.py", str(folder)], check=True)
    return folder


def environment_of(built: Path, kubeconfig: Path, tmp_path: Path) -> dict[str, str]:
    """A terminal with the plugin, kubectl and a Python on PATH, and a temporary folder of its own."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    for name, target in (("kubectl", resolve("kubectl").path), ("python3", Path(sys.executable).resolve())):
        if not (tools / name).exists():
            (tools / name).symlink_to(target)
    kept = {k: v for k, v in os.environ.items() if k not in _LIMITS_OF_A_LINE}
    path = f"{built}:{tools}:/usr/bin:/bin"
    own = {"PATH": path, "KUBECONFIG": str(kubeconfig), "KUBERC": "off", "LANG": "C.UTF-8", "TZ": "UTC"}
    return {**kept, **SHORT_LIFE, **own, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}


@pytest.fixture
def pp(built: Path, cluster: LocalCluster, namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    """The plugin; the context's namespace is the test's. Afterwards nothing of it is left."""
    kubeconfig = tmp_path / "kubeconfig"
    server = cluster.apiserver
    ca, token = server.ca_file.read_bytes(), server.token
    write_kubeconfig(kubeconfig, server=server.url, ca=ca, token=token, namespace=namespace)
    yield Plugin(environment_of(built, kubeconfig, tmp_path), namespace)
    assert list(tmp_path.glob("kubectl-pp.*")) == [], "a proxy was left behind"


PATIENT = """\
#!/usr/bin/env python3
import sys
sys.path.insert(0, {plugin!r})
from kubectl_pp import candidates, cli, completing, report
from kubectl_pp.interrupts import INTERRUPTS
candidates.SECONDS = report.ANSWER_SECONDS = 60.0
completing.REQUEST_TIMEOUT = "60s"
status = cli.{entry}()
INTERRUPTS.rest()
sys.exit(status)
"""


@pytest.fixture
def patient(pp: Plugin, built: Path, tmp_path: Path) -> Plugin:
    """The plugin with more time than it has, for tests of something else than how soon it gives up."""
    folder = tmp_path / "patient"
    folder.mkdir()
    for name, entry in (("kubectl-pp", "main"), ("kubectl_complete-pp", "complete")):
        (folder / name).write_text(PATIENT.format(plugin=str(built / "kubectl-pp"), entry=entry))
        (folder / name).chmod(0o755)
    return replace(pp, environment={**pp.environment, "PATH": f"{folder}:{pp.environment['PATH']}"})


@pytest.fixture
def writer(cluster: LocalCluster, namespace: str) -> Iterator[Writer]:
    """Makes resources in any state."""
    made = Writer(cluster.apiserver, namespace)
    yield made
    made.close()


Golden = Callable[[str, str], None]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares with a stored text; UPDATE_GOLDENS=1 stores it instead."""

    def compare(name: str, text: str) -> None:
        text = re.sub(r"test-[0-9a-f]{8}", "test-00000000", text)
        text = re.sub(r"\d\d:\d\d:\d\d", "12:34:56", text)
        text = re.sub(r"\d{4}-\d\d-\d\d (?=12:34:56)", "2026-11-23 ", text)
        path = request.path.parent / "golden" / f"{name}.txt"
        if os.environ.get("UPDATE_GOLDENS"):
            path.write_text(text)
        assert text == path.read_text(), f"UPDATE_GOLDENS=1 stores {path.name} anew"

    return compare
