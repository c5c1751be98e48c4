"""The kubeconfig, read by kubectl's rules (docs/adr/0023).

KUBECONFIG may name several files: the first one that has an entry of a name, or a current-context,
wins; files that are missing are skipped; a path inside a file is relative to that file. What cannot be
honoured is named, never passed over.
"""

import binascii
import os
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import yaml

from uploadpp.kube.access import Access, ConfigError, Plugin, Source, read_regular
from uploadpp.kube.goyaml import documents
from uploadpp.kube.impersonation import impersonation
from uploadpp.kube.proxy import is_this_computer

T = TypeVar("T")
Json = dict[str, Any]

CLUSTER_FIELDS = {
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
    "extensions",
}
USER_FIELDS = {
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
    "username",
    "password",
    "as",
    "as-uid",
    "as-groups",
    "as-user-extra",
    "exec",
    "extensions",
}
EXEC_VERSIONS = tuple(f"client.authentication.k8s.io/{version}" for version in ("v1", "v1beta1"))
EXEC_EXTENSION = "client.authentication.k8s.io/exec"
INTERACTIVE = ("Never", "IfAvailable", "Always")
PIPE_SECONDS = 10.0
"""How long a shell may take to hand over a kubeconfig in a pipe."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A cluster, user or context, the file that holds it, and how to name it in an error."""

    name: str
    values: Json = field(repr=False)
    file: Path

    def error(self, key: str, problem: str) -> ConfigError:
        """What to raise about a field."""
        return ConfigError(f"{self.name}{'.' if key else ''}{key} in {self.file}: {problem}")

    def get(self, key: str, kind: type[T], word: str, default: T) -> T:
        """A field of a type; the default when it is absent or null."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self.error(key, f"must be {word}")
        return value

    def text(self, key: str) -> str:
        """A string."""
        return self.get(key, str, "a string", "")

    def flag(self, key: str) -> bool:
        """Whether something is so."""
        return self.get(key, bool, "true or false", False)

    def child(self, key: str) -> "Entry | None":
        """An object, None when absent."""
        if self.values.get(key) is None:
            return None
        return Entry(f"{self.name}.{key}", self.get(key, dict, "an object", {}), self.file)

    def source(self, key: str) -> Source | None:
        """What a file holds, or the field `…-data` in its place."""
        path, data = self.text(key), self.text(f"{key}-data")
        if path and data:
            raise self.error(key, f"is set as well as {key}-data; kubectl takes only one of them")
        if data:
            try:
                return Source(data=b64decode("".join(data.split()), validate=True))
            except (binascii.Error, ValueError):
                raise self.error(f"{key}-data", "is not base64") from None
        return Source(path=self.file.parent / path) if path else None


def files_of(environment: Mapping[str, str]) -> list[Path]:
    """The files that KUBECONFIG names, else the one in the home folder. Kubectl expands no `~` either."""
    named = [part for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    if not environment.get("KUBECONFIG"):
        return [Path(environment.get("HOME") or Path.home()) / ".kube" / "config"]
    return [Path(part).absolute() for part in dict.fromkeys(named)]


def load_kubeconfig(environment: Mapping[str, str]) -> Access:
    """How the current context reaches its cluster.

    Raises:
        ConfigError: a file cannot be read, an entry is missing or a field cannot be honoured.
    """
    files = files_of(environment)
    found = [(path, read) for path in files if (read := _read(path)) is not None]
    if not files:
        raise ConfigError("KUBECONFIG names no file")
    if not found:
        raise ConfigError(f"there is no kubeconfig: {', '.join(map(str, files))} not found")
    current = next((name for path, each in found if (name := _current(path, each))), "")
    if not current:
        raise ConfigError(f"current-context is not set in {', '.join(str(path) for path, _ in found)}")
    context = _entry(found, "contexts", "context", current, "current-context")
    cluster = _entry(found, "clusters", "cluster", context.text("cluster"), f"context {current}")
    name = context.text("user")
    user = _entry(found, "users", "user", name, f"context {current}") if name else None
    return _access(context, cluster, user)


def _current(path: Path, content: Json) -> str:
    return Entry("kubeconfig", content, path).text("current-context")


def _read(path: Path) -> Json | None:
    try:
        text = read_regular(path, pipe_seconds=PIPE_SECONDS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"kubeconfig {path}: cannot be read: {type(error).__name__}") from None
    except ValueError as error:
        raise ConfigError(f"kubeconfig {path}: {error}") from None
    try:
        # Of several documents kubectl reads the first. Windows' shells write UTF-16, which YAML may be.
        content = next(documents(text), None)
    except yaml.YAMLError as error:
        # The text of the error quotes the file, which holds credentials.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"kubeconfig {path}: is not YAML{where}") from None
    except RecursionError:
        raise ConfigError(f"kubeconfig {path}: is nested too deeply") from None
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        # The words of these errors quote values.
        raise ConfigError(f"kubeconfig {path}: has a number that cannot be one") from None
    content = content or {}
    if not isinstance(content, dict):
        raise ConfigError(f"kubeconfig {path}: is not an object")
    if content.get("kind", "Config") != "Config" or content.get("apiVersion", "v1") != "v1":
        raise ConfigError(f"kubeconfig {path}: is not a Config of version v1")
    for section in ("clusters", "users", "contexts"):
        names = [_name(path, section, each) for each in _list(path, section, content)]
        if len(names) != len(set(names)):
            raise ConfigError(f"kubeconfig {path}: {section} has the same name twice")
    return content


def _list(path: Path, section: str, content: Json) -> list[Any]:
    return Entry("kubeconfig", content, path).get(section, list, "a list", [])


def _name(path: Path, section: str, each: object) -> str:
    if not isinstance(each, dict):
        raise ConfigError(f"kubeconfig {path}: {section} must be a list of objects")
    return Entry(section, each, path).text("name")


def _entry(found: list[tuple[Path, Json]], section: str, kind: str, name: str, wanted_by: str) -> Entry:
    """The first entry of that name: whatever later files say of it does not count, not even single fields."""
    for path, content in found:
        for each in _list(path, section, content):
            if each.get("name", "") == name:
                values = Entry(f"{section}[{name}]", each, path).get(kind, dict, "an object", {})
                return Entry(f"{section}[{name}].{kind}", values, path)
    raise ConfigError(f"{wanted_by} names the {kind} {name!r}, which is in none of the kubeconfig files")


def _access(context: Entry, cluster: Entry, user: Entry | None) -> Access:
    authority, insecure = cluster.source("certificate-authority"), cluster.flag("insecure-skip-tls-verify")
    if authority and insecure:
        raise cluster.error("insecure-skip-tls-verify", "does not go with a certificate-authority")
    server = cluster.text("server")
    if not server:
        raise cluster.error("server", "is missing")
    user = user or Entry("user", {}, context.file)
    if user.values.get("auth-provider") is not None:
        raise user.error("auth-provider", "is not supported; use exec or a token instead")
    certificate, key = user.source("client-certificate"), user.source("client-key")
    if (certificate is None) is not (key is None):
        raise user.error("client-certificate", "and client-key must be set together")
    token, token_file = user.text("token"), user.text("tokenFile")
    basic = (user.text("username"), user.text("password"))
    if (token or token_file) and any(basic):
        raise user.error(
            "token" if token else "tokenFile", "and username are both set; kubectl takes only one of them"
        )
    plain = Access(
        server=_whole(cluster, server),
        namespace=context.text("namespace"),
        authority=authority,
        insecure=insecure,
        server_name=cluster.text("tls-server-name"),
        proxy_url=_proxy_url(cluster),
        headers=impersonation(user),
        notes=_unknown(cluster, CLUSTER_FIELDS) + _unknown(user, USER_FIELDS),
    )
    plugin = _plugin(user, cluster)
    if not plain.server.startswith("https:") and not is_this_computer(urlsplit(plain.server).hostname or ""):
        given = any((certificate, token, token_file, any(basic), plugin))
        return replace(plain, notes=(*plain.notes, *([_no_credentials(cluster)] if given else [])))
    access = replace(
        plain,
        certificate=certificate,
        key=key,
        token=token,
        token_file=user.file.parent / token_file if token_file else None,
        basic=basic if any(basic) else None,
        plugin=plugin,
    )
    if access.asks_plugin and plugin is not None and plugin.asks_person:
        raise user.error("exec.interactiveMode", "is Always, but nobody can answer an operator's questions")
    return access


def _no_credentials(cluster: Entry) -> str:
    """Kubectl refuses this too, even for this computer: anybody who listens on the way could read them."""
    return str(cluster.error("server", "is not https, so no credentials are sent"))


def _proxy_url(cluster: Entry) -> str:
    """The proxy as it is given; unlike in HTTPS_PROXY, kubectl guesses nothing about it."""
    url = cluster.text("proxy-url")
    if url and not ("://" in url and url.partition("://")[0].isalnum()):
        raise cluster.error("proxy-url", "must begin with http:// or https://")
    return url


def _whole(cluster: Entry, server: str) -> str:
    """The address of the API server, with what Go leaves out of it left out."""
    if "://" not in server:  # as kubectl does it, whatever the entry says of certificates
        server = f"http://{server}"
    try:
        found = urlsplit(server)
        host, login, _ = found.hostname, found.username or found.password, found.port
    except ValueError:
        host = login = None
    if not host or found.scheme not in {"http", "https"} or not server.isprintable() or " " in server:
        raise cluster.error("server", "is not a URL such as https://host:6443")
    if login is not None:
        raise cluster.error("server", "holds a user or a password; they belong into an entry of users")
    return urlunsplit((found.scheme, found.netloc, found.path.rstrip("/"), "", ""))


def _unknown(entry: Entry, known: set[str]) -> tuple[str, ...]:
    return tuple(str(entry.error(key, "is not a known field")) for key in entry.values if key not in known)


def _plugin(user: Entry, cluster: Entry) -> Plugin | None:
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
        if authority:
            values["certificate-authority-data"] = binascii.b2a_base64(
                authority.read(), newline=False
            ).decode()
        for each in cluster.get("extensions", list, "a list", []):
            if isinstance(each, dict) and each.get("name") == EXEC_EXTENSION:
                values["config"] = each.get("extension")
        return values

    return info
