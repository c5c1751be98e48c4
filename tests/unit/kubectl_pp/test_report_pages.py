"""What the operator's Pods say of themselves, in the archive of `kubectl pp report`.

The API server hands on to Pods of a network, which tests without a node do not have.
"""

import io
import tarfile
from types import SimpleNamespace
from typing import Any

import pytest

from kubectl_pp.errors import UnavailableError
from kubectl_pp.verbs.report import _Report

SECRETS = {
    "password": "pl4nted-passw0rd",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoxfQ.c2lnbmF0dXJl",
    "signature": "signature=Planted",
}
PAGES = {
    "readyz": (503, f"cannot connect to nats://user:{SECRETS['password']}@nats:4222\nno lease\n"),
    "metrics": (
        200,
        (
            'uploadpp_uploads{stage="Held",step="virusscan"} 3\n'
            f'uploadpp_faults{{where="https://storage/data?{SECRETS["signature"]}"}} 1\n'
            f'uploadpp_faults{{where="Bearer {SECRETS["jwt"]}"}} 1\n'
        ),
    ),
}


class Cluster:
    """Has one Pod and its two pages, and refuses all else."""

    def items(self, path: str, params: dict[str, str]) -> list[dict[str, Any]]:
        del params
        if not path.endswith("/pods"):
            raise UnavailableError("refused")
        return [{"metadata": {"name": "operator-1"}, "spec": {"containers": []}, "status": {}}]

    def probe(self, path: str) -> tuple[int, bytes]:
        status, text = PAGES[path.rpartition("/")[2]]
        return status, text.encode()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- a function
        def refuse(*_: object, **__: object) -> None:
            raise UnavailableError(f"{name} is refused")

        return refuse


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The files of a report about that cluster."""
    monkeypatch.setenv("PATH", "")  # no kubectl, and so no logs
    options = SimpleNamespace(operator_namespace="ocis", with_names=False, operator_selector="a=b")
    context: Any = SimpleNamespace(
        client=Cluster(), default_namespace="ocis", namespace="ocis", options=options, kubectl_arguments=[]
    )
    with tarfile.open(fileobj=io.BytesIO(_Report(context).collect())) as tar:
        return {
            member.name.partition("/")[2]: (tar.extractfile(member) or io.BytesIO()).read().decode()
            for member in tar.getmembers()
        }


def test_readiness_is_in_it_with_its_code_and_words(archive: dict[str, str]) -> None:
    lines = archive["readyz/operator-1.txt"].splitlines()
    assert lines[0] == "# HTTP 503"
    assert lines[2] == "no lease"


def test_metrics_are_in_it(archive: dict[str, str]) -> None:
    lines = archive["metrics/operator-1.txt"].splitlines()
    assert lines[:2] == ["# HTTP 200", 'uploadpp_uploads{stage="Held",step="virusscan"} 3']
    assert len(lines) == 4


@pytest.mark.parametrize("what", SECRETS)
def test_no_secret_of_a_page_is_in_it(archive: dict[str, str], what: str) -> None:
    assert SECRETS[what] not in "\n".join(archive.values())
