"""Expressions of rules: compiled once, evaluated for each upload (docs/adr/0057)."""

from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from uploadpp.core.composition import composed
from uploadpp.core.text import clean
from uploadpp.policies.facts import Facts, facts_of
from uploadpp.policies.subset import VARIABLES, ExpressionError, check, place, with_composed_texts
from uploadpp.wire.rawjson import whole

__all__ = ["Expression", "ExpressionError", "Facts", "compile_expression", "facts_of", "is_available"]

LIBRARY = "cel_expr_python.cel"
MAX_TEXT = 4096
"""Characters of a name or id. Storages take names of 255 bytes."""
MAX_SIZE = 2**63 - 1
"""What a number of CEL may be; a larger size counts as this."""
MAX_SAID = 400
"""Characters of what the library says."""
_NOBODYS = Facts()
_OVERLOAD = "found no matching overload for "


def is_available() -> bool:
    """Whether the library is installed; the image has it."""
    try:
        return find_spec(LIBRARY) is not None
    except ModuleNotFoundError:
        return False


@cache
def _environment() -> Any:  # noqa: ANN401  # the library has no types
    """The variables and their types. Imported here: without policies, no process pays for the library."""
    try:
        cel = import_module(LIBRARY)
    except ImportError as error:
        raise ExpressionError(
            f"the library of CEL cannot be loaded ({clean(str(error), 100)}); install uploadpp[policies], "
            "or use the operator's image"
        ) from None
    return cel.NewEnv(
        variables={name: cel.Type.INT if name == "file.size" else cel.Type.STRING for name in VARIABLES}
    )


class Expression:
    """A compiled expression. It always has the same answer for the same upload."""

    __slots__ = ("_inputs", "_program", "text")

    def __init__(self, text: str, program: Any, variables: tuple[str, ...]) -> None:  # noqa: ANN401
        self.text = text
        self._program = program
        self._inputs = tuple((name, VARIABLES[name]) for name in variables)

    def matches(self, facts: Facts) -> bool:
        """Whether it is about the upload.

        Raises:
            ExpressionError: there is no answer for this upload.
        """
        data: dict[str, str | int] = {}
        for name, field in self._inputs:
            value: str | int = getattr(facts, field)
            if isinstance(value, int):
                data[name] = min(value, MAX_SIZE)
            elif len(value) <= MAX_TEXT:
                data[name] = whole(value).replace("\0", "\ufffd")  # the library ends a text at NUL
            else:
                raise ExpressionError(
                    f"{name} has {len(value)} characters, and expressions look at {MAX_TEXT} at most; let a "
                    "person look at this upload"
                )
        try:
            answer = self._program.eval(data=data).value()
        except Exception as error:  # noqa: BLE001  # whatever a library of C++ raises, the upload is held
            answer = error
        if answer is True or answer is False:
            return bool(answer)
        raise ExpressionError(f"the expression has no answer for this upload: {clean(str(answer), MAX_SAID)}")


def compile_expression(text: str) -> Expression:
    """An expression that can be evaluated.

    Raises:
        ExpressionError: it cannot be; the message names the place and the remedy.
    """
    text = composed(text)
    checked = check(text)
    program = _compiled(text)
    kind = program.return_type().name()
    if kind != "BOOL":
        raise ExpressionError(
            f"the expression is of the type {kind.lower()}, not bool; compare it, as in file.size > 1000"
        )
    for pattern, at in checked.patterns:
        answer = _compiled(f"''.matches({pattern})").eval(data={}).value()
        if not isinstance(answer, bool):
            said = str(answer).partition("invalid regular expression: ")[2] or str(answer)
            raise ExpressionError(f"{place(text, at)}: invalid regular expression: {clean(said, MAX_SAID)}")
    if (same := with_composed_texts(text)) != text:  # compiled as it was written first: errors name places
        program = _compiled(same)
    expression = Expression(text, program, checked.variables)
    with suppress(ExpressionError):
        # The first answer takes as long as fifty others, and an upload may come to hundreds of rules.
        expression.matches(_NOBODYS)
    return expression


def _compiled(text: str) -> Any:  # noqa: ANN401  # the library has no types
    environment = _environment()
    try:
        return environment.compile(text)
    except Exception as error:  # noqa: BLE001  # whatever a library of C++ raises, it is a wrong expression
        raise ExpressionError(_said(text, str(error))) from None


def _said(text: str, error: str) -> str:
    """The first of the library's errors, in words for people."""
    _, found, rest = error.partition("ERROR: <input>:")
    if not found or "recursion" in error:
        deep = "it is nested too deeply or has too many comparisons; write several rules"
        return deep if "recursion" in error else clean(error, MAX_SAID)
    line, column, problem = rest.split("\n", 1)[0].split(":", 2)
    problem = problem.strip()
    if problem.startswith(_OVERLOAD):
        name, _, types = problem.removeprefix(_OVERLOAD).partition(" applied to ")
        operator = name.strip("'").strip("_@")
        kinds = types.strip("'")[1:-1]
        problem = f"{operator} does not take {kinds}; both sides must be of one type, texts stand in quotes"
    elif problem == "invalid int literal":
        problem = "a number must be below 2^63"
    elif problem.startswith("undeclared reference to "):
        problem = f"{problem.partition(' (in')[0]}; it needs another number or type of arguments"
    else:
        problem = problem.partition(" expecting ")[0]
    where = f"line {line}, character {column}" if "\n" in text.strip() else f"character {column}"
    return f"{where}: {clean(problem, MAX_SAID)}"
