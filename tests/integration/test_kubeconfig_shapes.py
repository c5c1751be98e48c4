"""Kubeconfigs as people have them: what kubectl can use is used, and what it refuses is refused by name."""

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
    "impersonation": of({"token": "t", "as": "x", "as-groups": ["g"], "as-uid": "7"}),
}
REFUSED: dict[str, tuple[str, str]] = {
    "a user that is not there": (of().replace("name: u", "name: other"), "names the user 'u'"),
    "a user twice": (of().replace("users:", "users:\n- name: u\n  user: {}"), "the same name twice"),
    "a number as token": (of({"token": 12345}), "must be a string"),
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
    "a plugin that answers something else": (of(plugin(args=["hi"])), "answer is not JSON"),
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
