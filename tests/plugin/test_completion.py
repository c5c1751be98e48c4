"""Completion, through kubectl's own: the way bash, zsh and fish ask."""

import subprocess
from pathlib import Path

import pytest

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from uploadpp.core.inputs import StepFinished, UploadReady


def candidates(pp: Plugin, *words: str) -> dict[str, str]:
    done = subprocess.run(
        ["kubectl", "__complete", "pp", *words],
        env=pp.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith(":")]
    return {word: text for word, _, text in (line.partition("\t") for line in lines)}


def test_verbs_and_flags(pp: Plugin) -> None:
    assert candidates(pp, "")["restart"] == "begin a new run of uploads"
    assert set(candidates(pp, "un")) == {"unsuspend"}
    assert "--from-step" in candidates(pp, "restart", "--f")
    assert set(candidates(pp, "list", "-o", "")) == {"wide", "json", "yaml", "name"}
    assert set(candidates(pp, "list", "--color=")) == {"auto", "always", "never"}
    assert set(candidates(pp, "list", "--color=al")) == {"always"}
    assert set(candidates(pp, "completion", "")) == {"bash", "zsh", "fish", "powershell"}


def test_what_is_in_the_cluster(pp: Plugin, writer: Writer) -> None:
    writer.put_all([at(f"upload-{i:03}", ago_minutes=5) for i in range(120)])
    names = candidates(pp, "status", "upload-")
    assert len(names) == 100  # the first page is enough to go on typing
    assert names["upload-000"] == "Running, step virusscan report.pdf"
    assert "upload-000" not in candidates(pp, "status", "upload-000", "upload-")
    assert list(candidates(pp, "status", "@")) == ["@latest"]
    assert set(candidates(pp, "restart", "-s", "")) == {"virusscan", "policies", "finished"}
    assert pp.namespace in candidates(pp, "list", "-n", pp.namespace[:8])
    assert candidates(pp, "-n", "kube-system", "status", "upload-") == {}
    assert candidates(pp, "status", "--server=https://127.0.0.1:1", "upload-") == {}


PASSED = (
    StepFinished("virusscan", "continue"),
    StepFinished("policies", "continue"),
    UploadReady(failed=False),
)


def test_what_is_stuck_is_offered_however_many_have_ended(patient: Plugin, writer: Writer) -> None:
    """Only the first hundred names of the alphabet were."""
    writer.put_all([at(f"ended-{i:03}", *PASSED, ago_minutes=9) for i in range(620)])
    writer.put_all([at(f"open-{i:03}", ago_minutes=5) for i in range(110)])
    writer.put(at("stuck", ago_minutes=5))
    writer.set_status("stuck", {**writer.get("stuck")["status"], "currentStep": "ocr"})
    assert list(candidates(patient, "status", "stu")) == ["stuck"]
    assert len(candidates(patient, "status", "open-10")) == 10
    assert len(candidates(patient, "status", "ended-61")) == 10
    for verb in ("cancel", "resume", "suspend", "unsuspend", "wait", "watch"):
        names = candidates(patient, verb, "")
        assert (len(names), [name for name in names if name.startswith("ended")]) == (101, []), verb
        assert list(candidates(patient, verb, "s")) == ["stuck"]
    assert set(candidates(patient, "list", "--step", "")) == {"virusscan", "policies", "ocr", "finished"}
    assert list(candidates(patient, "suspend", "--step=o")) == ["ocr"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_code_for_the_shell(pp: Plugin, shell: str, tmp_path: Path) -> None:
    done = pp("completion", shell, f"--install={tmp_path}")
    assert done.code == 0
    assert f"kubectl completion {shell}" in done.out
    program = tmp_path / "kubectl_complete-pp"
    run = subprocess.run([program, "vers"], env=pp.environment, capture_output=True, text=True, check=True)
    assert run.stdout == "version\tprint the version\n:4\n"
