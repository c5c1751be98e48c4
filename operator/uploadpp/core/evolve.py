"""Changed copies of frozen values: what `dataclasses.replace` is, for named tuples as well.

Every transition makes several copies; how they are made decides how fast the operator is.
"""

from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def evolve(value: T, **changes: Any) -> T:  # noqa: ANN401 -- any field of the value
    """A copy of a named tuple or frozen dataclass with some fields changed.

    Raises:
        KeyError: a named tuple has no such field.
        TypeError: a dataclass has no such field.
    """
    if not isinstance(value, tuple):
        return replace(value, **changes)  # type: ignore[type-var]  # the only other kind there is
    kind: Any = type(value)
    index = _index(kind)
    values = list(value)
    for name, each in changes.items():
        values[index[name]] = each
    copy: T = tuple.__new__(kind, values)
    return copy


@cache
def _index(kind: Any) -> dict[str, int]:  # noqa: ANN401 -- a type of named tuples
    return {name: position for position, name in enumerate(kind._fields)}
