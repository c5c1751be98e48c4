"""A position that is kept in a Lease: anybody who may write Leases may have written it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import orjson
import pytest
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, ConsumerInfo, RawStreamMsg, StreamState
from nats.js.errors import APIError, NotFoundError

from uploadpp.core.sharding import Shard
from uploadpp.wire.consumers import NOTES_KEY, OurConsumer, parse_name
from uploadpp.wire.creation import ConsumerLimitError, explained
from uploadpp.wire.marks import Marks
from uploadpp.wire.noted_position import MAX_BYTES, Kept, beginning, has_other_past, is_outdated, read

STREAM, PREFIX = "main-queue@20261002T080000.000000", "uploadpp-0-e"
MARKS = Marks([b"key"])
SEEN = datetime(2026, 10, 2, 9, 0, tzinfo=UTC)
KEPT = Kept(STREAM, PREFIX, 7, 1235, SEEN, 40)


def state(last: int) -> StreamState:
    return StreamState(last, 0, 1, last, 0)


@pytest.mark.parametrize(
    "kept", [KEPT, Kept(f"{STREAM}+3", PREFIX, 0, 1, SEEN), Kept(STREAM, PREFIX, 7, SEEN, SEEN)]
)
def test_it_is_read_as_it_was_written(kept: Kept) -> None:
    assert read(kept.text, PREFIX, STREAM, MARKS) == kept


NOTED = replace(KEPT, stored=SEEN, noted=SEEN)


@pytest.mark.parametrize("note", [NOTED, replace(NOTED, stored=None)])
def test_a_signed_note_is_read_as_it_was_written(note: Kept) -> None:
    assert read(note.signed(MARKS), PREFIX, STREAM, MARKS) == note


@pytest.mark.parametrize(
    "change",
    [
        {"first": 1236},
        {"since": "2030-10-02T08:00:00+00:00"},
        {"stored": "2030-10-02T08:00:00+00:00"},
        {"noted": "2030-10-02T08:00:00+00:00"},
        {"noted": None},
        {"epoch": 8},
        {"signature": "0" * 32},
        {"signature": None},
        {"signature": ["\ud800"]},
    ],
    ids=str,
)
def test_a_note_that_somebody_has_changed_is_not_used(
    change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """With a later time, for example, uploads would be skipped."""
    body = orjson.loads(NOTED.signed(MARKS)) | change
    assert read(json.dumps(body), PREFIX, STREAM, MARKS) is None
    assert "ignoring the position in the Lease" in caplog.text


def test_a_note_of_a_replica_with_another_key_is_not_used() -> None:
    assert read(NOTED.signed(Marks([b"other"])), PREFIX, STREAM, MARKS) is None


LAST = SEEN + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("floor", "last", "note", "other_past", "begins"),
    [
        (1300, 1400, None, False, (1301, False)),
        (1300, 1400, NOTED, False, (1235, False)),
        (1200, 1400, NOTED, False, (1201, False)),  # the server has not got our acknowledgement
        (1300, 1400, NOTED, True, (SEEN, True)),
        (1300, 1250, None, False, (LAST, True)),
        (1300, 1250, NOTED, False, (LAST, True)),  # nothing before the loss is read again as something new
        (
            1300,
            1250,
            replace(NOTED, noted=SEEN - timedelta(minutes=5)),
            False,
            (1235, True),
        ),  # both are older
        (1300, 1400, Kept(STREAM, PREFIX, 7, SEEN, SEEN), False, (1301, False)),
    ],
)
def test_where_an_owner_begins(
    floor: int, last: int, note: Kept | None, *, other_past: bool, begins: tuple[int | datetime, bool]
) -> None:
    assert beginning(floor, LAST, state(last), note, other_past=other_past) == begins


@pytest.mark.parametrize(
    ("consumers", "outdated"),
    [
        ([], False),
        ([("uploadpp-0-e7", True)], False),
        ([("uploadpp-0-e9", True)], False),  # of owners that etcd has forgotten
        ([("uploadpp-0-e9", False)], True),  # an earlier version has read on
        ([("uploadpp-0-e7", True), ("uploadpp-0-e9", False)], False),  # it would have removed the other one
        ([("uploadpp-0of2-e3", True)], True),  # so has another number of shards
        ([("uploadpp-0-e0", True), ("uploadpp-0of2-e3", True)], True),
        ([("uploadpp-0-e0", True)], True),  # made for us where we have to begin
    ],
)
def test_what_others_have_read_since_without_a_note(
    consumers: list[tuple[str, bool]], *, outdated: bool
) -> None:
    ours = []
    for name, notes in consumers:
        shard, epoch = parse_name(name) or pytest.fail(name)
        config = ConsumerConfig(metadata={NOTES_KEY: "yes"} if notes else {})
        info = ConsumerInfo(name=name, stream_name="main-queue", config=config, created=SEEN)
        ours.append(OurConsumer(shard, epoch, info, 1300))
    assert is_outdated(NOTED, ours, Shard()) is outdated


def test_what_was_written_for_want_of_a_consumer_is_outdated_once_there_is_one() -> None:
    info = ConsumerInfo(
        name="x", stream_name="main-queue", config=ConsumerConfig(metadata={NOTES_KEY: "yes"}), created=SEEN
    )
    assert is_outdated(KEPT, [OurConsumer(Shard(), 7, info, 1300)], Shard())
    assert not is_outdated(KEPT, [], Shard())


class Stream:
    """The messages of a stream that have a time."""

    def __init__(self, **times: datetime) -> None:
        self._times = {int(name.strip("_")): time for name, time in times.items()}

    async def get_msg(self, _: str, *, seq: int) -> RawStreamMsg:
        if seq not in self._times:
            raise NotFoundError
        return RawStreamMsg(seq=seq, time=self._times[seq])


@pytest.mark.parametrize(
    ("note", "last", "times", "other"),
    [
        (NOTED, 1234, {"_1234": SEEN}, False),
        (NOTED, 1234, {"_1234": SEEN + timedelta(microseconds=700)}, False),
        (NOTED, 1234, {"_1234": SEEN + timedelta(milliseconds=2)}, True),
        (NOTED, 1233, {}, True),
        (NOTED, 1500, {}, False),  # removed: nothing can be said
        (replace(NOTED, stored=None), 1500, {"_1234": LAST}, False),
        (replace(NOTED, stored=None), 1233, {}, True),
        (Kept(STREAM, PREFIX, 7, SEEN, SEEN), 0, {}, False),
    ],
)
async def test_whether_the_stream_has_another_past(
    note: Kept, last: int, times: dict[str, datetime], *, other: bool
) -> None:
    js = cast("JetStreamContext", Stream(**times))
    assert await has_other_past(js, "main-queue", note, state(last)) is other


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
    assert read(KEPT.text, prefix, stream, MARKS) is None
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
        {"stored": 7},
        {"stored": "2026-10-02T08:00:00"},
        {"noted": "yesterday"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_not_used(change: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    assert read(orjson.dumps(orjson.loads(KEPT.text) | change).decode(), PREFIX, STREAM, MARKS) is None
    assert "ignoring the position in the Lease" in caplog.text


@pytest.mark.parametrize("text", ["x", "null", "[]", "7", "{}", '"first"', "\ud800"])
def test_nor_what_is_no_position_at_all(text: str) -> None:
    assert read(text, PREFIX, STREAM, MARKS) is None


def test_nothing_kept_is_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    assert read("", PREFIX, STREAM, MARKS) is None
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
    assert isinstance(found, ConsumerLimitError)
    assert (
        f"NATS: {error.description}: the stream main-queue has no room for the consumer uploadpp-0-e1"
        in str(found)
    )
    assert "raise max_consumers of the stream or the account" in str(found)


def test_another_refusal_stays_as_it_is() -> None:
    error = APIError(400, "consumer name already in use", 10013)
    assert explained(error, "main-queue", "uploadpp-0-e1") is error
