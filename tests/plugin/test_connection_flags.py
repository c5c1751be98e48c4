"""kubectl's own flags: what kubectl takes is taken, and means the same."""

import subprocess

import pytest

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
