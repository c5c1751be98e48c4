"""Tolerant in: what Go would accept we accept; what it would drop we report and never raise."""

import json
from base64 import b64encode, encodebytes, urlsafe_b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uploadpp.core.inputs import BytesReceived, CleanUpload, Resume, StepFinished, UploadReady
from uploadpp.core.model import Millis
from uploadpp.core.text import redact
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.wire.decode import MAX_MESSAGE, Event, decode
from uploadpp.wire.envelope import BadMessageError, Defect
from uploadpp.wire.rawjson import raw_members
from uploadpp.wire.urls import expiry_of

NOW = Millis(1_790_930_131_005)
READY = f'{{"UploadID":"{UPLOAD}"}}'
READERS = (
    "BytesReceived",
    "PostprocessingStepFinished",
    "UploadReady",
    "ResumePostprocessing",
    "CleanUpload",
)


def read(data: bytes) -> Event | None:
    return decode(data, 1, NOW)


def arrived(**members: str) -> BytesReceived:
    event = read(message("BytesReceived", arrival(**members)))
    assert event is not None
    assert isinstance(event.input, BytesReceived)
    return event.input


def envelope(**members: object) -> bytes:
    full = {"Metadata": {"eventtype": "events.UploadReady"}, "Payload": b64encode(READY.encode()).decode()}
    return json.dumps({**full, **members}).encode()


@pytest.mark.parametrize(
    "data",
    [
        message("UploadReady", f'{{"uploadid":"{UPLOAD}","FAILED":null,"Unknown":{{"x":[1]}}}}'),
        message("UploadReady", f'{{"UploadID":"x","UploadID":"{UPLOAD}"}}'),
        message("UploadReady", READY, initiatorid=None, more="ignored"),
        envelope(Unknown=1, ID=5, Topic=None, Timestamp=None),
        json.dumps(
            {"metadata": {"eventtype": "events.UploadReady"}, "PAYLOAD": b64encode(READY.encode()).decode()}
        ).encode(),
        envelope(Payload=encodebytes(READY.encode() + b" " * 100).decode()),
        b" \n" + envelope() + b"\r\n ",
        message("UploadReady", READY.encode()[:-1] + b',"Filename":"\xff\xfe"}'),
        message("UploadReady", READY[:-1] + ',"Filename":"\\udc80"}'),
    ],
    ids=[
        "names without case",
        "last of two",
        "null in metadata",
        "unknown members",
        "envelope without case",
        "wrapped base64",
        "white space",
        "broken utf-8",
        "half a surrogate pair",
    ],
)
def test_tolerated(data: bytes) -> None:
    event = read(data)
    assert event is not None
    assert (event.upload_id, event.input) == (UPLOAD, UploadReady(failed=False))


@pytest.mark.parametrize(
    ("kind", "payload", "meaning"),
    [
        ("CleanUpload", f'{{"UploadID":"{UPLOAD}","KeepUpload":true}}', CleanUpload()),
        ("ResumePostprocessing", f'{{"UploadID":"{UPLOAD}","Step":"virusscan"}}', Resume()),
        ("PostprocessingStepFinished", f'{{"UploadID":"{UPLOAD}"}}', StepFinished("", "")),
        (
            "PostprocessingStepFinished",
            f'{{"UploadID":"{UPLOAD}","FinishedStep":"x","Outcome":"no word","Result":[1],"Error":"down"}}',
            StepFinished("x", "no word", "down"),
        ),
        (
            "PostprocessingStepFinished",
            f'{{"UploadID":"{UPLOAD}","FinishedStep":"x","Outcome":"continue","Error":{{}}}}',
            StepFinished("x", "continue"),
        ),
        (
            "PostprocessingStepFinished",
            f'{{"UploadID":"{UPLOAD}","Result":{{"Infected":false,"Description":"not shown"}}}}',
            StepFinished("", ""),
        ),
    ],
)
def test_meaning(kind: str, payload: str, meaning: object) -> None:
    event = read(message(kind, payload))
    assert event is not None
    assert (event.upload_id, event.input) == (UPLOAD, meaning)


@pytest.mark.parametrize(
    "data",
    [
        message("SomethingElse", "not even JSON"),
        message("PostprocessingStepFinished", '{"UploadID":""}'),
        message("ResumePostprocessing", "{}"),
        b'{"Metadata":null}',
        b"{}",
        message("StartPostprocessingStep", '{"UploadID":"","StepToStart":"virusscan"}'),  # an on-demand scan
        message("StartPostprocessingStep", READY, uploadpp="a mark of the future"),
        message("PostprocessingFinished", READY, uploadpp="finish:1:1:1::perhaps"),
        message("StartPostprocessingStep", READY, uploadpp="start:1:1:99999999999::virusscan"),
        message("StartPostprocessingStep", "{}", uploadpp="start:1:1:1::virusscan"),
    ],
)
def test_not_for_us(data: bytes) -> None:
    assert read(data) is None


BAD: list[tuple[Defect, bytes]] = [
    (Defect.NOT_JSON, b""),
    (Defect.NOT_JSON, b"\x00\xff"),
    (Defect.NOT_JSON, b"[" * 200_000),
    (Defect.NOT_JSON, b'{"Metadata":{"eventtype":NaN}}'),
    (Defect.NOT_JSON, message("UploadReady", "")),
    (Defect.NOT_JSON, message("BytesReceived", arrival(ExecutingUser="{" * 5000))),
    (Defect.NOT_JSON, message("BytesReceived", arrival(ExecutingUser='{"a":' * 5000))),
    (Defect.NOT_JSON, message("BytesReceived", arrival(ExecutingUser='{"x":NaN}'))),
    (Defect.NOT_JSON, message("BytesReceived", arrival(Filesize="9" * 5000))),
    (Defect.NOT_JSON, message("BytesReceived", arrival(Filename='"a\nb"'))),
    (Defect.NOT_JSON, message("BytesReceived", arrival(Filename="plan"))),
    (Defect.WRONG_TYPE, b"[]"),
    (Defect.WRONG_TYPE, b'"text"'),
    (Defect.WRONG_TYPE, envelope(Metadata={"eventtype": 5})),
    (Defect.WRONG_TYPE, envelope(Metadata=[])),
    (Defect.WRONG_TYPE, envelope(Payload=5)),
    (Defect.WRONG_TYPE, message("UploadReady", "[]")),
    (Defect.WRONG_TYPE, message("UploadReady", '{"UploadID":5}')),
    (Defect.WRONG_TYPE, message("UploadReady", f'{{"UploadID":"{UPLOAD}","Failed":"no"}}')),
    (Defect.WRONG_TYPE, message("PostprocessingStepFinished", f'{{"UploadID":"{UPLOAD}","Outcome":1}}')),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(Filesize='"12"'))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(Filesize="true"))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(Filesize="false"))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(Filesize="1.0"))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(Filesize="-1"))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(Filesize="18446744073709551616"))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(URL="[]"))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(ExecutingUser='"mary"'))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(ImpersonatingUser="[]"))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(ResourceID="5"))),
    (Defect.WRONG_TYPE, message("BytesReceived", arrival(SpaceOwner="true"))),
    (Defect.BAD_BASE64, envelope(Payload="e30")),
    (Defect.BAD_BASE64, envelope(Payload="not base64!")),
    (Defect.BAD_BASE64, envelope(Payload="ü===")),
    (Defect.BAD_BASE64, envelope(Payload=urlsafe_b64encode(b"\xfb\xff\xfe").decode())),
    (Defect.BAD_UPLOAD_ID, message("BytesReceived", arrival(UploadID='""'))),
    (Defect.BAD_UPLOAD_ID, message("BytesReceived", arrival(UploadID="null"))),
    (Defect.BAD_UPLOAD_ID, message("BytesReceived", arrival(UploadID=f'"{"x" * 200}"'))),
    (Defect.BAD_UPLOAD_ID, message("CleanUpload", "{}")),
]


@pytest.mark.parametrize(("defect", "data"), BAD, ids=[f"{each[0]}-{n}" for n, each in enumerate(BAD)])
def test_bad(defect: Defect, data: bytes) -> None:
    with pytest.raises(BadMessageError) as caught:
        read(data)
    assert caught.value.defect is defect


def test_an_error_never_quotes_the_message() -> None:
    secret = "s3cr3t"
    for data in (
        message("BytesReceived", arrival(URL=f'["{secret}"]')),
        message("BytesReceived", arrival(URL=f'"{secret}')),
        message("BytesReceived", arrival(UploadID=f'"{secret * 40}"')),
        envelope(Payload=secret + "!"),
        envelope(Payload=1, Metadata={"eventtype": f"events.{secret} {secret}"}),
        f'{{"Metadata": {secret}'.encode(),
    ):
        with pytest.raises(BadMessageError) as caught:
            read(data)
        assert secret not in f"{caught.value} {caught.value.event_type}"


def test_strings_that_no_encoding_could_take() -> None:
    """Half a surrogate pair is U+FFFD for Go; the text that is echoed stays what it was."""
    found = arrived(
        UploadID='"a\\ud800"',
        Filename='"\\udfff.pdf"',
        ExecutingUser='{"id":{"opaque_id":"\\ud83d"}}',
        ResourceID='{"space_id":"x\\ude00"}',
    )
    assert found.file.filename == "\ufffd.pdf"
    assert found.file.user_id == "\ufffd"
    assert found.file.space_id == "x\ufffd"
    assert found.origin.filename == '"\\udfff.pdf"'
    event = read(message("BytesReceived", arrival(UploadID='"a\\ud800"')))
    assert event is not None
    assert event.upload_id == "a\ufffd"


def test_two_forms_of_one_upload_id_are_one() -> None:
    """The same id comes out of the reader that keeps text and out of the one that does not."""
    first = read(message("BytesReceived", arrival(UploadID='"a\\udead"')))
    second = read(message("UploadReady", '{"UploadID":"a\\udead"}'))
    assert first is not None
    assert second is not None
    assert first.upload_id == second.upload_id


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dial tcp: connection refused", "dial tcp: connection refused"),
        ('Get "https://gw/data/eyJh.eyJi.sig?x=1": EOF', "Get <url> EOF"),
        ("token eyJhbGciOiJIUzI1NiJ9.e30.c2ln was refused", "token <url> was refused"),
        ("x" * 1000, "x" * (MAX_MESSAGE - 1) + "…"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    assert redact(text, MAX_MESSAGE) == shown


@pytest.mark.parametrize(
    ("url", "expiry"),
    [
        ("https://gw/data/h.eyJleHAiOjE3OTA5MzAxMzF9.s", 1_790_930_131_000),
        ("https://gw/data/h.eyJleHAiOjF9.s", 1000),
        ("https://gw/data/h.e30.s", None),
        ("https://gw/data/h.W10.s", None),
        ("https://gw/data/h.!!!.s", None),
        ("https://gw/data/h.eyJleHAiOnRydWV9.s", None),
        ("https://gw/data/h.eyJleHAiOiJzb29uIn0.s", None),
        ("https://gw/data/h.eyJleHAiOjFlOTk5fQ.s", None),
        ("https://gw/data/plain", None),
        ("", None),
    ],
)
def test_expiry_of_a_url(url: str, expiry: int | None) -> None:
    assert expiry_of(url) == expiry


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8), each, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    (
        *("UploadID", "uploadid", "Filename", "Filesize", "URL", "ExecutingUser", "ResourceID"),
        *("SpaceOwner", "FinishedStep", "Outcome", "Result", "Error", "Failed", "Step"),
    )
)
MARKS = (
    st.none()
    | st.text()
    | st.from_regex(r"(start|finish|retry|restart):\d+:-?\d+:\d+:\w*:\w*", fullmatch=True)
)


@given(st.binary())
@example(b'{"Metadata":{"eventtype":"events.UploadReady"},"Payload":"\\ud800"}')
def test_any_bytes(data: bytes) -> None:
    try:
        read(data)
    except BadMessageError:
        return


@given(
    st.sampled_from(READERS) | st.text(),
    st.dictionaries(NAMES, JSON).map(json.dumps)
    | JSON.map(json.dumps)
    | st.text(st.characters(codec="utf-8")),
    MARKS,
)
def test_any_payload(kind: str, payload: str, mark: str | None) -> None:
    """Nothing but BadMessageError; what is taken can be encoded by everything behind us."""
    metadata = {} if mark is None else {"uploadpp": mark}
    try:
        event = read(message(kind, payload, **metadata))
    except BadMessageError:
        return
    if event is None:
        return
    event.upload_id.encode()
    if isinstance(event.input, BytesReceived):
        origin = event.input.origin
        texts = (origin.url, origin.filename, origin.filesize, origin.executing_user, origin.resource_id)
        assert len(json.loads(f"[{','.join(texts)}]")) == len(texts)
        "".join(texts).encode()
        event.input.file.filename.encode()


@given(
    st.dictionaries(st.text(min_size=1), JSON, max_size=5),
    st.sampled_from(["", " ", "\n\t"]),
)
def test_raw_members_are_the_text(members: dict[str, object], space: str) -> None:
    """Together the raw texts are the document again."""
    try:
        text = json.dumps(members, allow_nan=False, separators=(f"{space},", f":{space}"))
    except ValueError:
        return  # an infinity somewhere inside
    found = raw_members(text)
    assert found.keys() == {name.lower() for name in members}
    for raw, value in found.values():
        assert json.loads(raw) == value
        assert raw in text


@pytest.mark.parametrize("behind", ["x", " {}", "}", "\n,"])
@pytest.mark.parametrize("members", ["{}", '{"a":1}'])
def test_what_follows_an_object_makes_it_malformed_as_in_go(members: str, behind: str) -> None:
    assert raw_members(f"{members} \n") is not None
    with pytest.raises(ValueError, match="follows"):
        raw_members(members + behind)


@pytest.mark.parametrize(
    ("result", "proof"),
    [
        ('{"Infected":false,"Scandate":"2026-10-02T08:15:31.5Z","ErrorMsg":""}', True),
        ('{"Infected":false,"Scandate":"0001-01-01T00:00:00Z"}', False),
        ('{"Infected":false,"Scandate":"2026-10-02T08:15:31.5Z","ErrorMsg":"icap: 500"}', False),
        ('{"Infected":false}', False),
        ("null", False),
        ("7", False),
    ],
)
def test_what_proves_a_scan(result: str, proof: bool) -> None:  # noqa: FBT001 -- a parameter
    payload = f'{{"UploadID":"{UPLOAD}","FinishedStep":"virusscan","Outcome":"continue","Result":{result}}}'
    event = decode(message("PostprocessingStepFinished", payload), 1, NOW)
    assert event is not None
    assert isinstance(event.input, StepFinished)
    assert event.input.scanned is proof
