"""A message is passed over by its id alone only where reading all of it says the same."""

import json
from base64 import b64encode

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from uploadpp.core.model import Millis
from uploadpp.core.sharding import Shard
from uploadpp.wire.decode import decode
from uploadpp.wire.envelope import BadMessageError

SHARDS = [Shard(index, 3) for index in range(3)]
TYPES = [
    "BytesReceived",
    "PostprocessingStepFinished",
    "UploadReady",
    "ResumePostprocessing",
    "CleanUpload",
    "StartPostprocessingStep",
    "PostprocessingFinished",
    "PostprocessingRetry",
    "ItemMoved",
]
NAMES = ["UploadID", "uploadid", "UPLOADID", "uploadID", "Upload\\u0049D", "UploadID\\u0000", "Filesize"]
NAMES += ["Upload\u0130D", "upload\u0131d"]
IDS = ["a", "b", "c", "d", "\\u0061", "\\ud800", "\\ud83d\\ude00", "x" * 129, "", "\u00fc"]
IDS += ['\\"UploadID\\":\\"b\\"']
OTHERS = ["null", "7", "1e999", "NaN", "true", "[]", '{"UploadID":"b"}', '[{"UploadID":"c"}]', '"\x01"']
values = st.one_of(st.sampled_from([f'"{each}"' for each in IDS]), st.sampled_from(OTHERS))
BEFORE = ["Payload", "payload", 'x,\\"Payload', "ID", 'x"Payload']
LAST = ["Payload"] * 4 + ["payload", 'x,\\"Payload', "x,\\u0022Payload", "Payload ", 'x,"Payload']
BEHIND = ["}"] * 4 + ["} ", "}}", ',"Payload":"e30="}', ',"payload":""}', ""]
NESTS = ["", "", "", '"Nested":{"a":1,', '"a":"', '"a":"\\"']
spaces = st.sampled_from(["", " ", "\n", "\t", "\f", "\ufeff"])


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Objects with names that are alike, values of all types, and things that are nearly JSON."""
    members = draw(st.lists(st.tuples(st.sampled_from(NAMES), spaces, values), max_size=5))
    if draw(st.booleans()):
        members.insert(0, ("UploadID", "", draw(values)))
    text = "{" + ",".join(f'"{name}":{space}{value}' for name, space, value in members) + "}"
    before, behind = st.sampled_from(["", "", " ", "\ufeff"]), st.sampled_from(["", "", " ", "}", "x", ","])
    text = draw(before) + text + draw(behind)
    data = text.encode()
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Whole messages: of all types, with and without a mark, with payloads that are not base64."""
    kind = f"events.{draw(st.sampled_from(TYPES))}"
    metadata = {"eventtype": kind, "eventid": "e"}
    if draw(st.booleans()):
        metadata["uploadpp"] = draw(st.sampled_from(["start:1:0:1:virusscan", "resume", "?", ""]))
    payload = b64encode(draw(payloads())).decode()
    if draw(st.integers(0, 5)) == 0:
        payload = draw(st.sampled_from([payload[:-1], payload + "\n", "\n" + payload, "%" + payload, ""]))
    others = draw(st.lists(st.sampled_from(BEFORE), max_size=2))
    before = "".join(f'"{name}":"{b64encode(draw(payloads())).decode()}",' for name in others)
    behind, name, nest = (
        draw(st.sampled_from(BEHIND)),
        draw(st.sampled_from(LAST)),
        draw(st.sampled_from(NESTS)),
    )
    told = orjson.dumps(metadata).decode()
    return f'{{{before}"Metadata":{told},{nest}"{name}":{json.dumps(payload)}{behind}'.encode()


def owners(data: bytes, *, by_id: bool) -> tuple[set[int], set[str]]:
    """The shards that act on a message, and what it says to them; all of them where it cannot be read."""
    acting, said = set(), set()
    for shard in SHARDS:
        try:
            event = decode(data, 1, Millis(0), owns=shard.filter if by_id else None)
        except BadMessageError as error:
            said.add(f"{error.defect} {error}")
            continue
        if event is not None and (not event.upload_id or shard.owns(event.upload_id)):
            acting.add(shard.index)
            said.add(repr(event))
    return acting, said


@settings(max_examples=1000)
@given(messages())
@example(
    orjson.dumps(
        {
            "Metadata": {"eventtype": "events.BytesReceived"},
            "Payload": b64encode(b'{"UploadID":"a","uploadid":"b","UploadID":"c"}').decode(),
        }
    )
)
def test_each_message_reaches_the_shards_that_it_would_reach_without(data: bytes) -> None:
    assert owners(data, by_id=True) == owners(data, by_id=False)


def test_a_message_of_another_shard_is_passed_over_by_its_id() -> None:
    """Even one of which the rest is wrong: its owner says so, and it is counted once."""
    payload = b64encode(orjson.dumps({"UploadID": "a", "Filesize": "much"})).decode()
    data = orjson.dumps({"Metadata": {"eventtype": "events.BytesReceived"}, "Payload": payload})
    told = []
    for shard in SHARDS:
        try:
            assert decode(data, 1, Millis(0), owns=shard.filter) is None
        except BadMessageError:
            told.append(shard.index)
    assert told == [shard.index for shard in SHARDS if shard.owns("a")]
