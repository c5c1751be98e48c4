"""What is shipped of the plugin: its own files, and a copy of what it shares with the operator."""

import ast
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2e.paths import REPO
from scripts.plugin_sources import for_old_pythons, shared_imports, sources
from uploadpp.core import text as core_text

SHIPPED = {name: content for name, content in sources().items() if name.endswith(".py")}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_is_python_3_9_and_knows_nothing_of_the_operator(name: str) -> None:
    source = SHIPPED[name].decode()
    tree = ast.parse(source, name, feature_version=(3, 9))
    imported = [
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert not [
        each
        for each in imported
        if each and each.split(".")[0] not in {*sys.stdlib_module_names, "kubectl_pp"}
    ]
    patterns = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [each for each in patterns if re.search(r"[+*}]\+\)|\\[SsdwW]\+\+", each)], (
        "possessive: since 3.11"
    )


def test_what_is_not_shipped_cannot_be_imported() -> None:
    with pytest.raises(ValueError, match="has no such module"):
        shared_imports("from uploadpp.api.codec import to_status\n")
    assert (
        shared_imports("    from uploadpp.core.text import clean\n")
        == "    from kubectl_pp.shared.text import clean\n"
    )
    assert (
        shared_imports("from uploadpp import __version__\n") == "from kubectl_pp.shared import __version__\n"
    )


def _shipped_text() -> dict[str, object]:
    space: dict[str, object] = {"__name__": "shipped"}
    exec(for_old_pythons((REPO / "operator/uploadpp/core/text.py").read_text()), space)  # noqa: S102 -- our own file
    return space


COPY = _shipped_text()


@given(
    st.lists(
        st.sampled_from(
            ["eyJ", "abcdefgh", ".", "-_", " ", "://", "http", "@", "\\/\\/", "%3A%2F%2F", "x" * 30, "\x1b"]
        )
        | st.text(max_size=9)
    )
)
def test_the_copy_hides_what_the_original_hides(parts: list[str]) -> None:
    shipped, text = COPY, "".join(parts)
    for name in ("redact", "hide_credentials", "clean"):
        assert shipped[name](text) == getattr(core_text, name)(text)  # type: ignore[operator]
