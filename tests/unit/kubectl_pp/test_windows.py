"""What is different on Windows, as far as it can be seen from here: programs, paths, and what is refused."""

import subprocess
import sys
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from kubectl_pp.errors import ExitCode
from kubectl_pp.proxy import WINDOWS
from kubectl_pp.verbs.completion import BATCH, SCRIPT, program
from kubectl_pp.verbs.ui import address_of

AS_ON_WINDOWS = """\
import argparse, os, shutil, socket, subprocess, sys
os.name = "nt"
del socket.AF_UNIX
from kubectl_pp.cli import main
sys.exit(main())
"""


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    """The plugin, which takes this machine for one with Windows."""
    return subprocess.run(
        [sys.executable, "-c", AS_ON_WINDOWS, *words], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("words", [["list"], ["status", "x"], ["watch"], ["doctor"], ["ui"]])
def test_a_verb_that_needs_a_cluster_says_where_it_works(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == ExitCode.UNAVAILABLE
    assert done.stdout == ""
    assert done.stderr.startswith("error: kubectl pp needs a Unix socket to reach a cluster")
    assert "  try: run it in WSL" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_needs_no_cluster_works() -> None:
    assert run("version").stdout.startswith("kubectl-pp ")
    assert "kubectl pp list" in run("list", "--help").stdout
    assert run("__complete", "unsus").stdout.startswith("unsuspend\t")
    assert run("__complete", "status", "u").stdout == ":4\n", "no cluster, and so no names; and no error"


def test_the_program_for_completion_can_be_run() -> None:
    """cmd.exe and kubectl look for .cmd; a script of /bin/sh would not be found."""
    assert program("posix") == ("kubectl_complete-pp", SCRIPT)
    assert program(WINDOWS) == ("kubectl_complete-pp.cmd", BATCH)
    assert all(line.startswith("@") for line in BATCH.splitlines()), "nothing is echoed among the candidates"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (PureWindowsPath(r"C:\Users\Ann Lee\AppData\Local\Temp\kubectl-pp-ui.x\open.html"), None),
        (PureWindowsPath(r"\\server\share\open.html"), "file://server/share/open.html"),
        (PurePosixPath("/var/a b/open.html"), "file:///var/a%20b/open.html"),
    ],
)
def test_the_browser_gets_an_address_and_no_path(
    path: PureWindowsPath | PurePosixPath, address: str | None
) -> None:
    ann = "file:///C:/Users/Ann%20Lee/AppData/Local/Temp/kubectl-pp-ui.x/open.html"
    assert address_of(path) == (address or ann)
