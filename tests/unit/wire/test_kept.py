"""A position that is kept in a Lease: anybody who may write Leases may have written it."""

from datetime import UTC, datetime

import orjson
import pytest
from nats.js.api import StreamState
from nats.js.errors import APIError

from uploadpp.wire.kept import MAX_BYTES, Kept, read
from uploadpp.wire.making import NoPlaceError, explained

STREAM, PREFIX = "main-queue@20261002T080000.000000", "uploadpp-0-e"
SEEN = datetime(2026, 10, 2, 9, 0, tzinfo=UTC)
KEPT = Kept(STREAM, PREFIX, 7, 1235, SEEN, 40)


def state(last: int) -> StreamState:
    return StreamState(last, 0, 1, last, 0)


@pytest.mark.parametrize(
    "kept", [KEPT, Kept(f"{STREAM}+3", PREFIX, 0, 1, SEEN), Kept(STREAM, PREFIX, 7, SEEN, SEEN)]
)
def test_it_is_read_as_it_was_written(kept: Kept) -> None:
    assert read(kept.text, PREFIX, STREAM) == kept


@pytest.mark.parametrize(("last", "start"), [(1234, 1235), (5000, 1235), (1233, SEEN), (0, SEEN)])
def test_where_it_begins(last: int, start: int | datetime) -> None:
    """When the stream ends before the position, with what was stored since the last sign of its owner."""
    assert KEPT.start(state(last)) == start


def test_a_time_stays_a_time() -> None:
    assert Kept(STREAM, PREFIX, 7, SEEN, SEEN).start(state(0)) == SEEN


@pytest.mark.parametrize(
    ("stream", "prefix"),
    [
        ("main-queue@20270101T000000.000000", PREFIX),
        ("main-queue@20261002T080000", PREFIX),
        (f"{STREAM}0", PREFIX),
        (STREAM, "uploadpp-0of2-e"),
        (STREAM, "uploadpp-1of2-e"),
    ],
)
def test_of_another_stream_or_shard_it_is_not_used(
    stream: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(KEPT.text, prefix, stream) is None
    assert "another stream or shard" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"since": "0001-01-01T00:00:00+14:00"},
        {"since": "9999-12-31T23:59:59-14:00"},
        {"first": 0, "since": "0001-01-01T00:00:00.5+00:01"},
        {"first": -1},
        {"first": 2**63},
        {"first": True},
        {"first": "7"},
        {"first": 1.5},
        {"epoch": -1},
        {"unsigned": -1},
        {"epoch": None},
        {"since": "yesterday"},
        {"since": "2026-10-02T08:00:00"},
        {"since": 7},
        {"stream": 7},
        {"stream": f"{STREAM}+x"},
        {"stream": f"{STREAM}+1\n"},
        {"stream": f"{STREAM}+٣"},
        {"consumers": ["uploadpp-0-e"]},
        {"more": "x" * MAX_BYTES},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_not_used(change: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    assert read(orjson.dumps(orjson.loads(KEPT.text) | change).decode(), PREFIX, STREAM) is None
    assert "is not used" in caplog.text


@pytest.mark.parametrize("text", ["x", "null", "[]", "7", "{}", '"first"', "\ud800"])
def test_nor_what_is_no_position_at_all(text: str) -> None:
    assert read(text, PREFIX, STREAM) is None


def test_nothing_kept_is_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    assert read("", PREFIX, STREAM) is None
    assert not caplog.records


@pytest.mark.parametrize(
    "error",
    [
        APIError(400, "maximum consumers limit reached", 10026),
        APIError(400, "maximum consumers limit"),
        APIError(400, "anders", 10026),
    ],
)
def test_a_refusal_for_want_of_a_place_names_the_remedy(error: APIError) -> None:
    found = explained(error, "main-queue", "uploadpp-0-e1")
    assert isinstance(found, NoPlaceError)
    assert (
        f"NATS: {error.description}: the stream main-queue has no place for the consumer uploadpp-0-e1"
        in str(found)
    )
    assert "raise max_consumers of the stream or the account" in str(found)


def test_another_refusal_stays_as_it_is() -> None:
    error = APIError(400, "consumer name already in use", 10013)
    assert explained(error, "main-queue", "uploadpp-0-e1") is error
