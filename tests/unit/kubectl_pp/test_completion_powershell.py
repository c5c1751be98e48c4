"""Completion for PowerShell: parsed as PowerShell, as no PowerShell can be started here."""

import re
import subprocess
from collections.abc import Iterator

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from e2e.cluster.binaries import resolve
from kubectl_pp.verbs.completion import SHELLS

CODE = SHELLS["powershell"]
BUILT_IN = {"Out-String", "Invoke-Expression"}


def nodes(code: str) -> Iterator[Node]:
    """All parts of a script."""
    left = [Parser(Language(tree_sitter_powershell.language())).parse(code.encode()).root_node]
    while left:
        node = left.pop()
        yield node
        left += node.children


def mistakes(code: str) -> list[str]:
    """What PowerShell could not read."""
    return [str(node.text) for node in nodes(code) if node.type == "ERROR" or node.is_missing]


def commands(code: str) -> list[str]:
    """The commands that a script calls."""
    return [(node.text or b"").decode() for node in nodes(code) if node.type == "command_name"]


@pytest.fixture(scope="module")
def of_kubectl() -> str:
    """What our code has PowerShell evaluate."""
    words = [str(resolve("kubectl").path), "completion", "powershell"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_our_code_is_powershell_and_calls_what_there_is() -> None:
    assert mistakes(CODE) == []
    assert set(commands(CODE)) == {"kubectl", *BUILT_IN}
    assert CODE.split(" | ")[0] == "kubectl completion powershell"


def test_what_it_evaluates_is_powershell_and_asks_kubectl_itself(of_kubectl: str) -> None:
    """kubectl asks the program kubectl_complete-pp then; tests/plugin/test_completion.py has its answers."""
    assert mistakes(of_kubectl) == []
    assert re.search(r"^Register-ArgumentCompleter -CommandName 'kubectl'", of_kubectl, re.MULTILINE)
    assert '"$Program __complete $Arguments"' in of_kubectl


@pytest.mark.parametrize(
    "code",
    [
        CODE.replace("Out-String |", "Out-String | )"),
        CODE.replace("Invoke-Expression", ""),
        f"if ({CODE}",
        'type __start_kubectl >/dev/null 2>&1 || echo "x" >&2\n{ (( $+functions',
    ],
)
def test_a_mistake_is_noticed(code: str) -> None:
    assert mistakes(code)
