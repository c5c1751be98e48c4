"""kubectl's own flags: what kubectl takes is taken, and means the same."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at


@pytest.mark.parametrize(
    "flags",
    [
        ["--as=x", "--as-group=system:masters", "--as-uid=7", "--as-user-extra=reason=audit"],
        ["--as-user-extra=reason=audit"],
        ["--username=a", "--password=b"],
        ["--proxy-url=http://127.0.0.1:1"],
        ["--disable-compression", "--cache-dir=.cache"],
        ["--request-timeout="],
        ["--request-timeout=-1s"],
        ["--request-timeout=30"],
        ["--request-timeout=abc"],
        ["--tls-server-name=localhost"],
        ["--tls-server-name=elsewhere.test"],
        ["--cluster=none"],
        ["--user=none"],
    ],
    ids=" ".join,
)
def test_what_kubectl_takes_is_taken(pp: Plugin, writer: Writer, flags: list[str]) -> None:
    writer.put(at("some", ago_minutes=1))
    words = ["get", "upp", "--output=name", *flags]
    kubectl = subprocess.run(
        ["kubectl", *words], env=pp.environment, capture_output=True, text=True, check=False
    )
    found = pp("list", "--output=name", *flags)
    assert found.out == kubectl.stdout
    assert (found.code == 0) is (kubectl.returncode == 0), found.err
    assert "unrecognized" not in found.err


@pytest.mark.parametrize("missing", ["user", "cluster"])
@pytest.mark.parametrize("chosen", [True, False], ids=["--context", "current-context"])
def test_the_namespace_is_the_contexts_whatever_else_it_lacks(
    pp: Plugin, writer: Writer, missing: str, *, chosen: bool
) -> None:
    """With flags in place of what is missing kubectl works; we took the namespace default instead."""
    path = Path(pp.environment["KUBECONFIG"])
    config = yaml.safe_load(path.read_text())
    context = config["contexts"][0]["context"]
    flags = [f"--{missing}={context[missing]}"]
    config["contexts"].append({"name": "partial", "context": {**context, missing: "nothing"}})
    if chosen:
        flags.append("--context=partial")
    else:
        config["current-context"] = "partial"
    path.write_text(yaml.safe_dump(config))
    writer.put(at("some", ago_minutes=1))
    words = ["get", "upp", "--output=name", *flags]
    kubectl = subprocess.run(
        ["kubectl", *words], env=pp.environment, capture_output=True, text=True, check=True
    )
    found = pp("suspend", "--all", "--yes", "--dry-run", "--output=name", *flags)
    assert found.err == ""
    assert found.out == kubectl.stdout != ""


def test_a_kubeconfig_on_standard_input_is_refused_unless_the_namespace_is_given(
    pp: Plugin, writer: Writer
) -> None:
    """The second kubectl found it empty, and the namespace was default."""
    writer.put(at("some", ago_minutes=1))
    config = Path(pp.environment["KUBECONFIG"]).read_text()
    found = pp("list", "--kubeconfig=/dev/stdin", stdin=config)
    assert found.code == 2
    assert "the kubeconfig /dev/stdin can be read only once" in found.err
    assert "name the namespace with -n" in found.err
    assert pp("list", "--output=name", "-n", pp.namespace, stdin=config, KUBECONFIG="/dev/stdin").out
