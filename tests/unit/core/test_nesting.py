"""What is nested too deep is left out, and nothing else."""

import json
from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.core.nesting import MOST_LEVELS, shallow

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(alphabet='"\\[]{}a\n', max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(alphabet='"\\[]{}', max_size=3), inner, max_size=3),
    ),
    max_leaves=20,
)


def without_deep(value: Any, most: int) -> Any:  # noqa: ANN401 -- JSON
    if not isinstance(value, dict | list):
        return value
    if not most:
        return None
    if isinstance(value, list):
        return [without_deep(each, most - 1) for each in value]
    return {key: without_deep(each, most - 1) for key, each in value.items()}


@given(value=VALUES, most=st.integers(0, 5))
def test_what_is_too_deep_is_null(value: object, most: int) -> None:
    text = json.dumps(value).encode()
    assert json.loads(shallow(text, most)) == without_deep(value, most)


def test_a_hundred_levels_are_read() -> None:
    assert (shallow(b"[" * 100 + b"]" * 100), MOST_LEVELS) == (b"[" * 100 + b"]" * 100, 100)
    assert shallow(b"[" * 101 + b"]" * 101) == b"[" * 100 + b"null" + b"]" * 100


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 1100, 100_000])
@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}"), (b'["]",', b',"["]')])
def test_others_beside_it_are_read(levels: int, opens: bytes, closes: bytes) -> None:
    deep = opens * levels + b"1" + closes * levels
    assert json.loads(shallow(b'{"deep":' + deep + b',"good":[1]}'))["good"] == [1]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[" * 200,
        b"]" * 200,
        b"[" * 200 + b'"' + b"]" * 200,
        b'"' + b"\\" * 201,
        b"]" * 300 + b"[" * 300,
    ],
    ids=["nothing", "opens", "closes", "a text that does not end", "backslashes", "closes and opens"],
)
def test_what_is_no_json_is_not_made_json(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Extra|Unterminated|Invalid"):
        json.loads(shallow(text))


@pytest.mark.parametrize(
    "part", [b'"\\', b'\\"', b'"', b"[", b"]", b"[]", b'["', b'"[]"', b"\\"], ids=lambda part: part.hex()
)
def test_it_takes_no_longer_than_the_text_is(part: bytes) -> None:
    text = b"[" * 200 + part * (2_000_000 // len(part))
    began = thread_time()
    shallow(text)
    assert thread_time() - began < 5
