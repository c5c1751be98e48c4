"""Choices on the command line that a variable of the shell has left empty."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from kubectl_pp import selection
from kubectl_pp.catalog import BY_NAME, Names, Verb
from kubectl_pp.cli import NARROWING, SELECTORS, main, parse
from kubectl_pp.context import Context, check_kubeconfig
from kubectl_pp.errors import ExitCode, UnavailableError, UsageError
from kubectl_pp.flags import Flag
from kubectl_pp.screen import Screen

CHOICES = [(verb, flag) for verb in BY_NAME.values() for flag in verb.flags if flag.key in NARROWING]
CHANGING = {"cancel", "prune", "restart", "resume", "suspend", "unsuspend"}


@pytest.mark.parametrize(("verb", "flag"), CHOICES, ids=lambda each: getattr(each, "name", None) or each.key)
def test_a_choice_that_is_empty_is_refused(verb: Verb, flag: Flag) -> None:
    """`--user-id=$WHO` must not choose the uploads of everybody where WHO is not set."""
    words = [f"{flag.long}=" if flag.long.startswith("--") else flag.long]
    words += [] if words[0].endswith("=") else [""]
    with pytest.raises(UsageError, match="invalid choice" if flag.choices else "is empty") as caught:
        parse(verb, words)
    assert flag.long in str(caught.value)


def test_what_narrows_is_all_of_it() -> None:
    """A flag that chooses uploads and is not in the list would let an empty value choose all."""
    found = {flag.key for _, flag in CHOICES}
    assert found == NARROWING
    assert {"step", "outcome", "space", "user_id", "since", "older"} <= found


@pytest.mark.parametrize(
    "verb", [each for each in BY_NAME.values() if each.names in {Names.ONE, Names.SOME, Names.MANY}], ids=str
)
def test_a_name_of_nothing_is_refused(verb: Verb) -> None:
    with pytest.raises(UsageError, match="a name is empty"):
        parse(verb, [""])


@pytest.mark.parametrize("verb", BY_NAME.values(), ids=lambda each: each.name)
def test_an_empty_selector_is_none_unless_something_is_changed(verb: Verb) -> None:
    changes = verb.name in CHANGING
    for flag in verb.flags:
        if flag.key not in SELECTORS:
            continue
        words = [f"{flag.long}="] + (["x"] if verb.names in {Names.ONE, Names.MANY} else [])
        if changes:
            with pytest.raises(UsageError, match=f"{flag.long} is empty"):
                parse(verb, words)
        else:
            assert getattr(parse(verb, words), flag.key) == ""


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--all-namespaces=true"], "all_namespaces", True),
        (["-A=1"], "all_namespaces", True),
        (["--insecure-skip-tls-verify=true"], "insecure_skip_tls_verify", True),
        (
            ["--insecure-skip-tls-verify", "--insecure-skip-tls-verify=false"],
            "insecure_skip_tls_verify",
            False,
        ),
        (
            ["--insecure-skip-tls-verify=False", "--insecure-skip-tls-verify=T"],
            "insecure_skip_tls_verify",
            True,
        ),
        (["--wait=false"], "wait", False),
        (["--dry-run=server"], "dry_run", True),
        (["--dry-run=client"], "dry_run", True),
        (["--dry-run=none"], "dry_run", False),
    ],
    ids=str,
)
def test_a_switch_may_have_a_value_as_in_kubectl(words: list[str], key: str, value: bool) -> None:  # noqa: FBT001 -- parametrised
    assert getattr(parse(BY_NAME["cancel"], [*words, "x"]), key) is value


@pytest.mark.parametrize("word", ["--all=", "--all=yes", "--dry-run=all", "-A=none"])
def test_a_switch_with_another_value_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"is neither true nor false|is not one of server"):
        parse(BY_NAME["cancel"], [word])


def test_a_name_may_begin_with_a_dash() -> None:
    assert parse(BY_NAME["status"], ["-A", "--", "-x", "y", "--all=true"]).names == ["-x", "y", "--all=true"]
    assert parse(BY_NAME["help"], ["--", "-x"]).names == "-x"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], ""),
        (["-n", "files"], " -n files"),
        (["-A"], " -n 'name of the upload'"),
        (["--context", "admin@my cluster$(id)"], " --context 'admin@my cluster$(id)'"),
        (
            ["--kubeconfig=/srv/two words", "--cluster=c", "--user=u"],
            " --kubeconfig '/srv/two words' --cluster c --user u",
        ),
        (
            [
                "--as=jane",
                "--as-group=a",
                "--as-group=b",
                "--server=https://x:1",
                "--insecure-skip-tls-verify",
            ],
            " --as jane --as-group a --as-group b --server https://x:1 --insecure-skip-tls-verify",
        ),
        (["--token=secret", "--password=secret", "--server=https://u:secret@x", "--username=u"], ""),
    ],
)
def test_a_suggested_command_is_for_the_same_cluster(words: list[str], command: str) -> None:
    """It is meant to be copied: without --kubeconfig it changed uploads elsewhere, or found none."""
    context = Context(parse(BY_NAME["status"], [*words, "x"]), Screen())
    assert context.command("resume x", "name of the upload") == f"kubectl pp resume x{command}"


def test_a_suggestion_about_no_upload_is_for_all_namespaces() -> None:
    assert Context(parse(BY_NAME["doctor"], ["-A"]), Screen()).command("stats") == "kubectl pp stats -A"


@pytest.mark.parametrize(
    "name", ["a/b", "a b", " default", "\u00fc", "../x", "a?x=y", "a#x", "a%2Fb", "..", "a" * 64]
)
@pytest.mark.parametrize("flag", ["-n", "--operator-namespace"])
def test_what_is_not_a_namespace_is_in_no_request(flag: str, name: str) -> None:
    """It became a part of the path: with `-n a/b` the CRD seemed to be missing, with `a#x` all uploads."""
    with pytest.raises(UsageError, match="is not the name of a namespace"):
        parse(BY_NAME["doctor"], [f"{flag}={name}" if flag.startswith("--") else flag + name])


def test_a_context_with_an_odd_namespace_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context(parse(BY_NAME["list"], []), Screen())
    config = {"current-context": "c", "contexts": [{"name": "c", "context": {"namespace": "a/b"}}]}
    asked = subprocess.Popen(["echo", json.dumps(config)], stdout=subprocess.PIPE, text=True)
    monkeypatch.setattr(context, "_asking", asked)
    with pytest.raises(UsageError, match="the namespace of the context: 'a/b'"):
        _ = context.default_namespace


def test_a_namespace_that_is_not_known_is_not_taken_for_the_default_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kubectl = tmp_path / "kubectl"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for script, why in (
        ("echo 'I1123 loads' >&2; echo 'error: invalid configuration' >&2; exit 1", "context: invalid conf"),
        ("exit 3", "kubectl config view ended with 3"),
        ("echo '{}'", "printed something else"),
        ("echo no JSON", "printed something else"),
        ("""echo '{"current-context": "c", "contexts": null}'""", 'context "c" does not exist'),
    ):
        kubectl.write_text(f"#!/bin/sh\n{script}\n")
        kubectl.chmod(0o755)
        with pytest.raises(UnavailableError, match=why) as caught:
            _ = Context(parse(BY_NAME["list"], []), Screen()).default_namespace
        assert "name the namespace with -n" in caught.value.remedy


def test_a_kubeconfig_that_can_be_read_only_once_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fifo, file = tmp_path / "fifo", tmp_path / "file"
    os.mkfifo(fifo)
    file.touch()
    monkeypatch.setenv("KUBECONFIG", f"{file}:{fifo}")
    for given in (str(file), os.devnull, "/nonexistent", "\0"):
        check_kubeconfig(given)
    for once in (str(fifo), "/dev/stdin", "/dev/fd/0", None):
        with pytest.raises(UsageError, match="can be read only once") as caught:
            check_kubeconfig(once)
        assert "-n" in caught.value.remedy


@pytest.mark.parametrize(
    "words", [["status", "\udcff"], ["list", "--step", "\udcff"], ["list", "-n", "\udcff"]]
)
def test_what_is_not_utf_8_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == ExitCode.USAGE
    assert "is not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["upp/x", "uploadpostprocessing/x", "uploadpostprocessings/x", "uploadpostprocessing.uploadpp.io/x"],
)
def test_a_name_may_have_its_kind_as_in_kubectl(name: str) -> None:
    asked: list[str] = []

    class Client:
        def items(self, path: str, params: dict[str, str]) -> list[object]:
            asked.append(f"{path} {params['fieldSelector']}")
            return [{"metadata": {"name": "x", "namespace": "n"}}]

    context = Context(parse(BY_NAME["status"], ["-n", "n", name]), Screen())
    context.__dict__["client"] = Client()
    (found,) = selection.find_named(context, [name])
    assert found.name == "x"
    assert asked[0].endswith("metadata.name=x")
    with pytest.raises(UsageError, match="is not a name"):
        selection.find_named(context, ["pods/x"])
