"""What a verb is given: the parsed options, the screen and the cluster."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from functools import cached_property
from typing import TYPE_CHECKING

from kubectl_pp.errors import UsageError
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


class Context:
    """One run of one verb."""

    def __init__(self, options: Namespace, screen: Screen) -> None:
        self.options = options
        self.screen = screen
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
        found = asking.communicate()[0].strip()
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
        import subprocess  # noqa: PLC0415 -- see above

        from kubectl_pp.proxy import kubectl_path  # noqa: PLC0415 -- see above

        arguments = [
            kubectl_path(),
            *self.kubectl_arguments,
            "config",
            "view",
            "--minify",
            # --minify leaves the one context; other keys of this name may stand in its extensions.
            "--output=jsonpath={.contexts[0].context.namespace}",
        ]
        return subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
