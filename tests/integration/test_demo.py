"""The demo as a whole, and that it clears up."""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from e2e.cluster.instance import run_dir
from e2e.cluster.kubectl import Kubectl
from e2e.demo.__main__ import Demo
from e2e.demo.stories import CLEAN, VIRUS
from e2e.paths import REPO

if TYPE_CHECKING:
    from e2e.demo.screen import Screen
    from e2e.demo.stage import Stage
    from e2e.demo.storage import Storage


@contextmanager
def demo(folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "e2e.demo"],
        cwd=REPO,
        env={**os.environ, "UPLOADPP_DEMO_FOLDER": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def left_behind(pid: int) -> list[str]:
    """The instances of a process; their folders go together with their processes."""
    owners = {}
    for path in run_dir().glob("*/owner.json"):
        with suppress(FileNotFoundError):  # of another test, which has just ended
            owners[path.parent.name] = json.loads(path.read_text())
    return [name for name, owner in owners.items() if owner.get("process", {}).get("pid") == pid]


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"the demo ended before it said {text!r}:\n{seen}")


def invited_commands(output: str) -> tuple[dict[str, str], list[list[str]]]:
    """What the demo tells people to try next: the environment and the commands."""
    lines = [line.strip() for line in output.splitlines()]
    [kubeconfig] = [line.removeprefix("export KUBECONFIG=") for line in lines if line.startswith("export")]
    [alias] = [line.removeprefix("alias kubectl=") for line in lines if line.startswith("alias")]
    program = shlex.split(shlex.split(alias)[0])
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("kubectl ")]
    return {"KUBECONFIG": kubeconfig}, [[*program, *words] for words in commands if "--watch" not in words]


def test_demo_tells_nothing_but_the_truth_and_stays_until_interrupted(tmp_path: Path) -> None:
    with demo(tmp_path, KEEP="1") as process:
        output = read_until(process, "Cancelled")
        environment, commands = invited_commands(output)
        assert len(commands) == 4
        for command in commands:
            subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output + rest
    assert "FALSE" not in output
    assert " 0 false" in output
    story, _, _ = output.partition("Everything keeps running")
    assert [line for line in story.splitlines() if len(line) > 80] == []
    assert left_behind(process.pid) == []


async def test_it_waits_for_several_that_come_later(kubectl: Kubectl) -> None:
    said = list[str]()
    stage, screen = SimpleNamespace(kubectl=kubectl), SimpleNamespace(say=said.append)
    demo = Demo(cast("Stage", stage), cast("Storage", None), cast("Screen", screen))
    waiting = asyncio.create_task(demo._wait_for("create", [CLEAN, VIRUS]))
    await asyncio.sleep(1)
    for story in (VIRUS, CLEAN):
        resource = {
            "apiVersion": "uploadpp.io/v1alpha1",
            "kind": "UploadPostprocessing",
            "metadata": {"name": story.id},
            "spec": {"upload": {"id": story.id}},
        }
        await asyncio.to_thread(kubectl, "create", "--filename=-", stdin=json.dumps(resource))
    await asyncio.wait_for(waiting, 30)
    assert said == []


def test_interrupt_stops_everything(tmp_path: Path) -> None:
    with demo(tmp_path, KEEP="") as process:
        read_until(process, "Uploading")
        assert left_behind(process.pid) != []
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert left_behind(process.pid) == []


def test_interrupt_while_servers_start_stops_everything(tmp_path: Path) -> None:
    with demo(tmp_path, KEEP="") as process:
        read_until(process, "Starting")
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert left_behind(process.pid) == []
