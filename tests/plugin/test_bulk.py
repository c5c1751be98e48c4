"""Changing a thousand uploads: interrupted, repeated, none asked twice."""

import re
import signal
import time

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from uploadpp.core.inputs import StepFinished

COUNT = 1000
PASSED = (StepFinished("virusscan", "continue"), StepFinished("policies", "continue"))


def tokens(writer: Writer) -> list[str]:
    return [item["spec"].get("restart", {}).get("token", "") for item in writer.list()]


def test_interrupted_and_repeated(pp: Plugin, writer: Writer) -> None:
    writer.put_all([at(f"upload-{i:04}", ago_minutes=5) for i in range(COUNT)])
    process = pp.start("resume", "--all", "--yes")
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("1,000 uploads; if this is interrupted, continue with --repeat=")
    while "restart" not in writer.get("upload-0000")["spec"]:  # it is among the first
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    token = first.strip().rpartition("=")[2]
    asked = tokens(writer).count(token)
    assert 0 < asked < COUNT
    assert f"{asked:,} requested" in err
    # The report is exact: requests under way were waited for.
    assert out.count(": the operator has not resumed it yet\n") == asked
    again = re.search(r"continue with the rest: kubectl pp (.*)", err)
    assert again is not None
    generations = {item["metadata"]["name"]: item["metadata"]["generation"] for item in writer.list()}

    repeated = pp(*again[1].split())
    assert repeated.code == 0, repeated.err
    assert tokens(writer) == [token] * COUNT
    assert repeated.out.count("unchanged: it already has this token") == asked
    touched = {i["metadata"]["name"] for i in writer.list() if i["metadata"]["generation"] > 2}
    assert touched == set()
    assert sum(generation == 2 for generation in generations.values()) == asked
    assert "is the operator running?" in repeated.err


def test_a_whole_step_is_one_wish(pp: Plugin, writer: Writer) -> None:
    """However many uploads there are; and the same request is never made twice."""
    writer.put_all([at(f"upload-{i:03}", ago_minutes=5) for i in range(100)])
    writer.put(at("elsewhere", StepFinished("virusscan", "continue"), ago_minutes=5))
    process = pp.start("restart", "-s", "virusscan")
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("100 uploads; if this is interrupted, continue with --repeat=")
    while not any(tokens(writer)):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    (request,) = [item["spec"]["restart"] for item in writer.list() if "restart" in item["spec"]]
    token = first.strip().rpartition("=")[2]
    assert request == {"token": token, "mode": "ResumeStep", "fromStep": "virusscan"}

    asked = next(i["metadata"]["name"] for i in writer.list() if "restart" in i["spec"])
    writer.set_status(asked, {**writer.get(asked)["status"], "currentStep": "policies"})
    versions = [item["metadata"]["resourceVersion"] for item in writer.list()]
    repeated = pp("restart", "-s", "virusscan", f"--repeat={token}")
    assert repeated.code == 0, repeated.err
    assert repeated.out.count("unchanged: it already has this token") == 99
    dry = pp("restart", "-s", "virusscan", "--dry-run")
    assert dry.out.count("would be resumed (dry run), now Running, step virusscan") == 99
    assert [item["metadata"]["resourceVersion"] for item in writer.list()] == versions


def test_whom_a_wish_for_the_step_does_not_reach(pp: Plugin, writer: Writer) -> None:
    uploads = [at(f"upload-{i:02}", StepFinished("virusscan", "abort"), ago_minutes=5) for i in range(50)]
    writer.put_all([*uploads, at("released", *PASSED, ago_minutes=5)])
    done = pp("restart")
    assert done.code == 1
    assert done.out.count("refused: an abort is not repeated") == 50
    assert "/released requested: the operator has not resumed it yet" in done.out


def test_what_moves_on_meanwhile_is_left_alone(pp: Plugin, writer: Writer) -> None:
    """A change is made to what was looked at, or not at all, whoever writes at the same time."""
    writer.put_all([at(f"upload-{i:02}", ago_minutes=5) for i in range(40)])
    status = writer.get("upload-00")["status"]
    process = pp.start("restart", "-s", "virusscan")
    for i in range(39, -1, -1):
        writer.set_status(f"upload-{i:02}", {**status, "currentStep": "policies"})
    out, _ = process.communicate(timeout=60)
    asked = {line.split()[0].rpartition("/")[2] for line in out.splitlines() if " requested: " in line}
    changed = {item["metadata"]["name"] for item in writer.list() if "restart" in item["spec"]}
    assert asked == changed
    assert {item["status"]["currentStep"] for item in writer.list()} == {"policies"}


def test_dry_run_changes_nothing(pp: Plugin, writer: Writer) -> None:
    writer.put_all([at(f"upload-{i}", ago_minutes=5) for i in range(3)])
    versions = [item["metadata"]["resourceVersion"] for item in writer.list()]
    shown = pp("restart", "--all", "--dry-run")
    assert shown.code == 0
    assert shown.out.count("would be restarted (dry run), now Running, step virusscan") == 3
    assert [item["metadata"]["resourceVersion"] for item in writer.list()] == versions
    refused = pp("restart", "upload-0", "--from-step", "nonsense", "--dry-run")
    assert refused.code == 1
    assert "restart.fromStep must be the name of one of spec.steps" in refused.out


def test_all_asks_first(pp: Plugin, writer: Writer) -> None:
    writer.put_all([at(f"upload-{i}", ago_minutes=5) for i in range(2)])
    assert pp("suspend", "--all").code == 2
    assert "desiredState" not in writer.get("upload-0")["spec"]
    done = pp("suspend", "--all", "--yes", "-o", "name")
    assert done.out.split() == [f"uploadpostprocessing.uploadpp.io/upload-{i}" for i in range(2)]
    assert writer.get("upload-1")["spec"]["desiredState"] == "Suspended"
    assert "unchanged: it is already suspended" in pp("suspend", "upload-0").out
    assert "refused" not in pp("cancel", "upload-0", "--delete").out
    assert writer.get("upload-0")["spec"]["cancelPolicy"] == "Delete"
    later = pp("unsuspend", "upload-0")
    assert later.code == 1
    assert "refused: it is being cancelled" in later.out
