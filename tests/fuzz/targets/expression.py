"""An expression of a rule. The first line is the name of a file, what follows is the expression."""

from tests.fuzz.target import Target
from uploadpp.policies.expression import Expression, ExpressionError, compile_expression
from uploadpp.policies.facts import named
from uploadpp.policies.subset import MAX_EXPRESSION, METHODS, VARIABLES
from uploadpp.policies.subset import check as subset

MOST_SAID = 1024


def compiled(text: str) -> Expression | str:
    """The expression, or what is wrong with it."""
    try:
        return compile_expression(text)
    except ExpressionError as error:
        said = str(error)
    assert_said(said)
    return said


def assert_said(said: str) -> None:
    """A person can read what is wrong."""
    assert said.isprintable(), said
    assert 0 < len(said) <= MOST_SAID


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    name, _, text = data.decode("utf-8", "replace").partition("\n")
    found = compiled(text)
    if isinstance(found, str):
        assert found == compiled(text)
        return
    assert len(text) <= MAX_EXPRESSION
    assert set(subset(text).variables) <= set(VARIABLES)
    facts = named(name, size=len(data), user_id="mary")
    answers: list[bool | None] = []
    for each in (found, found, compile_expression(text)):
        try:
            answers.append(each.matches(facts))
        except ExpressionError as error:
            assert_said(str(error))
            answers.append(None)
    assert answers[0] is answers[1] is answers[2]
    assert answers[0] in {True, False, None}


TARGET = Target(
    check,
    longest=2048,
    words=(*VARIABLES, *METHODS, "true", "false", "&&", "||", "==", "!=", "<=", ">=", "in [", ".matches(r'"),
)
