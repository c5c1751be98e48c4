"""The demo's own reading and writing of the event contract."""

import base64
import json

import pytest

from e2e.demo.wire import decode, encode, go_json


def test_json_is_what_go_writes() -> None:
    value = {"Filename": 'F\u00fc <&> \u2028 "x".pdf', "ExecutingUser": None}
    assert go_json(value) == (
        '{"Filename":"F\u00fc \\u003c\\u0026\\u003e \\u2028 \\"x\\".pdf","ExecutingUser":null}'
    )


def test_envelope_has_the_fields_of_go_micro_in_order() -> None:
    envelope = json.loads(encode("UploadReady", {"UploadID": "a"}, {"initiatorid": "web-1"}))
    assert list(envelope) == ["Timestamp", "Metadata", "ID", "Topic", "Payload"]
    assert list(envelope["Metadata"]) == ["eventid", "eventtype", "initiatorid", "traceparent"]
    assert envelope["Metadata"]["eventtype"] == "events.UploadReady"
    assert envelope["Metadata"]["initiatorid"] == "web-1"
    assert envelope["Metadata"]["eventid"] != envelope["ID"]
    assert envelope["Topic"] == "main-queue"
    assert base64.b64decode(envelope["Payload"], validate=True) == b'{"UploadID":"a"}'


def test_an_answer_takes_on_the_context_but_not_the_id() -> None:
    event = decode(encode("BytesReceived", {"UploadID": "a"}, {"initiatorid": "web-1", "extrainfo": "{}"}))
    assert event is not None
    assert (event.type, event.upload_id) == ("BytesReceived", "a")
    assert event.context() == {"initiatorid": "web-1", "extrainfo": "{}", "traceparent": ""}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"Metadata":{},"Payload":"e30="}',
        b'{"Metadata":{"eventtype":"x"},"Payload":"?"}',
    ],
)
def test_junk_is_no_event(data: bytes) -> None:
    assert decode(data) is None
