"""Entries of the bucket, byte for byte as Go's encoding/json writes them."""

import json
from base64 import b64decode, b64encode

import pytest

from uploadpp.core.adoption import Record
from uploadpp.core.model import Millis, Origin
from uploadpp.wire.bucket import ADOPTED, BucketError, Entry, Names, decode_entry, encode_record

ID = "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"
USER = '{"id":{"idp":"https://idp.test","opaque_id":"u-1","type":1},"username":"mary","tenant_id":"t"}'
RECORD = (
    f'{{"ID":"{ID}","URL":"https://storage.test/data/a\\u0026b","User":{USER},"ImpersonatingUser":null,'
    '"Filename":"\\u003cplan\\u003e.pdf","Filesize":48213,"ResourceID":{"opaque_id":"n","space_id":"s"},'
    '"Steps":["virusscan","policies"],"Status":{"CurrentStep":"policies","Outcome":"retry"},"Failures":2,'
    '"InitiatorID":"web-1","Finished":false}'
)


def entry(record: str, metadata: str = "null", written_at: int = 5) -> Entry:
    data = b64encode(record.encode()).decode()
    value = f'{{"key":"{ID}","data":"{data}","metadata":{metadata}}}'
    return Entry(Names().key(ID), value.encode(), 7, Millis(written_at))


def test_what_go_has_written_comes_out_the_same() -> None:
    record = decode_entry(entry(RECORD)).record
    assert encode_record(record) == RECORD


def test_fields() -> None:
    record = decode_entry(entry(RECORD, written_at=9)).record
    assert (record.id, record.steps, record.current) == (ID, ("virusscan", "policies"), "policies")
    assert (record.outcome, record.failures, record.finished, record.written_at) == ("retry", 2, False, 9)
    assert (record.file.filename, record.file.filesize) == ("<plan>.pdf", 48213)
    assert (record.file.user_id, record.file.space_id, record.file.opaque_id) == ("u-1", "s", "n")
    assert (record.origin.executing_user, record.origin.initiator_id) == (USER, "web-1")


def test_a_newer_service_stores_more() -> None:
    newer = RECORD.replace('"Finished"', '"StartTime":"2026-10-02T08:15:30Z","Finished"')
    assert encode_record(decode_entry(entry(newer)).record) == RECORD


def test_an_older_one_less() -> None:
    status = '{"CurrentStep":"finished"}'
    older = f'{{"ID":"{ID}","URL":"u","Filename":"f","Filesize":1,"Steps":null,"Status":{status}}}'
    record = decode_entry(entry(older)).record
    assert (record.steps, record.current, record.outcome, record.failures) == ((), "finished", "", 0)


def test_the_key_is_that_of_the_service() -> None:
    assert Names().key(ID) == "G5SDCZRQMM2TELJWMMYGELJUME3WKLJZME2WKLJSMYZWMMLGGBRTSZBRGE======"
    assert Names(table="t").is_mine(Names(table="t").key(ID))
    assert not Names(table="t").is_mine(Names().key(ID))
    assert not Names(table="t").is_mine("no base32")


def test_of_a_record_of_ours_every_field_is_there() -> None:
    text = encode_record(Record(id="<a>", origin=Origin()))
    assert json.loads(text) == {
        "ID": "<a>",
        "URL": "",
        "User": None,
        "ImpersonatingUser": None,
        "Filename": "",
        "Filesize": 0,
        "ResourceID": None,
        "Steps": [],
        "Status": {"CurrentStep": "", "Outcome": ""},
        "Failures": 0,
        "InitiatorID": "",
        "Finished": False,
    }
    assert '"ID":"\\u003ca\\u003e"' in text


@pytest.mark.parametrize(
    ("metadata", "is_adopted"), [("null", False), ("{}", False), (f'{{"{ADOPTED}":"x"}}', True)]
)
def test_a_mark_in_the_metadata(metadata: str, *, is_adopted: bool) -> None:
    assert decode_entry(entry(RECORD, metadata)).is_adopted is is_adopted


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{",
        b'{"data":1}',
        b'{"data":"%"}',
        b'{"data":"","metadata":[]}',
        *(
            entry(text).value
            for text in (
                "",
                "[]",
                "{}",
                f'{{"ID":"{"x" * 129}"}}',
                '{"ID":1}',
                *(
                    f'{{"ID":"a","{name}":{wrong}}}'
                    for name, wrong in (
                        ("URL", "1"),
                        ("User", '"mary"'),
                        ("Filesize", "-1"),
                        ("Filesize", str(2**64)),
                        ("Filesize", "1.5"),
                        ("Filesize", "true"),
                        ("Steps", '"virusscan"'),
                        ("Steps", "[1]"),
                        ("Status", '"finished"'),
                        ("Status", '{"CurrentStep":1}'),
                        ("Failures", '"2"'),
                        ("InitiatorID", "{}"),
                        ("Finished", '"no"'),
                        ("ResourceID", "[]"),
                    )
                ),
            )
        ),
    ],
)
def test_what_cannot_be_understood_is_said_without_its_content(value: bytes) -> None:
    with pytest.raises(BucketError) as error:
        decode_entry(Entry("KEY", value, 1, Millis(0)))
    assert "storage.test" not in str(error.value)
    assert "mary" not in str(error.value)


def test_a_nested_bomb_is_one_broken_entry() -> None:
    deep = '{"ID":"a","User":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}"
    with pytest.raises(BucketError):
        decode_entry(entry(deep))


def test_nothing_of_a_record_shows_its_url() -> None:
    wrapped = decode_entry(entry(RECORD))
    shown = f"{wrapped!r} {wrapped.record!r} {entry(RECORD)!r}"
    assert "storage.test" not in shown
    assert b64decode(wrapped.data).decode() == RECORD
