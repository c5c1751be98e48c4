"""Expressions: what they say of uploads, and what is refused with the place and the remedy."""

import subprocess
import sys
from typing import Literal
from unicodedata import normalize

import pytest

from uploadpp.policies import expression
from uploadpp.policies.expression import (
    MAX_TEXT,
    Expression,
    ExpressionError,
    Facts,
    compile_expression,
    is_available,
)
from uploadpp.policies.facts import named

Form = Literal["NFC", "NFD"]
VIDEO = named(
    "Holiday.MP4",
    size=2_000_000_000,
    user_id="einstein",
    space_id="s1",
    storage_id="t1",
    initiator_id="i1",
)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('file.mimeType.startsWith("video/") && file.size > 1073741824', True),
        ("file.size > 1073741824 && file.size < 1999999999", False),
        ('file.name == "Holiday.MP4"', True),
        ('file.extension == "mp4"', True),
        ('file.extension in ["mov", "mp4"]', True),
        ("file.size in [1, 2, 3]", False),
        ("!(file.name.endsWith('.mp4'))", True),
        ('file.name.contains("day") || file.size == 0', True),
        ("size(file.name) == 11", True),
        ("file.name.size() != 11", False),
        ('user.id == "einstein" && space.id == "s1" && storage.id == "t1" && initiator.id == "i1"', True),
        (r'file.name.matches("(?i)^holi.*\\.(mp4|mov)$")', True),
        (r"file.name.matches(r'^holi.*\.mp4$')", False),
        (r"file.name.matches('a\\{')", False),
        ("true", True),
        ("file.size >= 2000000000\n  && file.size <= 2000000000\n", True),
        ('file.name < "I"', True),
        ('file . name == "Holiday.MP4"', True),
        ("'\\u0048oliday.MP4' == file.name", True),
        ("file.name != '\"'", True),
    ],
)
def test_what_an_expression_says(text: str, *, matches: bool) -> None:
    assert compile_expression(text).matches(VIDEO) is matches


NAME = "Geh\u00e4lter.pdf"
LETTERS = (
    "file.name.contains('Geh\u00e4lter')",
    'file.name.startsWith("Geh\u00e4")',
    "file.name in ['x', 'Geh\u00e4lter.pdf']",
    "file.name.matches('^Geh\u00e4+lter[.]pdf$')",
    "file.name.matches(r'h[\u00e4\u00f6\u00fc]lter')",
    "size(file.name) == 12",
)
ESCAPES = (
    r"file.name.contains('Geha\u0308lter')",
    r"file.name.contains('Geh\u00e4lter')",
    r"file.name.contains('Geh\U00000061\U00000308lter')",
    r"""file.name.contains("Geh\x61\u0308lter") && file.name != "\"'\\\t\141" """,
    r"file.name.contains('Geh\141\u0308lter')",
)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("text", [*(normalize("NFD", each) for each in LETTERS), *LETTERS, *ESCAPES])
def test_both_forms_of_an_umlaut_are_one(text: str, form: Form) -> None:
    """A rule that holds a file, or adds a scan, passed by what macOS had named."""
    assert compile_expression(text).matches(named(normalize(form, NAME)))
    assert not compile_expression(f"!({text})").matches(named(normalize(form, NAME)))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (r"file.name == 'a\\u0308'", r"a\u0308"),
        (r"file.name == r'a\u0308'", r"a\u0308"),
        (r"file.name == 'a\u0308\'\"\\ \n\?'", "\u00e4'\"\\ \n?"),
        (r"file.name == '\u2000a\u0308'", "\u2002\u00e4"),
        ("file.name == '\u0308'", "\u0308"),
        (r"file.name == '\u0308a'", "\u0308a"),
    ],
)
def test_what_looks_like_an_escape_or_has_nothing_before_it_stays(text: str, name: str) -> None:
    assert compile_expression(text).matches(named(name))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (r"file.name == 'a\u0308' && file.name == 'a\u03'", "character 40: Syntax error"),
        (r"file.name == 'a\u0308\q'", "Syntax error"),
        (r"file.name == 'a\u0308\U00110000'", "Invalid string literal"),
        (r"file.name == 'a\u0308' && x", "character 27: x is not known"),
        (r"file.name == 'a\u0308' && file.size > '1'", "character 37: > does not take int, string"),
        ("file.name == 'a\u0308' && x", "character 21: x is not known"),
        ("", "it is empty; leave `match` out"),
        ("  \n ", "it is empty"),
        ("x" * 1025, "it has 1025 characters, and 1024 are allowed; write several rules"),
        ('file.size == "5"', "character 11: == does not take int, string; both sides must be of one type"),
        ('file.size in ["a"]', "character 11: in does not take int, list(string)"),
        ("file.size > 1.5", "character 15: a dot must be followed by one of startsWith"),
        ("file.size > 5u", "u is not known"),
        ("file.size > 99999999999999999999", "character 13: a number must be below 2^63"),
        ("file.size", "of the type int, not bool; compare it"),
        ("file.owner == ''", "character 1: file.owner is not known; use file.name, file.extension"),
        ("file == ''", "character 1: file is not known"),
        ("resumed", "character 1: resumed is not known"),
        ("true &&\n  foo", "line 2, character 3: foo is not known"),
        ('true &&\n file.size > "1"', "line 2, character 12: > does not take int, string"),
        ("file.name.lowerAscii() == ''", "a dot must be followed by one of startsWith"),
        ("file.name.startsWith == ''", "startsWith must be followed by parentheses"),
        ("file.name.startsWith()", "startsWith"),
        ("file.name.startsWith('a', 'b')", "a comma may only stand between the elements of a list"),
        ("size == 1", "character 1: size needs a text in parentheses"),
        ("[1, 2].all(x, x > 0)", "character 1: a list may only stand behind `in`"),
        ("file.name in [['a']]", "a list takes texts in quotes or numbers"),
        ("file.name in []", "a list takes texts in quotes or numbers, and at least one"),
        ("file.name in [user.id]", "a list takes texts in quotes or numbers"),
        ("file.name in ['a', 1]", "all elements of a list must be of one type"),
        ("file.name in ['a' 'b']", "separated by commas"),
        ("file.name in ['a', 'b'", "separated by commas"),
        ("file.name[0] == 'a'", "a list may only stand behind `in`"),
        ("dyn(1) == 1", "dyn is not known"),
        ("type(1) == int", "type is not known"),
        ("has(file.name)", "has is not known"),
        ("file.size + 1 > 2", "character 11: '+' is not allowed"),
        ("-1 < file.size", "character 1: '-' is not allowed"),
        ("true ? true : false", "character 6: '?' is not allowed"),
        ("{} == {}", "'{' is not allowed"),
        ("true // and so on", "'/' is not allowed"),
        ("true\0", r"'\x00' is not allowed"),
        ("file.name == 'a", "character 14: the text that begins here has no closing '"),
        ("file.name == 'a\\", "no closing '"),
        ("file.name == '''a'''", "one quote at each end, not three"),
        ("file.name == b'a'", "b is not known"),
        ("file.name == '\u202e'", r"character 15: '\u202e' may not stand in a text"),
        ("file.name == 'a\nb'", r"'\n' may not stand in a text"),
        ("file.name == '\ud800'", r"'\ud800' may not stand in a text"),
        (r"file.name == '\ud800'", "Invalid string literal"),
        ("true ==", "Syntax error"),
        ("(true", "Syntax error"),
        ("true)", "Syntax error"),
        ("true false", "Syntax error"),
        ("in", "Syntax error"),
        (f"{'(' * 17}true{')' * 17}", "character 17: more than 16 parentheses are open"),
        (" == ".join(["true"] * 40), "it is nested too deeply or has too many comparisons"),
        ("file.name.matches('(')", "character 19: invalid regular expression: missing ): ("),
        ("file.name.matches('a{3}')", r"a repetition with {…} is not allowed; repeat the text, or write \{"),
        (r"file.name.matches(r'\pL')", r"uses \p, which is not allowed"),
        (r"file.name.matches('\\PL')", r"uses \P, which is not allowed"),
        (r"file.name.matches('\x7b')", "of escapes, a regular expression takes"),
        ("file.name.matches(file.extension)", "matches takes one regular expression in quotes"),
        ("file.name.matches('a' == 'b')", "matches takes one regular expression in quotes"),
        (f"file.name.matches('{'a' * 129}')", "has 129 characters, and 128 are allowed"),
        ("file.name.matches('a**')", "invalid regular expression: bad repetition operator: **"),
    ],
)
def test_what_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        compile_expression(text)
    assert complaint in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    "name", ["\0", "\x1b[31m", "\ud800", "'", '"', "\\", "\n", "😀", "../../etc/passwd", "e\u0301" * 1000]
)
def test_an_odd_name_is_a_name(name: str) -> None:
    facts = named(f"{name}.mp4", size=5)
    assert compile_expression('file.name.endsWith(".mp4") && file.extension == "mp4"').matches(facts)
    assert not compile_expression('file.name == "a.mp4"').matches(facts)


def test_a_name_that_is_too_long_has_no_answer() -> None:
    facts = named("a" * 100_000, size=5)
    with pytest.raises(ExpressionError, match=r"file\.name has 100000 characters"):
        compile_expression('file.name == "a"').matches(facts)
    assert compile_expression("file.size == 5").matches(facts), "it does not look at the name"


def test_the_longest_name_is_compared() -> None:
    assert compile_expression("size(file.name) == 4096").matches(Facts(name="a" * MAX_TEXT))


def test_a_size_that_no_number_of_cel_can_have_counts_as_the_largest() -> None:
    assert compile_expression("file.size == 9223372036854775807").matches(Facts(size=2**64 - 1))


def test_a_fault_of_the_library_is_no_answer() -> None:
    class Broken:
        def eval(self, data: dict[str, object]) -> object:
            raise SystemError(f"broken with {data}")

    with pytest.raises(ExpressionError, match="has no answer for this upload: broken with"):
        Expression("true", Broken(), ()).matches(Facts())


def test_without_the_library_each_expression_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    expression._environment.cache_clear()
    monkeypatch.setattr(expression, "LIBRARY", "no_such_library.cel")
    assert not is_available()
    with pytest.raises(ExpressionError, match=r"install uploadpp\[policies\]"):
        compile_expression("true")
    monkeypatch.undo()
    assert is_available()
    assert compile_expression("true").matches(Facts())


def test_the_library_is_not_loaded_before_it_is_needed() -> None:
    program = (
        "import sys, uploadpp.policies.policy_set, uploadpp.policies.review\n"
        "print([name for name in sys.modules if name.startswith('cel')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": "operator"},
    )
    assert done.stdout.strip() == "[]"
