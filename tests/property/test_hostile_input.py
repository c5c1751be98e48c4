"""Resources in which anything may stand: no exception, and no release before the steps have answered (S9c).

What the operator has written itself is changed at any place into anything that JSON can hold. The API server
checks types and limits of a spec by the CRD, but an older CRD, a restored backup or a tool with more rights
may leave what no schema would take.
"""

import asyncio
import copy
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.resources.test_event_handler import Side, resource
from uploadpp.api.codec import ALL_SHOWN, to_resource, to_status
from uploadpp.core.inputs import CleanUpload, StepFinished, UploadReady
from uploadpp.core.states import OnExhausted, Outcome, StepState
from uploadpp.telemetry.metrics import UNEXPECTED
from uploadpp.testing.builders import ARRIVAL, after
from uploadpp.testing.events import message
from uploadpp.testing.pipelines import CONFIG, NOW
from uploadpp.wire.decode import MAX_ID
from uploadpp.wire.envelope import decode_envelope
from uploadpp.wire.stream_message import StreamMessage

VICTIM, GOOD = "victim", "good"
LIVES = (
    (),
    (StepFinished("a", "continue"),),
    (StepFinished("a", "retry"),),
    (StepFinished("a", "abort", "bad"),),
    (StepFinished("a", "continue"), StepFinished("b", "continue")),
    (StepFinished("a", "continue"), StepFinished("b", "continue"), UploadReady(failed=False)),
    (StepFinished("a", "continue"), StepFinished("b", "continue"), UploadReady(failed=True)),
    (CleanUpload(),),
)
OVER = {StepState.SUCCEEDED, StepState.SKIPPED}
WORDS = (
    "", "a", "b", "finished", "delay", "Succeeded", "Stalled", "Running", "Held", "Pending", "Suspended",
    "Cancelled", "Delete", "Abort", "continue", "retry", "Waiting", "BackingOff", "Restart", "ResumeStep",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "0000-00-00T00:00:00Z", "2026-02-30T25:61:61Z",
    "2026-11-18T11:06:10", "+292277026596-12-04T15:30:08Z", "2026-11-18T11:06:10.1234567890123Z",
    "2026-11-18T11:06:1\u0660Z", "../../secrets/x", "x" * 5000, "\x00", "\u202e", "🙂", "\ufffd", "NaN",
)  # fmt: skip
NUMBERS = (-1, 0, 1, 2, 31, 2**31 - 1, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, 0.5, 1e308, -0.0)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(WORDS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(("name", "type", "reason", "id", "", "state")), inner, max_size=4),
    ),
    max_leaves=6,
)
LEFT_OUT = object()


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 -- any JSON
    """Every place in a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        found += paths(inner, (*path, name))
    return found


def driven(name: str, life: tuple[Any, ...]) -> dict[str, Any]:
    upload = after(ARRIVAL, *life, upload_id=name, config=CONFIG)
    made = to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="gAAAA")
    made["metadata"] |= resource(name)["metadata"]
    made["spec"]["restart"] = {"token": "t", "mode": "Restart", "fromStep": ""}
    return {**made, "status": {**to_status(upload), "observedToken": "t", "restarts": 1}}


DRIVEN = [driven(VICTIM, life) for life in LIVES]


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(DRIVEN)))
    for _ in range(draw(st.integers(1, 4))):
        places = paths({key: found[key] for key in ("spec", "status", "metadata") if key in found})
        if not places:
            break
        path = draw(st.sampled_from(places))
        value = draw(st.one_of(st.just(LEFT_OUT), ANYTHING))
        parent: Any = found
        for name in path[:-1]:
            parent = parent[name]
        if value is LEFT_OUT:
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
    for name in ("name", "uid", "resourceVersion"):  # what `kube.responses` and etcd see to
        meta = found.get("metadata")
        found["metadata"] = meta = meta if isinstance(meta, dict) else {}
        if not isinstance(meta.get(name), str) or not meta[name]:
            meta[name] = DRIVEN[0]["metadata"][name]
    return orjson.loads(orjson.dumps(found))  # type: ignore[no-any-return]


def released(side: Side) -> set[str]:
    """Who was released by what went out."""
    found = set()
    for each in side.outbox.sent:
        envelope = decode_envelope(each.body)
        payload = orjson.loads(envelope.payload_text())
        if envelope.event_type == "events.PostprocessingFinished" and payload["Outcome"] == Outcome.CONTINUE:
            found.add(payload["UploadID"])
    return found


def told_before(found: dict[str, Any]) -> bool:
    """Whether the status itself says that the storage was told to release the file."""
    status = found.get("status")
    return isinstance(status, dict) and status.get("outcome") == Outcome.CONTINUE


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(listed=changed(), seen=changed(), answers=st.lists(st.sampled_from(("a", "b", "x")), max_size=2))
def test_s9_whatever_a_resource_holds_the_others_go_on(
    listed: dict[str, Any], seen: dict[str, Any], answers: list[str]
) -> None:
    asyncio.run(_go_on(listed, seen, answers))  # what is gone is looked for by the clock of a loop


async def _go_on(listed: dict[str, Any], seen: dict[str, Any], answers: list[str]) -> None:
    side = Side()
    for found in (listed, driven(GOOD, ())):
        side.inputs.listed(found)
    side.applier.act()
    side.inputs.reconcile_all()
    for each in list(side.uploads.in_memory):
        side.applier.on_tick(each)
    seen["metadata"]["generation"] = 7
    side.inputs.seen(seen)
    for number, name in enumerate(answers):
        for whose in (VICTIM, GOOD):
            body = {"UploadID": whose, "FinishedStep": name, "Outcome": "continue"}
            raw = StreamMessage(
                1000 + number, NOW, number, 0, message("PostprocessingStepFinished", orjson.dumps(body))
            )
            side.router.on_message(raw)
    told = told_before(listed) or told_before(seen)
    for each in list(side.uploads.in_memory):
        upload = each.upload
        assert len(orjson.dumps(to_status(upload))) < 1_000_000
        over = all(step.state in OVER for step in upload.steps)
        lenient = any(plan.on_exhausted is not OnExhausted.ABORT for plan in upload.plan)
        assert upload.id not in released(side) or over or lenient or told, upload
    assert side.owner(GOOD) == GOOD
    side.inputs.deleted(listed)
    side.inputs.deleted(seen)
    assert side.owner(GOOD) == GOOD
    metrics = side.bench.metrics
    assert metrics.registry.get_sample_value("uploadpp_upload_faults_total") == 0, (
        "an exception, though caught"
    )
    assert metrics.registry.get_sample_value("uploadpp_bad_messages_total", {"defect": UNEXPECTED}) == 0


EVENTS: dict[str, dict[str, Any]] = {
    "BytesReceived": {
        "UploadID": VICTIM,
        "ExecutingUser": {"id": {"opaque_id": "mary"}},
        "ResourceID": {"space_id": "s", "opaque_id": "o", "storage_id": "t"},
        "Filename": "plan.pdf",
        "Filesize": 7,
        "URL": "https://storage.test/data/x.eyJleHAiOjF9.y",
        "ImpersonatingUser": None,
        "SpaceOwner": {"a": 1},
    },
    "PostprocessingStepFinished": {
        "UploadID": VICTIM,
        "FinishedStep": "a",
        "Outcome": "continue",
        "Error": None,
        "Result": {
            "Infected": True,
            "Description": "EICAR",
            "Scandate": "2026-01-01T00:00:00Z",
            "ErrorMsg": "",
        },
    },
    "UploadReady": {"UploadID": VICTIM, "Failed": True},
    "ResumePostprocessing": {"UploadID": VICTIM, "Step": "a"},
    "CleanUpload": {"UploadID": VICTIM},
    "StartPostprocessingStep": {"UploadID": VICTIM, "StepToStart": "b"},
    "PostprocessingFinished": {"UploadID": VICTIM, "Outcome": "delete"},
    "PostprocessingRetry": {"UploadID": VICTIM, "Failures": 3, "BackoffDuration": 5},
}
MARKS = (
    "",
    "start:1:1:1:a",
    "start:::policies",
    "finish:1:1:1:continue",
    "resume:x",
    "x" * 9000,
    "\x00",
    ":::::",
)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(sorted(EVENTS)))
    payload = copy.deepcopy(EVENTS[kind])
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(paths(payload) or [("UploadID",)]))
        parent: Any = payload
        for name in path[:-1]:
            parent = parent[name]
        parent[path[-1]] = draw(ANYTHING)
    metadata = draw(
        st.dictionaries(
            st.sampled_from(
                ("uploadpp", "uploadpp-plan", "uploadpp-sig", "traceparent", "initiatorid", "eventid")
            ),
            st.one_of(st.sampled_from((*WORDS, *MARKS)), ANYTHING),
            max_size=3,
        )
    )
    return message(kind, orjson.dumps(payload), **metadata)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(events(), min_size=1, max_size=6))
def test_s1_whatever_messages_hold_the_others_go_on(messages: list[bytes]) -> None:
    side = Side()
    side.applier.act()
    good = EVENTS["BytesReceived"] | {"UploadID": GOOD}
    for number, data in enumerate((*messages, message("BytesReceived", orjson.dumps(good)), *messages)):
        side.router.on_message(StreamMessage(1000 + number, NOW, number, 0, data))
        for each in list(side.uploads.in_memory):
            side.applier.on_tick(each)
    for each in list(side.uploads.in_memory):
        made = to_resource(each.upload, namespace="ocis", shown=ALL_SHOWN, sealed="gAAAA")
        assert orjson.dumps([made, to_status(each.upload)])
        assert len(each.upload.id) <= MAX_ID
    assert side.owner(GOOD) == GOOD
    metrics = side.bench.metrics
    assert metrics.registry.get_sample_value("uploadpp_upload_faults_total") == 0, (
        "an exception, though caught"
    )
    assert metrics.registry.get_sample_value("uploadpp_bad_messages_total", {"defect": UNEXPECTED}) == 0
