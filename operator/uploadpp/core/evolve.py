"""Changed copies of frozen values: what `dataclasses.replace` is, for named tuples as well.

Every transition makes several copies; how they are made decides how fast the operator is.
"""

from dataclasses import replace
from typing import Any, TypeVar

T = TypeVar("T")


def evolve(value: T, **changes: Any) -> T:  # noqa: ANN401 -- any field of the value
    """A copy of a named tuple or frozen dataclass with some fields changed.

    Raises:
        KeyError: a named tuple has no such field.
        TypeError: a dataclass has no such field.
    """
    kind = value.__class__
    try:
        index = _INDICES[kind]
    except KeyError:
        if not isinstance(value, tuple):
            return replace(value, **changes)  # type: ignore[type-var]  # the only other kind there is
        index = _INDICES[kind] = _index(kind)
    values = list(value)  # type: ignore[call-overload]  # a named tuple, see above
    for name, each in changes.items():
        values[index[name]] = each
    copy: T = _new(kind, values)
    return copy


_INDICES: dict[Any, dict[str, int]] = {}
_new: Any = tuple.__new__


def _index(kind: Any) -> dict[str, int]:  # noqa: ANN401 -- a type of named tuples
    return {name: position for position, name in enumerate(kind._fields)}
