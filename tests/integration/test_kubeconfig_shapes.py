"""Kubeconfigs as people have them: what kubectl can use is used, and what it refuses is refused by name."""

import base64
import copy
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.binaries import resolve
from e2e.cluster.certificates import write_certificates
from uploadpp.kube.access import ConfigError
from uploadpp.kube.credentials import find_credentials

Json = dict[str, Any]
SERVER = "https://127.0.0.1:1"
PLAIN: Json = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "clusters": [{"name": "k", "cluster": {"server": SERVER}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
}
AUTHORITY = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="


def of(user: Json | None = None, **cluster: object) -> str:
    """A kubeconfig with another user, and with more fields of the cluster."""
    made = copy.deepcopy(PLAIN)
    made["users"][0]["user"] = {"token": "t"} if user is None else user
    made["clusters"][0]["cluster"].update({key.replace("_", "-"): value for key, value in cluster.items()})
    return yaml.safe_dump(made)


ISSUED = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"x"}}'


def plugin(**changes: object) -> Json:
    """A user with a plugin that gives a token."""
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    spec = {
        "apiVersion": answer["apiVersion"],
        "interactiveMode": "Never",
        "command": "echo",
        "args": [json.dumps({**answer, "status": {"token": "x"}})],
        "env": None,
    }
    return {"exec": {**spec, **changes}}


USED: dict[str, str] = {
    "plain": of(),
    "Windows line ends": of().replace("\n", "\r\n"),
    "a mark of the byte order": "\ufeff" + of(),
    "JSON": json.dumps(PLAIN),
    "two documents": of() + "---\nnonsense: [\n",
    "unknown fields": of({"token": "t", "foo": 1}) + "preferences: {}\nbar: 1\n",
    "the same key twice": of() + "current-context: c\n",
    "IPv6": of(server="https://[::1]:1"),
    "a path behind the address": of(server=f"{SERVER}/k8s/clusters/c-1/"),
    "tokenFile missing, token there": of({"token": "t", "tokenFile": "/nonexistent"}),
    "a plugin": of(plugin()),
    "a plugin with a variable without value": of(plugin(env=[{"name": "A"}])),
    "a plugin that fails, token there": of({"token": "t", **plugin(command="false")}),
    "a user without a password": of({"username": "a"}),
    "UTF-16, as PowerShell writes it": of(),
    "HTTPS in capitals": of(server="HTTPS://127.0.0.1:1"),
    "no port": of(server="https://127.0.0.1"),
    "a query": of(server=f"{SERVER}/k8s?x=1#f"),
    "a plugin whose token has expired": of(
        plugin(args=[ISSUED.replace('"x"', '"x","expirationTimestamp":"2020-01-01T00:00:00Z"')])
    ),
    "a plugin that is told of the cluster": of(plugin(provideClusterInfo=True)),
    "a user's extras": of({"token": "t", "as": "x", "as-user-extra": {"a/b": ["1", "2"]}}),
    "a name with a colon": of({"username": "a:b", "password": "p"}),
    "a name in another alphabet": of({"username": "\u044e", "password": "\u00e4"}),
    "a date as token": of({"token": "T"}).replace("T\n", "2024-01-01\n"),
    "minutes as token": of({"token": "T"}).replace("T\n", "10:20\n"),
    "an equals sign as name": of().replace("name: c", "name: =").replace("context: c", "context: ="),
    "a tag of others": of({"token": "T"}).replace("T\n", "!zone abc\n"),
    "a plugin that asks, token there": of({"token": "t", **plugin(interactiveMode="Always")}),
    "auth-provider null": of({"token": "t", "auth-provider": None}),
    "an anchor twice": of() + "x: &a 1\ny: &a 2\nz: *a\n",
    "JSON with tabs": json.dumps(PLAIN, indent="\t"),
    "a tab before a value": of({"token": "T"}).replace("token: T\n", "token:\tabc\n"),
    "a tab behind a value": of().replace(SERVER, f"{SERVER}\t"),
    "a tab before a comment": of().replace(SERVER, f"{SERVER}\t# the API server"),
    "a tab in a text": of({"username": "T"}).replace("T\n", "a\tb\n"),
    "y for true": of(insecure_skip_tls_verify="Q").replace("Q", "y"),
    "N for false": of(insecure_skip_tls_verify="Q").replace("Q", "N"),
    "a key without a certificate": of({"token": "t", "client-key": "/nonexistent"}),
    "a plugin that answers in YAML": of(plugin(args=[yaml.safe_dump(json.loads(ISSUED))])),
    "a plugin with a PATH of its own": of(plugin(env=[{"name": "PATH", "value": "/nonexistent"}])),
    "a space behind the token": of({"token": "abc "}),
    "no compression": of(disable_compression=True),
    "a path that goes up": of(server=f"{SERVER}/a/..//b/"),
    "a name of the server with a dot": of(tls_server_name="api.test."),
    "impersonation": of({"token": "t", "as": "x", "as-groups": ["g"], "as-uid": "7"}),
}
NOT_A_URL = "server in .*is not a URL such as"
REFUSED: dict[str, tuple[str, str]] = {
    "a port too high": (of(server="https://127.0.0.1:99999"), NOT_A_URL),
    "a word as port": (of(server="https://127.0.0.1:https"), NOT_A_URL),
    "no host": (of(server="https://"), NOT_A_URL),
    "another scheme": (of(server="ftp://127.0.0.1:1"), NOT_A_URL),
    "a space in the address": (of(server=f"{SERVER} "), NOT_A_URL),
    "IPv6 without brackets": (of(server="https://::1:1"), NOT_A_URL),
    "a plugin that asks": (of(plugin(interactiveMode="Always")), "is Always, but nobody can answer"),
    "a plugin of another version than its answer": (
        of(plugin(apiVersion="client.authentication.k8s.io/v1beta1")),
        "not of the version",
    ),
    "NUL": (of() + "\0", "is not YAML"),
    "a user that is not there": (of().replace("name: u", "name: other"), "names the user 'u'"),
    "a user twice": (of().replace("users:", "users:\n- name: u\n  user: {}"), "the same name twice"),
    "a number as token": (of({"token": 12345}), "must be a string; put it in quotes"),
    "an exponent as token": (
        of({"token": "T"}).replace("T\n", "12e4\n"),
        "must be a string; put it in quotes",
    ),
    "a leading zero as token": (of({"token": "T"}).replace("T\n", "0899\n"), "must be a string; put it in"),
    "y as token": (of({"token": "T"}).replace("T\n", "y\n"), "must be a string; put it in quotes"),
    "a text as switch": (of(disable_compression="yes, please"), "disable-compression in .*must be true or"),
    "a tab that indents": (of().replace("    server", "\tserver"), "is not YAML, line"),
    "a bad escape in the address": (of(server=f"{SERVER}/a%zz"), NOT_A_URL),
    "a line feed in a token": (of({"token": "a\nb"}), "token in .*has a space, a line break or"),
    "a plugin that writes more than JSON": (of(plugin(args=[f"{ISSUED} and more"])), "answer is not JSON"),
    "two ways to log in": (of({"token": "t", "username": "a"}), "kubectl takes only one of them"),
    "groups of nobody": (of({"token": "t", "as-groups": ["g"]}), "as in .*is missing"),
    "auth-provider": (of({"auth-provider": {"name": "gcp"}}), "auth-provider in .*is not supported"),
    "an authority that is not there": (
        of(certificate_authority="/nonexistent"),
        "/nonexistent cannot be read",
    ),
    "an authority that is not asked": (
        of(certificate_authority_data=AUTHORITY, insecure_skip_tls_verify=True),
        "does not go with a certificate-authority",
    ),
    "a certificate without a key": (of({"client-certificate-data": AUTHORITY}), "must be set together"),
    "a proxy without a scheme": (of(proxy_url="127.0.0.1:1"), "proxy-url in .*must begin with http"),
    "a line feed in a group": (of({"token": "t", "as": "x", "as-groups": ["a\nb"]}), "control character"),
    "half a character": (of({"token": "T"}).replace("T\n", '"\\ud800"\n'), "is not YAML"),
    "an empty plugin": (of({"token": "t", "exec": {}}), "apiVersion in .*must be one of"),
    "a proxy of another kind": (of(proxy_url="ftp://127.0.0.1:1"), "a proxy must begin with"),
    "tokenFile missing": (of({"tokenFile": "/nonexistent"}), "/nonexistent cannot be read"),
    "a plugin without a command": (of(plugin(command="")), "command in .*is missing"),
    "a plugin that is not installed": (
        of(plugin(command="nonesuch", installHint="get it at shop.test")),
        r"nonesuch: .*\(get it at shop\.test\)",
    ),
    "a plugin of an old version": (
        of(plugin(apiVersion="client.authentication.k8s.io/v1alpha1")),
        "must be one of",
    ),
    "a plugin that may ask or not": (of(plugin(interactiveMode="")), "interactiveMode in .*must be one of"),
    "a plugin that answers something else": (of(plugin(args=["hi"])), "answer is not an ExecCredential"),
    "another version of the file": (of().replace("apiVersion: v1", "apiVersion: v1beta1"), "not a Config of"),
    "a context that is not there": (
        of().replace("current-context: c", "current-context: z"),
        "names the context",
    ),
}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Stores a kubeconfig; returns the environment that names it."""

    def store(text: str) -> dict[str, str]:
        path = tmp_path / "config"
        path.write_bytes(text.encode())
        kept = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBERC": "off"}
        return {**kept, "KUBECONFIG": f":{tmp_path / 'missing'}::{path}:"}

    return store


def reaches_the_server(environment: dict[str, str]) -> bool:
    """Whether kubectl gets as far as a connection, which is refused."""
    words = [str(resolve("kubectl").path), "get", "--raw=/version", "--request-timeout=5"]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return "was refused" in done.stderr


@pytest.mark.parametrize("name", USED)
def test_what_kubectl_can_use_is_used(kubeconfig: Callable[[str], dict[str, str]], name: str) -> None:
    environment = kubeconfig(USED[name])
    if name.startswith("UTF-16"):
        path = Path(environment["HOME"], "config")
        path.write_bytes(path.read_text().encode("utf-16"))
    assert find_credentials(environment).server.startswith("https://")
    assert reaches_the_server(environment)


@pytest.mark.parametrize("name", REFUSED)
def test_what_kubectl_refuses_is_refused_by_name(
    kubeconfig: Callable[[str], dict[str, str]], name: str
) -> None:
    text, words = REFUSED[name]
    environment = kubeconfig(text)
    with pytest.raises(ConfigError, match=words):
        find_credentials(environment)
    assert not reaches_the_server(environment)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A certificate."""
    folder = tmp_path_factory.mktemp("authority")
    write_certificates(folder)
    return (folder / "ca.crt").read_text()


BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
BUNDLES: dict[str, tuple[str, bool]] = {
    "two": ("{ca}{ca}", True),
    "comments": ("# Autoridade de Certifica\u00e7\u00e3o \u2014 \u8a8d\u8a3c\u5c40\n{ca}", True),
    "a broken one": ("{ca}" + BROKEN, True),
    "a broken one first": (BROKEN + "{ca}", True),
    "something else beside it": ("{ca}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", True),
    "only a broken one": (BROKEN, False),
    "none": ("nothing\n", False),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles_of_authorities_are_read_as_go_reads_them(
    kubeconfig: Callable[[str], dict[str, str]], authority: str, name: str
) -> None:
    text, is_usable = BUNDLES[name]
    data = base64.b64encode(text.replace("{ca}", authority).encode()).decode()
    environment = kubeconfig(of(certificate_authority_data=data))
    if is_usable:
        assert find_credentials(environment).server == SERVER
    else:
        with pytest.raises(ConfigError, match="is not a certificate in PEM form"):
            find_credentials(environment)
    assert reaches_the_server(environment) is is_usable


@pytest.mark.parametrize(
    ("value", "words"),
    [(":", "KUBECONFIG names no file"), ("/nonexistent", "there is no kubeconfig: /nonexistent not found")],
)
def test_a_kubeconfig_that_is_named_and_not_there_is_never_another_one(
    kubeconfig: Callable[[str], dict[str, str]], value: str, words: str
) -> None:
    home = Path(kubeconfig(of())["HOME"], ".kube")
    home.mkdir()
    (home / "config").write_text(of())
    with pytest.raises(ConfigError, match=words):
        find_credentials({"HOME": str(home.parent), "KUBECONFIG": value})
    assert find_credentials({"HOME": str(home.parent), "KUBECONFIG": ""}).server == SERVER


@pytest.mark.parametrize(
    "cluster",
    [
        {},
        {"server": f"{SERVER}/k8s/clusters/c-1/?x=1"},
        {"insecure_skip_tls_verify": True, "tls_server_name": "x"},
        {"extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"a": [1.5, None]}}]},
    ],
    ids=str,
)
def test_a_plugin_is_told_what_kubectl_tells_it(
    kubeconfig: Callable[[str], dict[str, str]], tmp_path: Path, cluster: Json
) -> None:
    script = f'printf "%s\n" "$KUBERNETES_EXEC_INFO" | tr -d " " >> {tmp_path / "told"}; echo \'{ISSUED}\''
    environment = kubeconfig(
        of(plugin(command="sh", args=["-c", script], provideClusterInfo=True), **cluster)
    )
    find_credentials(environment)
    assert reaches_the_server(environment)
    ours, kubectls = map(json.loads, (tmp_path / "told").read_text().split())
    assert ours == kubectls
