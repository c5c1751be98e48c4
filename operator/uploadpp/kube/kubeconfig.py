"""The kubeconfig, read by kubectl's rules (docs/adr/0023).

KUBECONFIG may name several files: the first one that has an entry of a name, or a current-context,
wins; files that are missing are skipped; a path inside a file is relative to that file. What cannot be
honoured is named, never passed over.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from posixpath import normpath
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import yaml

from uploadpp.http.files import read_regular
from uploadpp.http.hosts import is_encodable
from uploadpp.http.proxy import is_this_computer
from uploadpp.kube.access import Access, ConfigError, Source
from uploadpp.kube.entries import Entry, Json, unknown
from uploadpp.kube.goyaml import documents
from uploadpp.kube.impersonation import impersonation
from uploadpp.kube.plugin_entry import EXEC_FIELDS, plugin_of

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
CONTEXT_FIELDS = {"cluster", "user", "namespace", "extensions"}
UNCOMPRESSED = (("Accept-Encoding", "identity"),)
LONGEST_HOST = 255
PIPE_SECONDS = 10.0
"""How long a shell may take to hand over a kubeconfig in a pipe."""


_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


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
        where = ", ".join(str(path) for path, _ in found)
        raise ConfigError(f"current-context is not set in {where}; kubectl config use-context NAME sets it")
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
        raise ConfigError(
            f"kubeconfig {path}: cannot be read: {error.strerror or type(error).__name__}"
        ) from None
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
    certificate, key = _certificate(user)
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
        server_name=_server_name(cluster),
        proxy_url=_proxy_url(cluster),
        headers=impersonation(user) + (UNCOMPRESSED if cluster.flag("disable-compression") else ()),
        notes=_notes(context, cluster, user),
    )
    plugin = plugin_of(user, cluster)
    if not plain.server.startswith("https:") and not is_this_computer(urlsplit(plain.server).hostname or ""):
        given = any((certificate, token, token_file, any(basic), plugin))
        return replace(plain, notes=(*plain.notes, *([_no_credentials(cluster)] if given else [])))
    if not token.isascii() or any(letter.isspace() for letter in token.rstrip(" \t")):
        raise user.error("token", "has a space, a line break or a letter that no token can have")
    access = replace(
        plain,
        certificate=certificate,
        key=key,
        token=token.rstrip(" \t"),
        token_file=user.file.parent / token_file if token_file else None,
        basic=basic if any(basic) else None,
        plugin=plugin,
    )
    if access.asks_plugin and plugin is not None and plugin.asks_person:
        raise user.error("exec.interactiveMode", "is Always, but nobody can answer an operator's questions")
    return access


def _certificate(user: Entry) -> tuple[Source, Source] | tuple[None, None]:
    """The client certificate and its key. To kubectl a key alone is nothing."""
    certificate = user.source("client-certificate")
    if certificate is None:
        return None, None
    key = user.source("client-key")
    if key is None:
        raise user.error("client-certificate", "and client-key must be set together")
    return certificate, key


def _notes(context: Entry, cluster: Entry, user: Entry) -> tuple[str, ...]:
    """Warnings about what counts for nothing."""
    found = (
        *unknown(context, CONTEXT_FIELDS),
        *unknown(cluster, CLUSTER_FIELDS),
        *unknown(user, USER_FIELDS),
    )
    if (plugin := user.child("exec")) is not None:
        found += unknown(plugin, EXEC_FIELDS)
    names = {"client-key", "client-key-data"} & user.values.keys()
    if names and not {"client-certificate", "client-certificate-data"} & user.values.keys():
        found += (str(user.error(min(names), "is not used without client-certificate")),)
    return found


def _no_credentials(cluster: Entry) -> str:
    """Kubectl refuses this too, even for this computer: anybody who listens on the way could read them."""
    return str(cluster.error("server", "is not https, so no credentials are sent"))


def _server_name(cluster: Entry) -> str:
    """The name that the server's certificate has; Go takes `[::1]` and a dot at the end as well."""
    name = cluster.text("tls-server-name")
    if name[:1] == "[" and name[-1:] == "]":
        name = name[1:-1]
    name = name.removesuffix(".")
    if name and not _can_be_host(name):
        raise cluster.error("tls-server-name", "is not the name of a host")
    return name


def _can_be_host(name: str) -> bool:
    return is_encodable(name) and name.isprintable() and " " not in name and len(name) <= LONGEST_HOST


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
    known = bool(host) and found.scheme in {"http", "https"} and _can_be_host(host or "")
    if not known or not server.isprintable() or " " in server or _BAD_ESCAPE.search(found.path):
        raise cluster.error("server", "is not a URL such as https://host:6443")
    if login is not None:
        raise cluster.error("server", "holds a user or a password; they belong into an entry of users")
    path = normpath(f"/{unquote(found.path)}").lstrip("/")  # as Go does it: `/a/../b//c/` is `/b/c`
    return urlunsplit((found.scheme, found.netloc, quote(f"/{path}" if path else ""), "", ""))
