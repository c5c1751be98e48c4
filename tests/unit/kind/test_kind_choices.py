"""What `python -m e2e.kind` chooses reaches the tests, which leave out what a shell has for an operator."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from e2e.kind.__main__ import choices
from e2e.kind.docker import DockerHost
from e2e.operator_process import FOR_TOOLS


def test_the_tests_keep_what_chooses_their_cluster() -> None:
    host = SimpleNamespace(sandbox=SimpleNamespace(link=SimpleNamespace(machine="198.18.0.1")))
    chosen = choices(cast("DockerHost", host), Path("kind.json"))
    assert {"UPLOADPP_CLUSTER", "UPLOADPP_KIND_CONFIG"} <= chosen.keys() <= FOR_TOOLS
