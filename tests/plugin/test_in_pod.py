"""In a Pod: the namespace is the one that kubectl takes."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at

POD = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
_IN_POD = """\
mount -t tmpfs tmpfs /var/run
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
cd /var/run/secrets/kubernetes.io/serviceaccount
touch token
printf %s "$1" > namespace
shift
exec "$@"
"""


def can_unshare() -> bool:
    """Whether this machine lets us mount a folder for one process alone."""
    return os.geteuid() == 0 and not subprocess.run(["unshare", "--mount", "true"], check=False).returncode


@pytest.mark.skipif(not can_unshare(), reason="a Pod's folder can be made by root only")
@pytest.mark.parametrize(
    ("context", "variables"),
    [
        ("", POD),
        ("", {**POD, "POD_NAMESPACE": "{own}"}),
        ("default", POD),
        ("{own}", POD),
        ("", {**POD, "KUBERNETES_SERVICE_PORT": ""}),
    ],
)
@pytest.mark.parametrize("flag", [True, False], ids=["--kubeconfig", "KUBECONFIG"])
def test_the_namespace_is_the_one_that_kubectl_takes(
    pp: Plugin, writer: Writer, context: str, variables: dict[str, str], *, flag: bool
) -> None:
    """Also when a kubeconfig is named: kubectl looks at the Pod wherever the context has no namespace."""
    writer.put(at("mine", ago_minutes=5))
    kubeconfig = Path(pp.environment["KUBECONFIG"])
    place = f"--namespace={context.format(own=writer.namespace)}"
    subprocess.run(["kubectl", "config", "set-context", "--current", place], env=pp.environment, check=True)
    pods_own = "elsewhere" if "POD_NAMESPACE" in variables else writer.namespace
    given = {key: value.format(own=writer.namespace) for key, value in variables.items()}
    environment = {**pp.environment, **given}
    flags = []
    if flag:
        flags, environment["KUBECONFIG"] = [f"--kubeconfig={kubeconfig}"], "/nonexistent"

    def names(*words: str) -> str:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _IN_POD, "sh", pods_own, *words, "--output=name", *flags],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    wanted = names("kubectl", "get", "upp")
    assert names("kubectl", "pp", "list") == wanted
    assert bool(wanted) is (context != "default" and bool(variables["KUBERNETES_SERVICE_PORT"] or context))
