"""How much of a line a terminal has room for."""

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_pp.screen import MAX_SHOWN, clip, columns_of, crop, harmless, safe, wrap
from uploadpp.core.text import clean


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("plan.pdf", 8),
        ("\u6f22\u5b57.pdf", 8),
        ("\uff21", 2),
        ("u\u0308ber", 4),
        ("\u0e01\u0e35\u0e49", 1),
        ("\U0001f600", 2),
        ("\u26a0\ufe0f", 2),
        ("", 0),
    ],
)
def test_the_columns_of_a_text(text: str, columns: int) -> None:
    assert columns_of(text) == columns
    assert clip(text, columns) == text


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("plan.pdf", 5, "plan\u2026"),
        ("\u6f22\u5b57\u66f8", 5, "\u6f22\u5b57\u2026"),
        ("\u6f22\u5b57\u66f8", 4, "\u6f22\u2026"),
        ("u\u0308ber", 3, "u\u0308b\u2026"),
        ("ab", 1, "\u2026"),
    ],
)
def test_what_is_too_wide_is_cut_between_characters(text: str, width: int, shown: str) -> None:
    assert clip(text, width) == shown
    assert columns_of(shown) <= width


@pytest.mark.parametrize(
    ("line", "width", "shown"),
    [
        ("\x1b[31mplan\x1b[0m.pdf", 8, "\x1b[31mplan\x1b[0m.pdf"),
        ("\x1b[31mplan\x1b[0m.pdf", 6, "\x1b[31mplan\x1b[0m.\u2026"),
        ("\x1b[31mplan.pdf\x1b[0m", 5, "\x1b[31mplan\u2026\x1b[0m"),
        ("\x1b[31mplan\x1b[0m.pdf", 5, "\x1b[31mplan\x1b[0m\u2026"),
        ("\x1b[31m\u6f22\u5b57\x1b[0m.pdf", 4, "\x1b[31m\u6f22\u2026\x1b[0m"),
        ("plan.pdf", 5, "plan\u2026"),
    ],
)
def test_a_cut_keeps_the_colours(line: str, width: int, shown: str) -> None:
    assert crop(line, width) == shown


def test_lines_are_broken_by_columns() -> None:
    assert wrap("\u6f22\u5b57\u66f8 \u6f22\u5b57\u66f8 \u6f22\u5b57\u66f8 x", 24, "    ") == [
        "    \u6f22\u5b57\u66f8 \u6f22\u5b57\u66f8 \u6f22\u5b57\u66f8",
        "    x",
    ]


def test_nothing_of_a_file_name_reaches_the_terminal() -> None:
    assert harmless("a\x1b[2J\r\n\x07\x9bb") == "a\\x1b[2J\\r\\n\\x07\\x9bb"


@given(st.text(alphabet="ab \t"), st.integers(20, 60))
def test_wrapped_text_is_the_text(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line for line in lines)
    assert len(clip(text, 10)) <= 10


@given(st.text(max_size=300))
def test_the_plugin_and_the_operator_show_text_alike(text: str) -> None:
    assert harmless(text) == clean(text, MAX_SHOWN)
    shown = safe(text).replace("\n", "")
    assert "\x1b[" in text or all(char.isprintable() or category(char) == "Zs" for char in shown)
