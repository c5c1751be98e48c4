"""`kubectl pp ui` as a process: the built file, its address, its end, and what it refuses."""

import json
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from e2e.cluster.ports import free_port
from kubectl_pp.context import Context
from kubectl_pp.errors import UnavailableError
from kubectl_pp.reflector import Change, Kind
from kubectl_pp.screen import Screen
from kubectl_pp.ui.demo import Demo
from kubectl_pp.ui.health import unknown
from kubectl_pp.ui.server import FILES
from kubectl_pp.ui.source import Cluster
from kubectl_pp.upload import Upload


def environment(tmp_path: Path) -> dict[str, str]:
    """No kubectl, no cluster, and a folder of its own."""
    path = f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "LANG": "C.UTF-8"}


@contextmanager
def demo(
    built: Path, tmp_path: Path, *words: str, **more: str
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A running demo and its address."""
    running = subprocess.Popen(
        [built / "kubectl-pp", "ui", "--demo", *words],
        env={**environment(tmp_path), **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    try:
        yield running.stdout.readline().strip(), running
    finally:
        running.kill()
        running.communicate()


def test_the_built_file_has_all_of_the_page(built: Path, tmp_path: Path) -> None:
    with demo(built, tmp_path) as (url, running):
        for name in FILES:
            with urlopen(url + name, timeout=20) as answer:  # noqa: S310 -- our own address
                assert len(answer.read()) > 100, name
        with urlopen(url + "live", timeout=20) as stream:  # noqa: S310 -- same
            assert stream.readline() == b"event: hello\n"
            hello = json.loads(stream.readline().removeprefix(b"data: "))
        assert (hello["demo"], hello["namespace"]) == (True, "ocis")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    assert (running.returncode, out) == (0, "")
    assert err == "Do not share this address. The page is read-only and ends with Ctrl-C.\n"
    assert list(tmp_path.iterdir()) == []


def test_the_browser_is_not_told_the_token_on_its_command_line(built: Path, tmp_path: Path) -> None:
    """Command lines are for everybody on a machine to read."""
    fake = tmp_path / "fake-browser"
    told = tmp_path / "told"
    lines = (
        "#!/bin/sh",
        "path=${1#file://}",
        f'stat -c %a "$(dirname "$path")" > {told}.mode',
        f'cp "$path" {told}.html',
        f'echo "$1" > {told}',
    )
    fake.write_text("\n".join(lines) + "\n")
    fake.chmod(0o755)
    with demo(built, tmp_path, "--open", BROWSER=f"{fake} %s") as (url, running):
        deadline = time.monotonic() + 60
        while not told.exists() or not told.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        token = urlsplit(url).path.strip("/")
        assert token not in told.read_text()
        assert f"url={url}" in (tmp_path / "told.html").read_text()
        assert (tmp_path / "told.mode").read_text() == "700\n"
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
    assert not list(tmp_path.glob("kubectl-pp-ui.*"))


def test_a_port_that_is_given_is_used(built: Path, tmp_path: Path) -> None:
    """For a bookmark, or a tunnel. The token in the path is another one each time."""
    port = free_port()
    tokens = set()
    for _ in range(2):
        with demo(built, tmp_path, "--port", str(port)) as (url, _):
            address = urlsplit(url)
            assert (address.hostname, address.port) == ("127.0.0.1", port)
            tokens.add(address.path)
    assert len(tokens) == 2


def test_two_pages_have_two_addresses_and_one_port_has_one_page(built: Path, tmp_path: Path) -> None:
    with demo(built, tmp_path) as (first, _):
        port = str(urlsplit(first).port)
        done = subprocess.run(
            [built / "kubectl-pp", "ui", "--demo", "--port", port],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 1
        assert f"port {port} cannot be used" in done.stderr
        with demo(built, tmp_path) as (second, _), pytest.raises(HTTPError, match="404"):
            urlopen(f"http://{urlsplit(second).netloc}{urlsplit(first).path}", timeout=20)


@pytest.mark.parametrize(
    "words", [["--port", "x"], ["--port", "70000"], ["--demo=-1"], ["--demo=99999999999"]]
)
def test_numbers_that_make_no_sense(built: Path, tmp_path: Path, words: list[str]) -> None:
    done = subprocess.run(
        [built / "kubectl-pp", "ui", *(words if "--demo" in words[0] else ["--demo", *words])],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "must be a whole number up to" in done.stderr


def test_the_demo_goes_on_for_hours() -> None:
    """It keeps its size, and there is always something in trouble and something that moves."""
    made = Demo(40, moving=False)
    made.start()
    now = time.time()
    states: set[str] = set()
    for turn in range(1500):
        made._turn(now + turn * 2)
        states |= {row.status for row in made.model.flying.values()} if turn > 1000 else set()
    assert {"Stalled", "BackingOff", "Queued", "Running"} <= states
    assert 20 < len(made.model.flying) < 80
    assert len(made.model.rows) < 500


def test_what_cannot_be_asked_is_said() -> None:
    found = unknown(UnavailableError("forbidden\x1b[2J", "ask for the right"))
    (finding,) = found.findings
    assert finding["text"] == "the operator: forbidden\\x1b[2J"
    assert (finding["remedy"], found.slots, found.unwell) == ("ask for the right", {}, [])


def test_one_fault_does_not_stop_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody thought of is said in the bar, and what comes after it is shown."""
    changes: list[Change] = [
        Change(Kind.SNAPSHOT, ()),
        Change(Kind.ADDED, ()),  # has no upload: the index is out of range
        Change(Kind.ADDED, (Upload({"metadata": {"name": "after", "namespace": "ocis"}}),)),
    ]

    class Scripted:
        heard = 0.0

        def get(self, _timeout: float | None) -> Change | None:
            if not changes:
                made._closed.set()
                return None
            return changes.pop(0)

    made = Cluster(Context(Namespace(), Screen("never")), lambda: made._context)
    told: list[str] = []
    monkeypatch.setattr(made.model, "lose", told.append)
    made._feed = Scripted()  # type: ignore[assignment]
    made._follow()
    assert told == ["IndexError: tuple index out of range"]
    assert made.model.rows.keys() == {("ocis", "after")}
