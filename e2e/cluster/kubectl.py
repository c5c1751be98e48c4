"""The real kubectl, as a function."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from e2e.cluster.binaries import resolve
from e2e.cluster.golang import SHORT_LIFE
from e2e.cluster.waiting import wait_until
from e2e.paths import REPO

_TIMEOUT = 60.0
_ESTABLISHED_SECONDS = 30.0


class KubectlError(RuntimeError):
    """kubectl failed; the message is what it said."""


class Kubectl:
    """kubectl for one cluster: `kubectl("get", "pods")` returns its output."""

    def __init__(self, kubeconfig: Path, namespace: str | None = None) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self._prefix = [str(resolve("kubectl").path), f"--kubeconfig={kubeconfig}"]
        if namespace is not None:
            self._prefix.append(f"--namespace={namespace}")

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = _TIMEOUT) -> str:
        """Run it.

        Raises:
            KubectlError: it failed or took too long.
        """
        try:
            done = subprocess.run(
                [*self._prefix, *args],
                input=stdin or "",
                capture_output=True,
                text=True,
                check=True,
                timeout=timeout,
                # Neither the user's preferences nor another cluster may play a part.
                env={**os.environ, **SHORT_LIFE, "KUBECONFIG": "", "KUBERC": "off"},
            )
        except subprocess.CalledProcessError as error:
            raise KubectlError(error.stderr.strip() or f"status {error.returncode}") from error
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"no end after {timeout:.0f} s: kubectl {' '.join(args)}") from error
        return done.stdout

    def json(self, *args: str) -> Any:  # noqa: ANN401  # whatever the API says
        """Run it with `-o json` and decode the answer."""
        return json.loads(self(*args, "--output=json"))


def apply_crds(kubeconfig: Path, path: Path = REPO / "crds") -> None:
    """Install the CRDs of a folder, or of one file, and wait until they are served."""
    if not any(path.glob("*.yaml")) and not path.is_file():
        return
    kubectl = Kubectl(kubeconfig)
    kubectl("apply", "--server-side", "--force-conflicts", f"--filename={path}")
    until_served(kubeconfig, path)


def until_served(kubeconfig: Path, path: Path = REPO / "crds") -> None:
    """Wait until the CRDs of a folder, or of one file, are served, whoever has installed them."""
    kubectl = Kubectl(kubeconfig)
    if not wait_until(lambda: _served(kubectl, path), _ESTABLISHED_SECONDS):
        raise KubectlError(f"the CRDs of {path} are not served after {_ESTABLISHED_SECONDS:.0f} s")


def _served(kubectl: Kubectl, path: Path) -> bool:
    """Whether all are established, and clients discover them; the second follows a moment later.

    `kubectl wait` fails where a new CRD has `conditions: null` for a moment.
    """
    found = kubectl.json("get", f"--filename={path}")
    return all(_is_established(crd) and _is_discovered(kubectl, crd) for crd in found.get("items", [found]))


def _is_established(crd: Any) -> bool:  # noqa: ANN401  # whatever the API says
    conditions = crd.get("status", {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _is_discovered(kubectl: Kubectl, crd: Any) -> bool:  # noqa: ANN401  # as above
    group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
    return f"{plural}.{group}" in kubectl("api-resources", f"--api-group={group}", "--output=name").split()
