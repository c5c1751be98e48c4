"""Names in one form: the same ones for every system, in time that grows with them."""

from unicodedata import combining, normalize

import pytest

from uploadpp.core.composition import MAX_MARKS_IN_A_ROW, composed

WORDS = {
    "empty": "",
    "ASCII": "a",
    "German": "Gehälter",
    "Korean": "한글",
    "Vietnamese": "ộ",
    "Hebrew": "שלום",
    "Thai": "นี้",
}


@pytest.mark.parametrize("text", WORDS.values(), ids=WORDS)
def test_both_forms_of_a_word_are_one(text: str) -> None:
    assert composed(normalize("NFD", text)) == composed(text) == normalize("NFC", text)


@pytest.mark.parametrize("mark", ["\u0301", "\u0344", "\u0f73"], ids=["U+0301", "U+0344", "U+0F73"])
def test_more_marks_than_any_language_has_keep_their_form(mark: str) -> None:
    """They would be sorted, in quadratic time."""
    few = f"e{mark * MAX_MARKS_IN_A_ROW}a"
    assert composed(few) == normalize("NFC", few) != few
    many = f"e\u0301 e{mark * (MAX_MARKS_IN_A_ROW + 1)}"
    assert composed(many) is many


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("e\u0301" + "\u0301" * 29, False),
        ("e\u0301" + "\u0301" * 30, True),
        ("e\u0301 a" + "\u0300" * 31, True),
        ("e\u0301 a" + "\u0f73" * 31, True),
        ("e\u0301 " + "\U00010000" * 31, True),
        ("e\u0301 " + "\U0001d165" * 31, True),
        ("e\u0301 " + "X" * 31, False),
    ],
    ids=["30 marks", "31 marks", "U+0300", "U+0F73", "U+10000", "U+1D165", "letters"],
)
def test_thirty_marks_in_a_row_are_composed_and_more_are_not(text: str, *, kept: bool) -> None:
    assert (composed(text) == text) is kept


def test_what_is_taken_apart_into_marks_is_known() -> None:
    """Of another version of Unicode as well."""
    odd = [char for char in map(chr, range(0x110000)) if not combining(char) and _begins_with_a_mark(char)]
    assert odd == list("\u0f73\u0f75\u0f81")


def _begins_with_a_mark(char: str) -> bool:
    return combining(normalize("NFD", char)[0]) > 0
