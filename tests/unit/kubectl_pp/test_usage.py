"""Command lines as people type them who know kubectl: what is meant, or what to write instead."""

from pathlib import Path
from typing import Any

import pytest

from kubectl_pp import selection
from kubectl_pp.catalog import BY_NAME
from kubectl_pp.cli import parse, split
from kubectl_pp.client import _error
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, MissingError, PluginError, UnavailableError, UsageError
from kubectl_pp.flags import kubectl_arguments, same_cluster
from kubectl_pp.proxy import kubectl_path
from kubectl_pp.screen import Screen
from kubectl_pp.upload import Upload
from kubectl_pp.verbs import completion, policy


def parsed(text: str) -> Any:  # noqa: ANN401 -- what argparse has
    verb, rest = split(text.split())
    assert verb is not None
    return parse(verb, rest)


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("status", "status needs the name or the id of an upload", "kubectl pp list shows the names"),
        ("get", "status needs the name", "kubectl pp list shows the names"),
        ("status -dash", "unrecognized arguments: -dash", "put -- before it: kubectl pp status -- -dash"),
        ("list moving", "list takes no names: moving", "kubectl pp status takes names"),
        ("prune moving --older=1d", "prune takes no names: moving", "leave it out"),
        ("list --show-labels", "--show-labels", "kubectl get uploadpostprocessings takes it"),
        ("list --chunk-size=5", "--chunk-size=5", "kubectl get uploadpostprocessings takes it"),
        ("list -o jsonpath={.items}", "invalid choice", "kubectl get uploadpostprocessings takes every"),
        ("status a -o custom-columns=N:.kind", "invalid choice", "kubectl get uploadpostprocessings takes"),
        ("suspend a -o json", "invalid choice", "kubectl pp suspend --help"),
        ("wait a --for=delete", "--for=delete", "kubectl wait takes --for"),
        ("events a -o json", "-o json", "kubectl pp events --help"),
        ("events --for a", "--for", "kubectl pp events --help"),
        ("cancel a --dry-run=maybe", "not one of server, client and none", "--dry-run"),
        ("list -v=x", "-v: 'x' is not a whole number", "-v=6 logs the requests"),
        ("list --no-color", "--no-color", "--color=never"),
        ("list --sinc=5m", "--sinc=5m", "did you mean --since?"),
        ("list --nonsense", "unrecognized arguments: --nonsense", "kubectl pp list --help"),
        ("list --since -5m", "expected one argument", "--since=VALUE"),
        ("suspend a -l", "expected one argument", "--selector=VALUE"),
        ("list -n a -A", "-n and -A are mutually exclusive", "leave one of them out"),
        ("delete a", "unknown verb 'delete'", "kubectl pp cancel ends an upload"),
        ("edit a", "unknown verb 'edit'", "kubectl edit uploadpostprocessings NAME"),
        ("explain", "unknown verb 'explain'", "kubectl explain uploadpostprocessings"),
        ("lsit", "unknown verb 'lsit'", "did you mean list?"),
    ],
)
def test_a_mistake_is_said_with_what_to_write(text: str, problem: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(text)
    assert problem in str(caught.value)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("text", ["--version", "--version -o json", "version --client", "version"])
def test_the_version_can_be_asked_for_as_people_do(text: str) -> None:
    assert parsed(text).verb == "version"


@pytest.mark.parametrize(
    "text", ["list -v=6", "list -v 6", "list --v=6", "-v 6 list", "--v=6 list", "list -v6"]
)
def test_kubectl_may_be_told_to_log_more(text: str) -> None:
    options = vars(parsed(text))
    assert kubectl_arguments(options) == ["--v=6"]
    assert same_cluster(options) == ""


def test_a_folder_of_the_name_kubectl_is_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a checkout of kubectl below a folder of PATH, the error was a bug to report."""
    (tmp_path / "src" / "kubectl").mkdir(parents=True)
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'src'}:{program.parent}")
    assert kubectl_path() == str(program)


class Response:
    """What kubectl proxy says if it cannot connect."""

    status = 502


def test_without_a_kubeconfig_the_remedy_is_one() -> None:
    text = b"dial tcp 127.0.0.1:8080: connect: connection refused\n"
    error = _error("GET", "/version", Response(), text)  # type: ignore[arg-type]
    assert isinstance(error, UnavailableError)
    assert "set KUBECONFIG or --kubeconfig" in error.remedy


@pytest.mark.parametrize(
    ("names", "found", "code"),
    [(["a", "gone", "b"], ["a", "b"], ExitCode.NOT_FOUND), (["a", "a"], ["a"], ExitCode.OK)],
)
def test_of_several_names_those_that_exist_count(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    found: list[str],
    code: ExitCode,
) -> None:
    """An upload that was deleted meanwhile kept `xargs kubectl pp suspend` from all others."""

    def find(_: Context, name: str) -> list[Upload]:
        if name == "gone":
            raise MissingError("no upload gone in namespace ocis")
        return [Upload({"metadata": {"name": name, "namespace": "ocis", "uid": name}})]

    monkeypatch.setattr(selection, "_find", find)
    context = Context(parse(BY_NAME["status"], names), Screen())
    assert [each.name for each in selection.find_named(context, names)] == found
    assert context.missed == code
    assert ("no upload gone" in capsys.readouterr().err) is (code is ExitCode.NOT_FOUND)
    with pytest.raises(MissingError):
        selection.find_named(context, ["gone"])


@pytest.mark.parametrize(("term", "colored"), [("xterm", True), ("dumb", False), ("", False), (None, False)])
def test_a_terminal_of_which_nothing_is_known_gets_no_colors(
    monkeypatch: pytest.MonkeyPatch, term: str | None, *, colored: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)
    assert Screen().color is colored


@pytest.mark.parametrize("shell", ["tcsh", "/bin/tcsh", "BASH"])
def test_a_shell_that_we_do_not_know_is_said_with_those_that_we_do(shell: str) -> None:
    with pytest.raises(UsageError, match="no completion for the shell") as caught:
        completion.run(Context(parsed(f"completion {shell}"), Screen()))
    assert "bash, zsh" in caught.value.remedy


def test_a_shell_may_be_named_as_it_is_in_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    completion.run(Context(parsed("completion /usr/bin/zsh"), Screen()))
    assert "kubectl" in capsys.readouterr().out


def test_what_kubectl_says_of_a_folder_of_files_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It quotes the content of each of them."""
    program = tmp_path / "kubectl"
    quoted = "x" * 5000
    program.write_text(f"#!/bin/sh\necho 'error: unable to decode {quoted}' >&2\necho more >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    context = Context(parsed("policy test --filename a -f /etc"), Screen())
    with pytest.raises(PluginError, match=r"^cannot read /etc: unable to decode x+") as caught:
        policy._documents(context, "/etc")
    assert len(str(caught.value)) < 400
    assert "more" not in str(caught.value)
