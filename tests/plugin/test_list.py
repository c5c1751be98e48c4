"""`list`: the same as `kubectl get`, with filters, for hundreds of uploads."""

import json
import re
import subprocess
import time
from dataclasses import replace

import pytest
import yaml

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from tests.plugin.terminal import Terminal
from uploadpp.api.codec import to_status
from uploadpp.core.conditions import Unserved
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import StepFinished, UploadReady
from uploadpp.core.states import OnExhausted
from uploadpp.testing.builders import CONFIG

AGE = re.compile(r"\b\d+s\b *")
"""An age, and the spaces that its length moves: it changes between two commands."""

PASSED = (
    StepFinished("virusscan", "continue"),
    StepFinished("policies", "continue"),
    UploadReady(failed=False),
)
INFECTED = (StepFinished("virusscan", "delete", "Eicar-Test-Signature"), UploadReady(failed=True))


def kubectl_get(pp: Plugin, *words: str) -> str:
    done = subprocess.run(
        ["kubectl", "get", "uploadpostprocessings", *words],
        env=pp.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "words",
    [(), ("-o", "wide"), ("--no-headers",), ("-l", "app.kubernetes.io/managed-by=uploadpp"), ("-o", "name")],
)
def test_the_output_is_that_of_kubectl_get(pp: Plugin, writer: Writer, words: tuple[str, ...]) -> None:
    writer.put_all([at("moving", ago_minutes=5), at("over", *PASSED, ago_minutes=9)])
    evil = at("evil", *INFECTED, ago_minutes=1)
    writer.put(evolve(evil, file=evolve(evil.file, filename="two\nlines")))
    kubectl, ours = kubectl_get(pp, *words), pp("list", *words).out
    assert sorted(AGE.sub("AGE ", ours).splitlines()) == sorted(AGE.sub("AGE ", kubectl).splitlines())


def test_a_hostile_file_name_does_nothing_to_the_terminal(pp: Plugin, writer: Writer) -> None:
    evil = at("evil", ago_minutes=1)
    writer.put(evolve(evil, file=evolve(evil.file, filename="a\x1b[2Jb\tc")))
    for words in (["list", "-o", "wide"], ["status", "evil"]):
        shown = pp(*words).out
        assert "a\\x1b[2Jb\\tc" in shown
        assert "\x1b" not in shown


def test_filters(pp: Plugin, writer: Writer) -> None:
    writer.put_all(
        [
            at("waiting", ago_minutes=5),
            at("later", StepFinished("virusscan", "continue"), ago_minutes=5),
            at("over", *PASSED, ago_minutes=5),
            at("evil", *INFECTED, ago_minutes=5),
        ]
    )

    def names(*words: str) -> set[str]:
        shown = pp("list", "-o", "name", *words)
        assert shown.code == 0, shown.err
        return {line.removeprefix("uploadpostprocessing.uploadpp.io/") for line in shown.out.splitlines()}

    assert names() == {"waiting", "later", "over", "evil"}
    assert names("--step", "virusscan") == {"waiting"}
    assert names("--running") == names("--processing") == {"waiting", "later"}
    assert names("--processing=false") == {"over", "evil"}
    assert names("--failed") == names("--has-virus") == names("--outcome", "delete") == {"evil"}
    assert names("--has-virus=false", "--running") == {"waiting", "later"}
    assert names("--field-selector", "status.currentStep=policies") == {"later"}
    assert names("--since", "1h", "--step", "policies") == {"later"}
    assert names("--older", "1h") == names("--expired") == names("--stalled") == set()
    assert names("--space", "none-such") == set()
    assert "No uploads found" in pp("list", "--stalled").err
    assert pp("list", "-A", "--failed").out.split()[:2] == ["NAMESPACE", "NAME"]


def test_sessions_as_the_old_command_printed_them(pp: Plugin, writer: Writer) -> None:
    writer.put_all([at("waiting", ago_minutes=5), at("evil", *INFECTED, ago_minutes=5)])
    shown = pp("list", "--json")
    assert shown.out.count("\n") == 1
    by_id = {session["id"]: session for session in json.loads(shown.out)}
    assert set(by_id["waiting"]) == {
        *("id", "space", "filename", "offset", "size", "executant", "spaceowner", "expires", "processing"),
        *("virus_scan_date", "virus_scan_result", "status", "status_message"),
    }
    assert by_id["waiting"]["processing"] is True
    assert by_id["evil"]["processing"] is False
    assert by_id["evil"]["virus_scan_result"] == "Eicar-Test-Signature"
    assert by_id["evil"]["virus_scan_date"] > "2026" > by_id["waiting"]["virus_scan_date"]
    assert pp("list", "--json", "--has-virus").out.startswith('[{"id": "evil"')
    assert pp("list", "--json", "--step", "none").out == "[]\n"


def test_objects_are_what_the_api_server_has(pp: Plugin, writer: Writer) -> None:
    writer.put(at("waiting", ago_minutes=5))
    kubectl = json.loads(kubectl_get(pp, "-o", "json"))
    assert json.loads(pp("list", "-o", "json").out) == kubectl
    assert yaml.safe_load(pp("list", "-o", "yaml").out) == kubectl
    assert json.loads(pp("status", "waiting", "-o", "json").out) == kubectl["items"][0]
    assert yaml.safe_load(pp("status", "waiting", "-o", "yaml").out) == kubectl["items"][0]


def test_hundreds_of_uploads_come_in_pages(pp: Plugin, writer: Writer) -> None:
    writer.put_all([at(f"upload-{i:04}", *(PASSED if i % 3 else ()), ago_minutes=5) for i in range(620)])
    assert len(pp("list", "--no-headers").out.splitlines()) == 620
    assert len(pp("list", "--no-headers", "--running").out.splitlines()) == 207
    assert json.loads(pp("stats", "-o", "json").out)["counts"] == [
        {"step": "-", "state": "Completed", "uploads": 413},
        {"step": "virusscan", "state": "Running", "uploads": 207},
    ]


def test_names_ids_and_the_newest(pp: Plugin, writer: Writer) -> None:
    writer.put(at("Not A Name", ago_minutes=5))
    name = writer.list()[0]["metadata"]["name"]
    assert name.startswith("u-")
    by_id, by_name = pp("status", "Not A Name"), pp("status", name)
    assert by_id.code == by_name.code == 0
    assert "Upload id:  Not A Name\n" in by_id.out
    assert f"Name:       {name}\n" in by_name.out
    writer.put(at("second", ago_minutes=1))
    assert "Name:       second\n" in pp("status", "@latest").out


def put_some(writer: Writer) -> None:
    """Ended, moving and stuck uploads, whose names sort in another order than their ages."""
    held = StepFinished("virusscan", "retry")
    hold = evolve_config(on_exhausted=OnExhausted.HOLD, max_retries=0)
    for upload in (
        at("c-over", *PASSED, ago_minutes=9),
        at("d-moving", ago_minutes=5),
        at("b-held", held, ago_minutes=20, config=hold),
    ):
        writer.put(upload)
        time.sleep(1.1)  # creation times have whole seconds
    writer.put(at("a-moving", ago_minutes=1))


def evolve_config(**changes: object) -> Config:
    """The tests' configuration with another rule for the first step."""
    first, *others = CONFIG.steps
    return replace(CONFIG, steps=(replace(first, **changes), *others))  # type: ignore[arg-type]


def test_what_needs_a_person_comes_first_then_the_newest(pp: Plugin, writer: Writer) -> None:
    put_some(writer)

    def names(*words: str) -> list[str]:
        return [line.split()[0] for line in pp("list", "--no-headers", *words).out.splitlines()]

    assert names() == ["b-held", "a-moving", "d-moving", "c-over"]
    assert names("--sort-by=name") == ["a-moving", "b-held", "c-over", "d-moving"]
    assert names("--sort-by=Age") == ["a-moving", "b-held", "d-moving", "c-over"]
    assert names("--sort-by=status")[0] == "c-over"
    assert names("--limit=2") == ["b-held", "a-moving"]
    assert pp("list", "--limit=2").err == "… and 2 more; --limit=0 lists all\n"
    assert names("--limit=0") == names("--limit=9") == names()
    assert names("--running") == ["b-held", "a-moving", "d-moving"]
    assert names("--stalled") == ["b-held"]
    assert names("--processing=false") == ["c-over"]
    alone = at("e-unserved", ago_minutes=30)
    writer.put(alone)
    writer.set_status("e-unserved", to_status(alone, unserved=Unserved(alone.current_step, alone.since)))
    assert names("--sort-by=status")[2] == "e-unserved", "Completed, Held, NoService, Running"
    assert names("--stalled") == ["e-unserved", "b-held"]
    assert pp("list", "-o", "name", "--sort-by=message").code == 0


def test_the_order_is_that_of_kubectl_for_a_field_and_the_same_in_every_output(
    pp: Plugin, writer: Writer
) -> None:
    put_some(writer)

    def names(*words: str) -> list[str]:
        shown = pp("list", *words)
        assert shown.code == 0, shown.err
        if "json" in words:
            return [item["metadata"]["name"] for item in json.loads(shown.out)["items"]]
        if "--json" in words:
            return [session["id"] for session in json.loads(shown.out)]
        return [line.split()[0].rpartition("/")[2] for line in shown.out.splitlines()]

    def kubectl(path: str) -> list[str]:
        return [line.split()[0] for line in kubectl_get(pp, "--no-headers", f"--sort-by={path}").splitlines()]

    for path in (
        ".metadata.creationTimestamp",
        "{.metadata.name}",
        "metadata.name",
        ".spec.upload.id",
        '{.status.conditions[?(@.type=="Succeeded")].lastTransitionTime}',
        "{.status.steps[0].startTime}",
        r".metadata.labels.app\.kubernetes\.io/name",
    ):
        ours = names("--no-headers", f"--sort-by={path}")
        assert sorted(ours) == sorted(kubectl(path))
        if "labels" not in path:  # all have the same: who comes first is nobody's promise
            assert ours == kubectl(path), path
    for order in ("", "--sort-by=status", "--sort-by=age", "--sort-by=name", "--sort-by=.metadata.name"):
        given = [order] if order else []
        table = names("--no-headers", *given)
        assert names("-o", "name", *given) == names("-o", "json", *given) == names("--json", *given) == table
    cut = pp("list", "-o", "name", "--limit=1")
    assert cut.out == "uploadpostprocessing.uploadpp.io/b-held\n"
    assert cut.err == "… and 3 more; --limit=0 lists all\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--sort-by=colour"], "there is no column 'colour'"),
        (["--sort-by=colour", "-o", "name"], "there is no column 'colour'"),
        (["--sort-by=.a..b"], "is not the path of a field"),
        (["--sort-by={.a[?(@.b)]}"], "is not the path of a field"),
        (["--limit=some"], "--limit must be a whole number"),
        (["--limit=-1"], "--limit must be a whole number"),
        ([f"--limit={'9' * 5000}"], "--limit must be a whole number"),
        ([f"--sort-by=.status.steps[{'9' * 5000}].name"], "is not the path of a field"),
    ],
)
def test_what_cannot_be_sorted_or_limited(pp: Plugin, writer: Writer, words: list[str], text: str) -> None:
    writer.put(at("moving", ago_minutes=5))
    found = pp("list", *words)
    assert found.code == 2
    assert text in found.err


def test_on_a_terminal_the_list_has_an_end(pp: Plugin, writer: Writer) -> None:
    writer.put_all([at(f"u{number:03}", ago_minutes=5) for number in range(203)])
    terminal = Terminal(pp, "kubectl", "pp", "list", columns=80)
    terminal.until("and 3 more")
    assert len(re.findall(r"^u\d\d\d ", terminal.seen, re.MULTILINE)) == 200
    assert terminal.end() == 0
    for words in (["-o", "name"], ["--json"]):
        whole = Terminal(pp, "kubectl", "pp", "list", *words, columns=80)
        assert whole.end() == 0
        assert len(set(re.findall(r"\bu\d\d\d\b", whole.seen))) == 203


def test_on_a_narrow_terminal_names_stay_whole(pp: Plugin, writer: Writer) -> None:
    """And every line fits: with two spaces between columns, and as much of the step as there is room for."""
    long = replace(CONFIG, steps=(replace(CONFIG.steps[0], name="a-step-with-a-long-name"),))
    name = "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"
    writer.put(at(name, ago_minutes=5, config=long))
    terminal = Terminal(pp, "kubectl", "pp", "list", columns=80)
    assert terminal.end() == 0
    lines = re.sub(r"\x1b\[\d*m", "", terminal.seen).splitlines()
    assert any(line.startswith(f"{name}  a-step-") for line in lines), lines
    assert max(map(len, lines)) <= 80
    assert "a-step-with-a-long-name" in pp("list").out


def test_a_release_that_failed_is_found_by_its_filters(pp: Plugin, writer: Writer) -> None:
    """It has ended, and waits for a person: two queries have to find it once."""
    failures = [UploadReady(failed=True)] * 2
    config = replace(CONFIG, max_releases=0)
    passed = [StepFinished("virusscan", "continue"), StepFinished("policies", "continue")]
    writer.put(at("failed", *passed, *failures, ago_minutes=1, config=config))
    for words in (["--failed"], ["--stalled"], ["--failed", "--stalled"], []):
        assert pp("list", "-o", "name", *words).out == "uploadpostprocessing.uploadpp.io/failed\n"
    assert pp("list", "-o", "name", "--running").out == ""
