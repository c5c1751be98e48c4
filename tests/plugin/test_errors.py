"""Exit codes, and errors that name the remedy."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from e2e.cluster.local import LocalCluster
from tests.plugin.conftest import Plugin, environment_of
from tests.plugin.resources import Writer, at


@pytest.mark.parametrize(
    ("words", "text", "remedy"),
    [
        (["lsit"], "unknown verb 'lsit'", "did you mean list?"),
        (["list", "--nonsense"], "unrecognized arguments: --nonsense", "kubectl pp list --help"),
        (["list", "-o", "xml"], "invalid choice: 'xml'", "kubectl get uploadpostprocessings"),
        (["list", "-n", "a", "-A"], "-n and -A are mutually exclusive", ""),
        (["list", "--since", "yesterday"], "'yesterday' is not a duration", "1h30m"),
        (["status"], "status needs the name", "kubectl pp list"),
        (["suspend"], "no upload is selected", "--stalled"),
        (["suspend", "a", "--all"], "names and selectors are mutually exclusive", ""),
        (["restart", "--all"], "--all asks for confirmation", "--yes"),
        (["restart", "-u", "a", "b"], "-u already selects one upload", ""),
        (["wait"], "wait needs names or a selector", "kubectl pp wait NAME"),
        (["completion", "tcsh"], "no completion for the shell tcsh", ""),
        (["--nonsense"], "no verb given", "kubectl pp --help"),
    ],
)
def test_a_wrong_command_line(pp: Plugin, writer: Writer, words: list[str], text: str, remedy: str) -> None:
    if "--all" in words:
        writer.put(at("some", ago_minutes=1))
    found = pp(*words)
    assert found.code == 2
    assert found.out == ""
    assert found.err.startswith("error: ")
    assert text in found.err
    assert remedy in found.err


@pytest.mark.parametrize("verb", ["status", "wait", "restart", "suspend", "watch", "logs", "events"])
def test_what_is_not_there(pp: Plugin, verb: str) -> None:
    found = pp(verb, "nobody")
    assert found.code == 4
    assert "no upload nobody in namespace" in found.err


def test_the_others_of_several_names_are_processed_as_with_kubectl(pp: Plugin, writer: Writer) -> None:
    writer.put(at("there", ago_minutes=1))
    for words in (["status", "gone", "there", "-o", "yaml"], ["suspend", "gone", "there", "--dry-run"]):
        found = pp(*words)
        assert "there" in found.out
        assert found.err == f"error: no upload gone in namespace {pp.namespace}\n"
        assert found.code == 4


def test_an_unknown_upload_can_be_asked_for(pp: Plugin, writer: Writer) -> None:
    found = pp("restart", "-u", "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11")
    assert found.code == 4
    command = found.err.rpartition(": kubectl pp ")[2].split()
    assert pp(*command).code == 0
    assert writer.list()[0]["spec"] == {"upload": {"id": "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"}}


def test_nothing_matched_is_said(pp: Plugin) -> None:
    for words in (["restart"], ["resume", "-s", "virusscan"], ["suspend", "--stalled"], ["restart", "--all"]):
        found = pp(*words)
        assert (found.code, found.out) == (0, "")
        assert "nothing matched" in found.err
    assert "in step finished" in pp("restart").err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--server=https://127.0.0.1:1"], "cannot reach the API server: dial tcp 127.0.0.1:1"),
        (["--context=none"], 'context "none" does not exist'),
        (["--kubeconfig=/nonexistent/config"], "/nonexistent/config"),
        (["--token=wrong"], "not authenticated"),
    ],
)
def test_a_cluster_that_cannot_be_asked(pp: Plugin, words: list[str], text: str) -> None:
    found = pp("list", *words)
    assert found.code == 5
    assert text in found.err
    assert "try: " in found.err
    assert "E1" not in found.err  # kubectl's own log of the same


def test_forbidden_names_the_verb(pp: Plugin, writer: Writer) -> None:
    writer.put(at("some", ago_minutes=1))
    found = pp("list", "--as=nobody")
    assert found.code == 5
    assert 'User "nobody" cannot list resource "uploadpostprocessings"' in found.err
    assert "ask an administrator for permission to list uploadpostprocessings" in found.err
    examined = pp("doctor", "--as=nobody")
    assert examined.code == 1
    assert "you may not patch uploadpostprocessings.uploadpp.io" in examined.out
    assert "kubectl auth can-i patch uploadpostprocessings.uploadpp.io" in examined.out


def test_no_operator(pp: Plugin, writer: Writer) -> None:
    writer.put(at("some", ago_minutes=1))
    asked = pp("resume", "some")
    assert asked.code == 0
    assert "the operator has not resumed it yet" in asked.out
    assert "is the operator running? kubectl pp doctor" in asked.err
    examined = pp("doctor")
    assert examined.code == 1
    assert "no operator has run" in examined.out


def test_no_crd(built: Path, tmp_path: Path) -> None:
    with LocalCluster() as bare:
        pp = Plugin(environment_of(built, bare.kubeconfig, tmp_path), "default")
        for verb in (["list"], ["status", "some"], ["watch"], ["restart"]):
            found = pp(*verb)
            assert found.code == 5, verb
            assert "the CRD uploadpostprocessings.uploadpp.io is not installed" in found.err
            assert "Helm chart" in found.err
        examined = pp("doctor")
        assert examined.code == 1
        assert "uploadpostprocessings.uploadpp.io is not installed" in examined.out


def test_no_kubectl(pp: Plugin, built: Path) -> None:
    python = Path(pp.environment["PATH"].split(":")[1], "python3")
    alone = Path(pp.environment["HOME"], "alone")
    alone.mkdir()
    (alone / "python3").symlink_to(python.readlink())
    for name in ("sh", "env"):
        (alone / name).symlink_to(f"/bin/{name}")
    done = subprocess.run(
        [built / "kubectl-pp", "list"],
        env={**pp.environment, "PATH": str(alone)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert "kubectl is not on PATH" in done.stderr


@pytest.mark.parametrize(
    ("number", "send"),
    [(signal.SIGKILL, os.kill), (signal.SIGTERM, os.killpg), (signal.SIGHUP, os.killpg)],
)
def test_killed_it_leaves_nothing(
    pp: Plugin, writer: Writer, number: int, send: Callable[[int, int], None]
) -> None:
    writer.put(at("some", ago_minutes=1))
    folder = Path(pp.environment["TMPDIR"])
    process = pp.start("watch", "some")
    assert process.stdout is not None
    assert "some  Running" in process.stdout.readline()
    assert len(list(folder.glob("kubectl-pp.*/s"))) == 1
    assert folder.joinpath(next(folder.glob("kubectl-pp.*"))).stat().st_mode & 0o077 == 0
    send(process.pid, number)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while list(folder.glob("kubectl-pp.*")):
        assert time.monotonic() < deadline, "the proxy outlives the plugin"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_no_bug_also_when_it_is_sent_twice(pp: Plugin, writer: Writer, number: int) -> None:
    """`timeout -s INT` signals the command and then its group."""
    writer.put(at("some", ago_minutes=1))
    waiting = [pp.start("wait", "some") for _ in range(6)]
    folder = Path(pp.environment["TMPDIR"])
    while len(list(folder.glob("kubectl-pp.*/s"))) < len(waiting):
        time.sleep(0.05)
    for process in waiting:
        time.sleep(0.15)
        process.send_signal(number)
        os.killpg(process.pid, number)
        assert process.communicate(timeout=30) == ("", "\n")
        assert process.returncode == 130


def test_a_closed_pipe_is_no_traceback(pp: Plugin, writer: Writer) -> None:
    writer.put_all([at(f"upload-{i:03}", ago_minutes=5) for i in range(300)])
    with pp.start("list", "-o", "yaml") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "extra",
    [
        {"extensions": [{"name": "minikube", "extension": {"namespace": "elsewhere", "provider": "x"}}]},
        {"extensions": [{"name": "namespace", "extension": {"a": {"namespace": "elsewhere"}}}]},
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_the_namespace_is_the_contexts_own(
    pp: Plugin, writer: Writer, extra: dict[str, object], *, given: bool
) -> None:
    """Other keys of that name stand in what tools keep in a kubeconfig."""
    path = Path(pp.environment["KUBECONFIG"])
    found = yaml.safe_load(path.read_text())
    for entry in (*found["clusters"], *found["contexts"]):
        entry["cluster" if "cluster" in entry else "context"].update(extra)
        if "context" in entry:
            entry["context"].update(extra)
            if not given:
                entry["context"].pop("namespace", None)
    path.write_text(yaml.safe_dump(found))
    writer.put(at("upload-7", ago_minutes=5))
    kubectl = subprocess.run(
        ["kubectl", "get", "upp", "--output=name"],
        env=pp.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert pp("list", "-o", "name").out == kubectl.stdout
    assert bool(kubectl.stdout) is given


@pytest.mark.parametrize("kind", ["long", "missing", "unwritable", "with spaces", "empty"])
def test_any_temporary_folder_will_do(pp: Plugin, tmp_path: Path, kind: str) -> None:
    folders = {
        "long": tmp_path / ("x" * 95),
        "missing": tmp_path / "missing",
        "unwritable": Path("/proc"),
        "with spaces": tmp_path / "a b 'c' $d",
        "empty": Path(),
    }
    folder = folders[kind]
    if kind in ("long", "with spaces"):
        folder.mkdir()
    found = pp("list", TMPDIR="" if kind == "empty" else str(folder))
    assert (found.code, found.err) == (0, f"No uploads found in {pp.namespace} namespace.\n")


@pytest.mark.parametrize(
    "words",
    [
        "list",
        "list -o json",
        "list --help",
        "status some",
        "stats",
        "doctor",
        "watch",
        "watch some",
        "completion bash",
    ],
)
def test_a_full_disk_is_said(pp: Plugin, writer: Writer, words: str) -> None:
    """It has nothing to do with the cluster, nor with a proxy in between."""
    writer.put(at("some", ago_minutes=1))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            ["kubectl", "pp", *words.split()],
            env=pp.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


def test_a_server_may_have_no_scheme_as_in_kubectl(pp: Plugin, tmp_path: Path) -> None:
    """kubectl takes it for plain HTTP; `kubectl proxy` alone does not."""
    assert "connection refused" in pp("list", "--server=127.0.0.1:1").err
    path = tmp_path / "kubeconfig"
    config = yaml.safe_load(path.read_text())
    for each in config["clusters"]:
        each["cluster"] = {"server": "127.0.0.1:1"}
    path.write_text(yaml.safe_dump(config))
    found = pp("list")
    assert found.err.count("error: ") == 1
    assert "begin the server in the kubeconfig with https:// or http://" in found.err


def test_columns_that_are_no_number_count_as_not_set(pp: Plugin, writer: Writer) -> None:
    writer.put(at("some", ago_minutes=1))
    assert pp("status", "some", COLUMNS="\u00b2", LINES="\u00b2").code == 0
