"""runc is not asked for a capability that root does not have here."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from e2e.paths import REPO

RUNTIME = REPO / "e2e" / "kind" / "runtime.sh"
RESOURCE = "CAP_SYS_RESOURCE"
ALL = {"capabilities": {"bounding": ["CAP_CHOWN", RESOURCE, "CAP_SYSLOG"], "effective": [RESOURCE]}}


def is_here() -> bool:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return bool(int(lines["CapBnd"], 16) >> 24 & 1)


@pytest.mark.parametrize(("flag", "file"), [("--bundle", "config.json"), ("--process", "")])
def test_what_root_lacks_is_left_out(tmp_path: Path, flag: str, file: str) -> None:
    spec = tmp_path / (file or "process.json")
    spec.write_text(json.dumps(ALL, separators=(",", ":")))
    runc = tmp_path / "runc"
    runc.write_text(f'#!/bin/sh\necho "$@" >"{tmp_path}/called"\n')
    runc.chmod(0o755)
    words = ["--root", "/run/x", "create", flag, str(tmp_path if file else spec), "name"]
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([RUNTIME, *words], check=True, env=path)
    assert (tmp_path / "called").read_text().split() == words
    left = json.loads(spec.read_text())["capabilities"]["bounding"]
    assert left == ["CAP_CHOWN", *([RESOURCE] if is_here() else []), "CAP_SYSLOG"]
