"""`status`: its JSON and YAML are those of `kubectl get`."""

import json
import subprocess
from typing import Any

import pytest
import yaml

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at


def documents(text: str, output: str) -> list[Any]:
    """All documents of an output, of which one should be."""
    return [json.loads(text)] if output == "json" else list(yaml.safe_load_all(text))


@pytest.mark.parametrize("output", ["json", "yaml"])
@pytest.mark.parametrize(
    "names", [["one"], ["one", "two"], ["one", "gone"], ["gone", "one", "two"]], ids=" ".join
)
def test_several_are_one_document_as_with_kubectl(
    pp: Plugin, writer: Writer, output: str, names: list[str]
) -> None:
    writer.put_all([at(name, ago_minutes=1) for name in ("one", "two")])
    kubectl = subprocess.run(
        ["kubectl", "get", "upp", *names, f"--output={output}"],
        env=pp.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = pp("status", *names, "-o", output)
    assert documents(found.out, output) == documents(kubectl.stdout, output)
    assert bool(found.code) is bool(kubectl.returncode) is ("gone" in names)
