"""Expressions of rules against a small evaluator of their own, and against text that is none."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from uploadpp.core.composition import composed
from uploadpp.policies.expression import Expression, ExpressionError, compile_expression
from uploadpp.policies.facts import Facts
from uploadpp.policies.subset import MAX_EXPRESSION, METHODS, VARIABLES, check

TEXTS = [name for name in VARIABLES if name != "file.size"]
WORDS = ("a", "é", "e\u0301", "B", "", "mp4", "😀", "a.b", "\\", '"', "'", "\u202e")


@dataclass
class Part:
    """A piece of an expression, and what it is worth."""

    text: str
    value: Callable[[Facts], Any]


def quoted(value: str) -> str:
    escaped = "".join(
        each if each.isprintable() and each not in "\\\"'" else f"\\U{ord(each):08x}" for each in value
    )
    return f'"{escaped}"'


def constant(text: str, value: object) -> Part:
    return Part(text, lambda _: value)


def variable(name: str) -> Part:
    return Part(name, lambda facts: getattr(facts, VARIABLES[name]))


words = st.sampled_from(WORDS) | st.text(max_size=4).filter(
    lambda text: "\0" not in text and not re.search(r"[\ud800-\udfff]", text)
)
texts = st.builds(lambda word: constant(quoted(word), composed(word)), words) | st.builds(
    variable, st.sampled_from(TEXTS)
)
numbers = (
    st.builds(lambda number: constant(str(number), number), st.integers(0, 2**63 - 1) | st.integers(0, 5))
    | st.just(variable("file.size"))
    | st.builds(lambda part: Part(f"size({part.text})", lambda facts: len(part.value(facts))), texts)
    | st.builds(lambda part: Part(f"{part.text}.size()", lambda facts: len(part.value(facts))), texts)
)
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
CALLED: dict[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, part: part in text,
}


def _binary(left: Part, operator: str, right: Part) -> Part:
    apply = COMPARED[operator]
    return Part(
        f"({left.text} {operator} {right.text})", lambda facts: apply(left.value(facts), right.value(facts))
    )


def _call(left: Part, method: str, right: Part) -> Part:
    apply = CALLED[method]
    return Part(
        f"{left.text}.{method}({right.text})", lambda facts: apply(left.value(facts), right.value(facts))
    )


def _in(left: Part, values: list[Part]) -> Part:
    listed = ", ".join(each.text for each in values)
    return Part(
        f"({left.text} in [{listed}])",
        lambda facts: left.value(facts) in [each.value(facts) for each in values],
    )


def _literals(of: st.SearchStrategy[str] | st.SearchStrategy[int]) -> st.SearchStrategy[list[Part]]:
    def literal(value: object) -> Part:
        if isinstance(value, str):
            return constant(quoted(value), composed(value))
        return constant(str(value), value)

    return st.lists(st.builds(literal, of), min_size=1, max_size=3)


simple = (
    st.builds(_binary, texts, st.sampled_from(sorted(COMPARED)), texts)
    | st.builds(_binary, numbers, st.sampled_from(sorted(COMPARED)), numbers)
    | st.builds(_call, texts, st.sampled_from(sorted(CALLED)), texts)
    | st.builds(_in, texts, _literals(words))
    | st.builds(_in, numbers, _literals(st.integers(0, 9)))
    | st.builds(lambda truth: constant(str(truth).lower(), truth), st.booleans())
)


def _larger(inner: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    return (
        st.builds(
            lambda a, b: Part(f"({a.text} && {b.text})", lambda facts: a.value(facts) and b.value(facts)),
            inner,
            inner,
        )
        | st.builds(
            lambda a, b: Part(f"({a.text} || {b.text})", lambda facts: a.value(facts) or b.value(facts)),
            inner,
            inner,
        )
        | st.builds(lambda a: Part(f"!{a.text}", lambda facts: not a.value(facts)), inner)
    )


expressions = st.recursive(simple, _larger, max_leaves=6).filter(
    lambda part: len(part.text) <= MAX_EXPRESSION
)
facts = st.builds(
    Facts,
    size=st.integers(0, 5) | st.integers(0, 2**63 - 1),
    **{VARIABLES[name]: words.map(composed) for name in TEXTS},
)


@given(expressions, facts)
def test_an_expression_says_what_the_evaluator_says(part: Part, of: Facts) -> None:
    assert compile_expression(part.text).matches(of) is part.value(of)


def tried(text: str) -> Expression | None:
    try:
        return compile_expression(text)
    except ExpressionError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 1024
    return None


TOKENS = st.sampled_from(
    [*VARIABLES, *METHODS, "file", "true", "false", "in", "null", "dyn", "all", "has", "x", "1", "2.5", "3u",
     "0x1", "-", "+", "*", "/", "%", "?", ":", "!", "&&", "||", "==", "<", ">=", "(", ")", "[", "]", "{", "}",
     ",", ".", "//", '"a"', "'b'", 'r"\\"', "b'x'", '"""', "'''", '"', "'", "\\", "\n", "\0", "\x1b", "é",
     "😀", "\ud800", "`", "@", "$", ".matches('(a*)*b')", ".matches(r'[')", ".matches('\\\\pL+')"]
)  # fmt: skip
nonsense = (
    st.lists(TOKENS, max_size=40).map(" ".join) | st.lists(TOKENS, max_size=40).map("".join) | st.text()
)


@given(nonsense, st.text() | words, st.integers())
@example("(" * 600, "", 0)
@example("!" * 1024, "", 0)
@example("!" * 1020 + "true", "", 0)
@example("true" + "==true" * 170, "", 0)
@example("true" + "&&true" * 170, "", 0)
@example("file.name in [" + "'a'," * 250 + "'a']", "a", 0)
@example("file.name.matches('" + "(a*)*" * 24 + "b')", "a" * 4096, 0)
@example("file.name.matches('" + "[^a]" * 32 + "')", "é" * 4096, 0)
@example("file.name.matches('(a|b)*a" + "(a|b)" * 23 + "')", "ab" * 2048, 0)
def test_anything_else_is_refused_and_ends_nothing(text: str, name: str, size: int) -> None:
    expression = tried(text)
    if expression is None:
        return
    checked = check(text)
    assert set(checked.variables) <= set(VARIABLES)
    try:
        answer: object = expression.matches(Facts(name=name, size=size))
    except ExpressionError as error:
        answer = str(error)
    assert answer in {True, False} or "no answer" in str(answer) or "characters" in str(answer)


@given(expressions, st.integers(0, 2**31), TOKENS)
def test_a_damaged_expression_is_refused_or_still_one(part: Part, at: int, damage: str) -> None:
    place = at % (len(part.text) + 1)
    tried(part.text[:place] + damage + part.text[place:])
    tried(part.text[:place] + part.text[place + 1 :])
