"""Rules of kubectl 1.37 that Python's readers do not know. tests/integration compares with the real one."""

import asyncio
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import yaml

from uploadpp.kube.access import Access, ConfigError
from uploadpp.kube.credentials import Credentials, find_credentials, in_cluster
from uploadpp.kube.kubeconfig import load_kubeconfig
from uploadpp.kube.plugin import run_plugin

PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "interactiveMode": "Never"}


def written(folder: Path, user: dict[str, Any], server: str = "https://127.0.0.1:1", **cluster: str) -> str:
    path = folder / "config"
    fields = {key.replace("_", "-"): value for key, value in cluster.items()}
    parts = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server, **fields}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(parts, allow_unicode=True))
    return str(path)


def loaded(path: str) -> Access:
    return load_kubeconfig({"KUBECONFIG": path})


def headers(path: str) -> dict[str, str]:
    credentials = find_credentials({"KUBECONFIG": path})
    return dict(asyncio.run(credentials.current()).headers)


@pytest.mark.parametrize(
    "user",
    [
        {"token": "secret"},
        {"token": "not one\n"},
        {"tokenFile": "missing"},
        {"username": "mary", "password": "secret"},
        {"client-certificate": "missing", "client-key": "missing"},
        {"exec": PLUGIN},
    ],
    ids=str,
)
def test_without_tls_no_credentials_are_sent(tmp_path: Path, user: dict[str, Any]) -> None:
    """They were, so whoever listens between here and `http://api.example:8080` had them."""
    path = written(tmp_path, {**user, "as": "jane"}, "http://api.example:8080")
    assert headers(path) == {"Impersonate-User": "jane"}
    (note,) = loaded(path).notes
    assert note.endswith("is not https, so no credentials are sent")
    assert "secret" not in note
    assert loaded(written(tmp_path, {}, "http://api.example:8080")).notes == ()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_on_this_computer_nobody_listens_on_the_way(tmp_path: Path, host: str) -> None:
    assert "Authorization" in headers(written(tmp_path, {"token": "t"}, f"http://{host}:1"))


@pytest.mark.parametrize("name", ["mary:ann", "j\u00f6rg", "\u044e\u0437\u0435\u0440"])
def test_any_name_and_password_can_log_in(tmp_path: Path, name: str) -> None:
    """A colon in the name ended in a traceback."""
    found = headers(written(tmp_path, {"username": name, "password": "p\u00e4ss"}))["Authorization"]
    assert b64decode(found.removeprefix("Basic ")).decode() == f"{name}:p\u00e4ss"


@pytest.mark.parametrize(
    ("user", "field"),
    [
        ({"as": "a\nb"}, "as"),
        ({"as": "a", "as-uid": "\x07"}, "as-uid"),
        ({"as": "a", "as-groups": ["g", "h\r\nX-Forged: y"]}, "as-groups"),
        ({"as": "a", "as-user-extra": {"k": ["\0"]}}, "as-user-extra"),
    ],
)
def test_what_no_header_can_hold_is_refused_by_name(tmp_path: Path, user: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=rf"user\.{field} in .* has a control character"):
        loaded(written(tmp_path, {"token": "t", **user}))


@pytest.mark.parametrize("url", ["127.0.0.1:3128", "localhost:3128", " http://127.0.0.1:1", "//proxy:1"])
def test_a_proxy_url_has_a_scheme(tmp_path: Path, url: str) -> None:
    """What HTTPS_PROXY may leave out, kubectl asks for in a kubeconfig."""
    with pytest.raises(ConfigError, match=r"proxy-url in .* must begin with http:// or https://"):
        loaded(written(tmp_path, {}, proxy_url=url))


@pytest.mark.parametrize(
    "name", ["2024-01-01", "2024-01-01 10:00:00", "10:20", "1:30.5", "=", "!zone a", "2026-99-99"]
)
def test_texts_stay_texts(tmp_path: Path, name: str) -> None:
    """Python's YAML makes dates and numbers of minutes of them, or ends."""
    path = Path(written(tmp_path, {"username": "TEXT"}))
    path.write_text(path.read_text().replace("TEXT", name).replace(": c\n", f": {name}\n"))
    assert loaded(str(path)).basic == (name.removeprefix("!zone "), "")


@pytest.mark.parametrize("text", ["!!binary YWJj", "!!str abc", "'abc'", '"a\\x62c"'])
def test_a_text_may_be_written_in_any_way(tmp_path: Path, text: str) -> None:
    path = Path(written(tmp_path, {"token": "TEXT"}))
    path.write_text(path.read_text().replace("TEXT", text))
    assert loaded(str(path)).token == "abc"


def test_what_is_not_used_stops_nothing(tmp_path: Path) -> None:
    asking = {**PLUGIN, "interactiveMode": "Always"}
    assert loaded(written(tmp_path, {"token": "t", "exec": asking})).token == "t"
    assert loaded(written(tmp_path, {"token": "t", "auth-provider": None})).token == "t"
    with pytest.raises(ConfigError, match=r"interactiveMode in .* is Always"):
        loaded(written(tmp_path, {"exec": asking}))
    with pytest.raises(ConfigError, match=r"apiVersion in .* must be one of"):
        loaded(written(tmp_path, {"token": "t", "exec": {}}))


def test_a_pod_without_its_authority_trusts_those_of_the_system(tmp_path: Path) -> None:
    """client-go logs it and goes on: a projected volume need not hold the cluster's certificate."""
    (tmp_path / "token").write_text("t")
    place = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    found = in_cluster(place, tmp_path)
    assert found.authority is None
    assert "ca.crt is missing" in found.notes[0]
    assert Credentials(found).server == "https://10.0.0.1:443"


@pytest.mark.parametrize("name", ["a..b", ".a", "a" * 64, "a b", "m\0c", ".".join(["abc"] * 70)])
def test_a_name_that_no_host_can_have_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """Each request ended in an error of Python's encoder, with a traceback."""
    with pytest.raises(ConfigError, match=r"tls-server-name in .* is not the name of a host"):
        loaded(written(tmp_path, {}, tls_server_name=name))
    with pytest.raises(ConfigError, match=r"server in .* is not a URL such as https://host:6443"):
        loaded(written(tmp_path, {}, f"https://{name}:6443"))


@pytest.mark.parametrize(
    ("name", "used"), [("api.test.", "api.test"), ("[::1]", "::1"), ("b\u00fccher.test", "b\u00fccher.test")]
)
def test_the_servers_name_is_compared_as_in_go(tmp_path: Path, name: str, used: str) -> None:
    assert loaded(written(tmp_path, {}, tls_server_name=name)).server_name == used


@pytest.mark.parametrize(
    ("path", "used"),
    [
        ("/k8s/clusters/c-1/", "/k8s/clusters/c-1"),
        ("/a/../b//c", "/b/c"),
        ("///", ""),
        ("/a%2Fb", "/a/b"),
        ("/\u00fc", "/%C3%BC"),
    ],
)
def test_the_path_of_the_server_is_sent_as_go_sends_it(tmp_path: Path, path: str, used: str) -> None:
    assert loaded(written(tmp_path, {}, f"https://h:1{path}")).server == f"https://h:1{used}"


def test_compression_can_be_switched_off(tmp_path: Path) -> None:
    path = Path(written(tmp_path, {"as": "jane"}))
    assert "Accept-Encoding" not in headers(str(path))
    path.write_text(path.read_text().replace("server:", "disable-compression: true\n    server:"))
    assert headers(str(path)) == {"Impersonate-User": "jane", "Accept-Encoding": "identity"}


def test_what_counts_for_nothing_is_said(tmp_path: Path) -> None:
    """A field in another spelling was passed over: the namespace of the context, arguments of a plugin."""
    plugin = {**PLUGIN, "arg": ["x"]}
    path = Path(written(tmp_path, {"token": "t", "exec": plugin, "client-key": "/missing"}))
    path.write_text(path.read_text().replace("cluster: k\n", "cluster: k\n    Namespace: x\n"))
    where = f"in {path}"
    assert loaded(str(path)).notes == (
        f"contexts[c].context.Namespace {where}: is not a known field",
        f"users[u].user.exec.arg {where}: is not a known field",
        f"users[u].user.client-key {where}: is not used without client-certificate",
    )


def test_a_plugin_is_looked_for_in_our_path(tmp_path: Path) -> None:
    """Python looks in the PATH that the plugin itself is given, Go in that of its caller."""
    answer = (
        '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}'
    )
    for name in ("ours", "given"):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "fetch"
        file.write_text(f"#!/bin/sh\necho '{answer % name}'\n")
        file.chmod(0o755)
    env = [{"name": "PATH", "value": str(tmp_path / "given")}]
    plugin = loaded(written(tmp_path, {"exec": {**PLUGIN, "command": "fetch", "env": env}})).plugin
    assert plugin is not None
    assert run_plugin(plugin, {"PATH": str(tmp_path / "ours")}).token == "ours"
    with pytest.raises(ConfigError, match="exec fetch: no such program in the folders of PATH"):
        run_plugin(plugin, {"PATH": "/nonexistent"})


def test_a_variable_of_a_plugin_has_a_name(tmp_path: Path) -> None:
    env = [{"name": "A=b", "value": ""}]
    with pytest.raises(ConfigError, match=r"exec\.env\.name in .* holds an equals sign"):
        loaded(written(tmp_path, {"exec": {**PLUGIN, "env": env}}))


def test_a_kubeconfig_that_leads_nowhere_is_said_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory$"):
        loaded(str(tmp_path))
    path = Path(written(tmp_path, {}))
    path.write_text(path.read_text().replace("current-context: c", ""))
    with pytest.raises(ConfigError, match=r"current-context is not set in .*; kubectl config use-context"):
        loaded(str(path))


def test_the_name_of_an_anchor_may_be_used_again(tmp_path: Path) -> None:
    path = Path(written(tmp_path, {"token": "TEXT"}))
    path.write_text("x: &a old\ny: &a new\n" + path.read_text().replace("TEXT", "*a"))
    assert loaded(str(path)).token == "new"
