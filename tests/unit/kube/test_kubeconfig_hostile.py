"""Kubeconfigs of somebody else, and what they name: an error, soon, in bounded memory."""

import os
import stat
from pathlib import Path

import pytest

from uploadpp.kube import kubeconfig as kubeconfig_module
from uploadpp.kube.access import ConfigError
from uploadpp.kube.credentials import find_credentials
from uploadpp.kube.kubeconfig import load_kubeconfig

BOMB = "m0: &m0 {a: 1}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{','.join([f'*m{i - 1}'] * 9)}]}}\n" for i in range(1, 30)
)
LOUD = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


def kubeconfig(
    folder: Path, *, user: str = "", cluster: str = "", more: str = "", context: str = "c"
) -> Path:
    path = folder / "config"
    path.write_text(
        f"{more}\napiVersion: v1\nkind: Config\ncurrent-context: {context}\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
        f"clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:1', {cluster}}}}}]\n"
        f"users: [{{name: u, user: {{{user}}}}}]\n"
    )
    return path


def program(folder: Path, script: str, *, told: bool = False) -> str:
    """The entry of a user whose credentials a program gives."""
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    entry = f"apiVersion: client.authentication.k8s.io/v1, command: {path}, interactiveMode: Never"
    return f"exec: {{{entry}, provideClusterInfo: {str(told).lower()}}}"


def problem(path: str | Path) -> str:
    with pytest.raises(ConfigError) as found:
        find_credentials({"KUBECONFIG": str(path)})
    assert str(found.value).isprintable(), "an escape would reach the terminal"
    assert len(str(found.value)) <= 1000
    return str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        *(BOMB, "[" * 100_000, "a: " + "{b: " * 2000, "d: " + "9" * 6000, "d: !!float x"),
        *("d: !!bool x", "d: !!binary \u00e4", 'd: "\\ud800"', "\x00"),
    ],
)
def test_s6_whatever_a_kubeconfig_holds_it_is_read_or_an_error(tmp_path: Path, text: str) -> None:
    path = kubeconfig(tmp_path, more=text)
    assert str(path) in problem(path)


def test_a_merge_within_bounds_counts(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, more="x: &x {token: t}", user="<<: *x")
    assert load_kubeconfig({"KUBECONFIG": str(path)}).token == "t"


def test_s6_only_files_that_end_are_read(tmp_path: Path) -> None:
    pipe, large = tmp_path / "pipe", tmp_path / "large"
    os.mkfifo(pipe)
    with large.open("wb") as file:
        file.truncate(1 << 30)
    for odd, words in (
        ("/dev/zero", "regular"),
        (large, "larger"),
        (tmp_path, "directory"),
    ):
        assert words in problem(odd).lower().replace("isadirectoryerror", "directory")
        assert words in problem(kubeconfig(tmp_path, user=f"tokenFile: {odd}")).lower()
        assert words in problem(kubeconfig(tmp_path, cluster=f"certificate-authority: {odd}")).lower()
    assert "regular" in problem(kubeconfig(tmp_path, user=f"tokenFile: {pipe}"))
    assert "null byte" in problem(kubeconfig(tmp_path, user='tokenFile: "a\\0b"'))


def test_a_shell_may_hand_over_a_kubeconfig_in_a_pipe(tmp_path: Path) -> None:
    """As `KUBECONFIG=<(sops --decrypt config) uploadpp adopt` does."""
    text = kubeconfig(tmp_path, user="token: t").read_bytes()
    reading, writing = os.pipe()
    try:
        os.write(writing, text)
        os.close(writing)
        assert load_kubeconfig({"KUBECONFIG": f"/dev/fd/{reading}"}).token == "t"
    finally:
        os.close(reading)


def test_s6_a_pipe_whose_writer_is_not_done_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig_module, "PIPE_SECONDS", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = os.open(pipe, os.O_RDWR)
    try:
        assert "did not finish within 0.05 s" in problem(pipe)
    finally:
        os.close(writing)


def test_s3_names_do_not_steer_a_terminal(tmp_path: Path) -> None:
    assert "names the context" in problem(kubeconfig(tmp_path, context='"\\e[2Jx\\nERROR forged"'))
    path = kubeconfig(
        tmp_path, user=program(tmp_path, "printf '\\033[2J\\033]0;x\\007\\nforged\\r' >&2; exit 3")
    )
    assert "ended with status 3" in problem(path)
    spec = 'apiVersion: client.authentication.k8s.io/v1, command: "/no\\e[2J", interactiveMode: Never'
    assert "No such file" in problem(kubeconfig(tmp_path, user=f"exec: {{{spec}}}"))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec cat /dev/zero", "is larger than"),
        ("head -c 100000 /dev/zero | tr '\\0' '['", "is not JSON"),
        ("printf '\\377\\376'", "is not JSON"),
        ("head -c 3000000 /dev/zero >&2; echo end >&2; exit 1", "end"),
    ],
)
def test_s6_what_a_credential_plugin_writes_is_bounded(tmp_path: Path, script: str, words: str) -> None:
    assert words in problem(kubeconfig(tmp_path, user=program(tmp_path, script)))


@pytest.mark.parametrize(("aside", "extension"), [("", "&r [*r]"), (LOUD, "*a11")])
def test_s6_what_a_credential_plugin_is_told_is_bounded(tmp_path: Path, aside: str, extension: str) -> None:
    told = f"extensions: [{{name: client.authentication.k8s.io/exec, extension: {extension}}}]"
    path = kubeconfig(tmp_path, more=aside, cluster=told, user=program(tmp_path, "exit 1", told=True))
    assert "cannot be passed on" in problem(path)
