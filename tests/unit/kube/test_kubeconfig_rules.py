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
    path = Path(written(tmp_path, {"token": "TEXT"}))
    path.write_text(path.read_text().replace("TEXT", name).replace(": c\n", f": {name}\n"))
    assert loaded(str(path)).token == name.removeprefix("!zone ")


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
