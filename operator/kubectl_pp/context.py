"""What a verb is given: the parsed options, the screen and the cluster."""

from __future__ import annotations

import os
import re
import stat
from argparse import Namespace
from functools import cached_property
from typing import TYPE_CHECKING

from kubectl_pp.errors import ExitCode, MissingError, UnavailableError, UsageError
from kubectl_pp.flags import kubectl_arguments, same_cluster
from kubectl_pp.screen import Screen
from kubectl_pp.times import parse_duration

if TYPE_CHECKING:
    import subprocess

    from kubectl_pp.client import Client
    from kubectl_pp.proxy import Proxy

# What follows is imported where it is used: a verb that asks no cluster starts in half the time.
_POD_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


def _pod_namespace() -> str:
    """The namespace of the Pod that we run in.

    kubectl takes it for every context that names none, whatever kubeconfig is used.
    """
    if not all(os.environ.get(f"KUBERNETES_SERVICE_{each}") for each in ("HOST", "PORT")):
        return ""
    if not os.path.isfile(f"{_POD_FOLDER}/token"):  # noqa: PTH113 -- pathlib takes 10 ms to load
        return ""
    if given := os.environ.get("POD_NAMESPACE"):
        return given
    try:
        with open(f"{_POD_FOLDER}/namespace") as file:  # noqa: PTH123 -- same
            return file.read().strip()
    except OSError:
        return ""


def check_namespace(name: str | None, source: str) -> None:
    """Refuse namespaces that kubectl refuses: a namespace is part of request paths.

    Raises:
        UsageError: it is not the name of a namespace.
    """
    if name and not (re.fullmatch(r"[A-Za-z0-9._-]{1,63}", name) and name.strip(".")):
        raise UsageError(f"{source}: {name!r} is not the name of a namespace", "kubectl get namespaces")


_OF_A_PROCESS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""Paths that mean another file in another process."""


def check_kubeconfig(given: str | None) -> None:
    """Refuse a kubeconfig that kubectl cannot read a second time, such as standard input.

    `given` is that of --kubeconfig, else KUBECONFIG counts.

    Raises:
        UsageError: it can be read only once.
    """
    for path in [given] if given else os.environ.get("KUBECONFIG", "").split(os.pathsep):
        try:
            mode = os.stat(path).st_mode if path != os.devnull else 0  # noqa: PTH116 -- pathlib takes 10 ms to load
        except (OSError, ValueError):
            continue  # kubectl says what is wrong with it
        if path.startswith(_OF_A_PROCESS) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            raise UsageError(
                f"the kubeconfig {path} can be read only once, and its namespace has to be read too",
                "write it to a file, or name the namespace with -n",
            )


class Context:
    """One run of one verb."""

    def __init__(self, options: Namespace, screen: Screen) -> None:
        self.options = options
        self.screen = screen
        self.missed = ExitCode.OK
        """What the command ends with if it goes well otherwise: some of several names may not exist."""
        self._proxy: Proxy | None = None
        self._asking: subprocess.Popen[str] | None = None

    @cached_property
    def kubectl_arguments(self) -> list[str]:
        """The user's flags that are kubectl's."""
        return kubectl_arguments(vars(self.options))

    @cached_property
    def client(self) -> Client:
        """The cluster; kubectl starts up while we load the rest of ourselves."""
        from kubectl_pp.proxy import Proxy  # noqa: PLC0415 -- see above

        given = self.options.request_timeout
        # For kubectl, zero and negative values mean no limit.
        none = not given or given.startswith("-")
        limit = None if none else parse_duration(given, "--request-timeout") or None
        self._proxy = Proxy(self.kubectl_arguments)
        if not self._namespace_is_given:
            self._asking = self._ask_namespace()
        from kubectl_pp.client import Client  # noqa: PLC0415 -- http.client takes as long as kubectl's start

        return Client(self._proxy, limit)

    @property
    def _namespace_is_given(self) -> bool:
        return bool(self.options.namespace or self.options.all_namespaces)

    @cached_property
    def default_namespace(self) -> str:
        """The one of -n, or of the context."""
        if self.options.namespace:
            return str(self.options.namespace)
        asking = self._asking or self._ask_namespace()
        self._asking = None
        found = self._namespace_in(*asking.communicate(), asking.returncode)
        if found:
            check_namespace(found, "the namespace of the context")
            return found
        return _pod_namespace() or "default"

    @property
    def namespace(self) -> str | None:
        """The namespace asked for; None is all of them."""
        return None if self.options.all_namespaces else self.default_namespace

    def command(self, text: str, namespace: str = "") -> str:
        """A command to suggest, for the same place; `namespace` is that of the upload it is about.

        Its words are quoted already.
        """
        from shlex import quote  # noqa: PLC0415 -- for suggestions only

        place = same_cluster(vars(self.options))
        if self.options.namespace:
            place += f" -n {quote(self.options.namespace)}"
        elif self.options.all_namespaces:
            place += f" -n {quote(namespace)}" if namespace else " -A"
        return f"kubectl pp {text}{place}"

    def miss(self, error: MissingError) -> None:
        """One of several names does not exist. As with kubectl, the command goes on with the others."""
        self.missed = error.code
        self.screen.note(f"error: {error}")

    def close(self) -> None:
        """End everything that was started. Calling it twice does no harm."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.kill()
            asking.communicate()
        proxy, self._proxy = self._proxy, None
        if proxy is not None:
            proxy.close()

    def _ask_namespace(self) -> subprocess.Popen[str]:
        """Have kubectl print its configuration, without secrets.

        Raises:
            UsageError: it could be read only once.
        """
        import subprocess  # noqa: PLC0415 -- see above

        from kubectl_pp.proxy import kubectl_path  # noqa: PLC0415 -- see above

        check_kubeconfig(self.options.kubeconfig)
        # With --minify it fails where the context names a user or a cluster that does not exist, which is
        # no error for kubectl if --token, --user, --cluster or --server is given.
        words = ["config", "view", "--minify=false", "--output=json"]
        return subprocess.Popen(
            [kubectl_path(), *self.kubectl_arguments, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _namespace_in(self, printed: str, said: str, code: int) -> str:
        """The namespace of the context in kubectl's configuration; empty if it names none.

        Raises:
            UnavailableError: it is not known, and in another one are other people's uploads.
        """
        import json  # noqa: PLC0415 -- see above

        if code:
            raise _unknown(_last_line(said) or f"kubectl config view ended with {code}")
        try:
            config = json.loads(printed)
            chosen = self.options.context or config["current-context"]
            contexts = {each["name"]: each["context"] for each in config["contexts"] or []}
            if not chosen or chosen in contexts:
                return str(contexts[chosen].get("namespace") or "") if chosen else ""
        except (ValueError, LookupError, TypeError, AttributeError):
            raise _unknown("kubectl config view printed something else") from None
        raise _unknown(f'context "{chosen}" does not exist')


def _unknown(why: str) -> UnavailableError:
    return UnavailableError(
        f"cannot read the namespace of the context: {why}",
        "check --context and `kubectl config view`, or name the namespace with -n",
    )


def _last_line(said: str) -> str:
    """What kubectl says in the end; before that it may log."""
    return (said.strip().splitlines() or [""])[-1].removeprefix("error: ")
