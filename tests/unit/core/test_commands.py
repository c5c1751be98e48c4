"""Marks, which go over the wire, and the ids of events that are computed from them."""

from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.core.bounds import LAST_MOMENT
from uploadpp.core.commands import NAMESPACE, Kind, Mark, _uuid5
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.testing.builders import START, UPLOAD_ID

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


numbers = st.integers(1, 2**31 - 1)


tokens = st.from_regex(r"[A-Za-z0-9._-]{0,64}", fullmatch=True)


marks = st.one_of(
    st.builds(
        Mark,
        st.sampled_from([Kind.START, Kind.RETRY, Kind.RESTART]),
        numbers.map(Millis),
        numbers,
        numbers,
        words,
        tokens,
    ),
    st.builds(
        Mark, st.just(Kind.FINISH), numbers.map(Millis), numbers, numbers, st.sampled_from(["abort"]), tokens
    ),
)


@given(marks)
def test_a_mark_survives_the_wire(mark: Mark) -> None:
    assert Mark.decode(mark.encode()) == mark


@pytest.mark.parametrize(
    "text",
    [
        "",
        "start:1:1:1:",
        "stop:1:1:1::a",
        "start:x:1:1::a",
        "start:1:x:1::a",
        "start:1:1:x::a",
        "finish:1:1:1::maybe",
        "start:1:-1:1::a",
        "start:1:1:0::a",
        f"start:1:{2**31}:1::a",
        f"start:1:1:{2**31}::a",
    ],
)
def test_what_is_no_mark_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Mark.decode(text)


@pytest.mark.parametrize("detail", ["a:b", "a::b:c", ":", "::"])
def test_a_step_may_have_colons_in_its_name(detail: str) -> None:
    mark = Mark(Kind.START, START, 3, 2, detail, "t1")
    assert Mark.decode(mark.encode()) == mark


def test_a_count_that_the_resource_cannot_hold_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"^a count out of range$"):
        Mark.decode("start:1:1:0::a")


@pytest.mark.parametrize("moment", [0, LAST_MOMENT])
def test_any_moment_that_a_date_can_hold_is_one(moment: int) -> None:
    assert Mark.decode(f"start:{moment}:1:1::a").received_at == moment


@pytest.mark.parametrize("moment", [-1, LAST_MOMENT + 1])
def test_a_moment_that_no_date_can_hold_is_refused_in_words(moment: int) -> None:
    with pytest.raises(ValueError, match=r"^a moment that no date can hold$"):
        Mark.decode(f"start:{moment}:1:1::a")


def test_a_mark_of_no_run_is_one_of_an_unknown_upload() -> None:
    assert Mark.decode("restart:7:0:1::") == Mark(Kind.RESTART, Millis(7), 0, 1)


MARK = Mark(Kind.START, START, 1, 1, "a")


def test_event_ids_never_change() -> None:
    """They are in streams and in the stores of other services already."""
    assert MARK.event_id(UPLOAD_ID) == "d7a8fd8d-08c3-5dc9-9538-1474645293fa"


@given(words)
def test_event_ids_are_version_5_of_uuid(name: str) -> None:
    assert _uuid5(name) == str(uuid5(NAMESPACE, name))


def test_the_event_id_tells_commands_apart_and_not_by_the_token() -> None:
    others = [
        evolve(MARK, kind=Kind.FINISH),
        evolve(MARK, received_at=Millis(START + 1)),
        evolve(MARK, run=2),
        evolve(MARK, number=2),
        evolve(MARK, detail="b"),
    ]
    ids = {each.event_id(UPLOAD_ID) for each in [MARK, *others]} | {MARK.event_id("other")}
    assert len(ids) == 7
    assert evolve(MARK, token="t1").event_id(UPLOAD_ID) == MARK.event_id(UPLOAD_ID)


def test_a_mark_of_a_moment_that_no_date_can_hold_is_not_ours() -> None:
    mark = Mark(Kind.START, Millis(LAST_MOMENT + 1), 1, 1, "a")
    with pytest.raises(ValueError, match="a moment that no date can hold"):
        Mark.decode(mark.encode())
