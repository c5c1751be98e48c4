"""The credential plugin of a kubeconfig's user (`users[].user.exec`)."""

import binascii
import os
import re
from collections.abc import Callable
from typing import Any

from uploadpp.kube.access import Plugin
from uploadpp.kube.entries import Entry, Json

EXEC_FIELDS = {
    "apiVersion",
    "command",
    "args",
    "env",
    "installHint",
    "provideClusterInfo",
    "interactiveMode",
}
EXEC_VERSIONS = tuple(f"client.authentication.k8s.io/{version}" for version in ("v1", "v1beta1"))
EXEC_EXTENSION = "client.authentication.k8s.io/exec"
INTERACTIVE = ("Never", "IfAvailable", "Always")


def plugin_of(user: Entry, cluster: Entry) -> Plugin | None:
    """The plugin of a user; None without one.

    Raises:
        ConfigError: a field cannot be honoured.
    """
    spec = user.child("exec")
    if spec is None:
        return None
    version, command, mode = spec.text("apiVersion"), spec.text("command"), spec.text("interactiveMode")
    if version not in EXEC_VERSIONS:
        raise spec.error("apiVersion", f"must be one of {', '.join(EXEC_VERSIONS)}, not {version!r}")
    if not command:
        raise spec.error("command", "is missing")
    if mode not in INTERACTIVE and (mode or version.endswith("/v1")):
        raise spec.error("interactiveMode", f"must be one of {', '.join(INTERACTIVE)}")
    if os.sep in command:
        command = str(spec.file.parent / command)
    arguments: list[Any] = spec.get("args", list, "a list", [])
    if not all(isinstance(each, str) for each in arguments):
        raise spec.error("args", "must be a list of strings")
    return Plugin(
        command=command,
        arguments=tuple(arguments),
        environment=_variables(spec),
        version=version,
        hint=spec.text("installHint"),
        cluster=_cluster_info(cluster) if spec.flag("provideClusterInfo") else None,
        asks_person=mode == "Always",
    )


def _variables(spec: Entry) -> tuple[tuple[str, str], ...]:
    found = []
    for each in spec.get("env", list, "a list", []):
        variable = Entry(f"{spec.name}.env", each if isinstance(each, dict) else {}, spec.file)
        if not variable.text("name"):
            raise spec.error("env", "must be a list of objects with name and value")
        if "=" in variable.text("name"):
            raise variable.error("name", "holds an equals sign; write what comes behind it as value")
        found.append((variable.text("name"), variable.text("value")))
    return tuple(found)


def _cluster_info(cluster: Entry) -> Callable[[], Json]:
    """What a plugin is told of the cluster; read when it runs."""

    def info() -> Json:
        authority = cluster.source("certificate-authority")
        values: Json = {
            key: cluster.values[key]
            for key in (
                "server",
                "tls-server-name",
                "insecure-skip-tls-verify",
                "proxy-url",
                "disable-compression",
            )
            if cluster.values.get(key)
        }
        values["server"] = re.split("[?#]", values["server"])[0]
        values["config"] = None
        if authority:
            values["certificate-authority-data"] = binascii.b2a_base64(
                authority.read(), newline=False
            ).decode()
        for each in cluster.get("extensions", list, "a list", []):
            if isinstance(each, dict) and each.get("name") == EXEC_EXTENSION:
                values["config"] = each.get("extension")
        return values

    return info
