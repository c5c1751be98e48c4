"""What a step reads and writes, against what the services in Go really put on the stream."""

import json
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from uploadpp.core.inputs import StepFinished
from uploadpp.core.model import Millis
from uploadpp.steps.answer import encode_answer, failure, fit
from uploadpp.steps.start import Start, decode_start
from uploadpp.steps.verdict import Abort, Continue, Delete, Retry, Verdict, VirusscanResult
from uploadpp.testing.events import UPLOAD, message
from uploadpp.wire.decode import decode
from uploadpp.wire.envelope import BadMessageError
from uploadpp.wire.rawjson import raw_members

SAMPLES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "wire-samples.jsonl").read_text().splitlines()
]
START, INFECTED, RETRY, POLICIES = SAMPLES[2:6]
NOW = Millis(1_790_930_131_005)
SCANNED = datetime(2026, 10, 2, 8, 15, 31, 500_000, UTC)
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl"


def start(step: str = "virusscan", **members: Any) -> Start:  # noqa: ANN401 -- members of the event
    payload = json.loads(START["payload"]) | {"StepToStart": step} | members
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
    found = decode_start(message("StartPostprocessingStep", text, initiatorid="web-1"), step, 7)
    assert found is not None
    return found


def answer(of: Start, verdict: Verdict) -> tuple[dict[str, Any], str]:
    """Envelope and payload text."""
    envelope = json.loads(encode_answer(of, verdict, NOW).body)
    return envelope, b64decode(envelope["Payload"]).decode()


def test_the_golden_start_is_read() -> None:
    found = decode_start(START["envelope"].encode(), "virusscan", 1)
    assert found is not None
    assert (found.upload_id, found.filename, found.size) == (UPLOAD, "plan.pdf", 48213)
    assert found.url.endswith(TOKEN)
    assert found.user["username"] == "einstein"
    assert found.resource["space_id"] == "4c510ada-c86b-4815-8820-42cdf82c3d51"
    assert found.metadata["initiatorid"] == "web-41c2"
    assert decode_start(START["envelope"].encode(), "policies", 1) is None


@pytest.mark.parametrize("sample", [each for each in SAMPLES if each is not START])
def test_every_other_event_is_somebody_elses(sample: dict[str, str]) -> None:
    assert decode_start(sample["envelope"].encode(), "virusscan", 1) is None


def test_the_golden_answer_of_an_infected_file() -> None:
    result = VirusscanResult(infected=True, description="Eicar-Test-Signature", scanned_at=SCANNED)
    _, payload = answer(start(), Delete("found", result=result))
    assert payload.replace('31.500000Z"', '31.5Z"') == INFECTED["payload"]


def test_the_golden_answer_of_a_failed_scan() -> None:
    result = VirusscanResult(error="dial tcp: connection refused", scanned_at=SCANNED)
    _, payload = answer(start(ResourceID=None), Retry("refused", result=result))
    assert payload.replace('31.500000Z"', '31.5Z"') == RETRY["payload"]


def test_the_golden_answer_of_policies_but_for_the_time() -> None:
    _, payload = answer(start("policies"), Continue())
    golden = POLICIES["payload"].rpartition('"Timestamp":')[0] + '"Timestamp":null}'
    assert payload == golden


def test_what_is_repeated_is_the_very_text() -> None:
    """Numbers, escapes and members that only newer services know."""
    text = (
        '{"UploadID":"u","StepToStart":"s","ExecutingUser":{"tenant_id":"\\u003ct\\u003e","n":1.50e3},'
        '"Filename":"a\\u0026b","ResourceID":{"space_id": "s"}}'
    )
    found = decode_start(message("StartPostprocessingStep", text), "s", 1)
    assert found is not None
    assert found.filename == "a&b"
    _, payload = answer(found, Continue())
    members = raw_members(payload)
    assert members["executinguser"][0] == '{"tenant_id":"\\u003ct\\u003e","n":1.50e3}'
    assert members["filename"][0] == '"a\\u0026b"'


def test_the_metadata_goes_on_and_the_id_is_the_same_every_time() -> None:
    context = {"traceparent": f"00-{'4b' * 16}-{'0f' * 8}-01", "initiatorid": "w", "extrainfo": "{}"}
    text = '{"UploadID":"u","StepToStart":"s"}'

    def envelope(event_id: str) -> dict[str, Any]:
        data = message(
            "StartPostprocessingStep", text, **context, eventid=event_id, uploadpp="start:1:1:1::s"
        )
        found = decode_start(data, "s", 1)
        assert found is not None
        return answer(found, Continue())[0]

    first, again, other = envelope("e-1"), envelope("e-1"), envelope("e-2")
    event_id = first["Metadata"]["eventid"]
    assert first["Metadata"] == {
        "eventtype": "events.PostprocessingStepFinished",
        "eventid": event_id,
        **context,
    }
    assert again["Metadata"]["eventid"] == event_id != other["Metadata"]["eventid"]
    assert again == first | {"Timestamp": again["Timestamp"]}


def test_a_start_without_an_id_is_known_by_its_place() -> None:
    data = message("StartPostprocessingStep", '{"UploadID":"u","StepToStart":"s"}', eventid="")
    one, again, two = (decode_start(data, "s", sequence) for sequence in (1, 1, 2))
    assert one is not None
    assert again is not None
    assert two is not None
    assert one.answer_id == again.answer_id != two.answer_id


@pytest.mark.parametrize(
    ("step", "verdict", "message_shown"),
    [
        ("policies", Delete("programs are not wanted"), "programs are not wanted"),
        ("mine", Abort("x", result={"pages": 3}), "x"),
        ("virusscan", Retry("no scanner"), "no scanner"),
        ("virusscan", Continue(result=VirusscanResult()), ""),
        ("virusscan", Continue("fine", result=VirusscanResult()), ""),
        ("virusscan", Delete("d", result=VirusscanResult(infected=True, description="Eicar")), "Eicar"),
        ("virusscan", Continue("not scanned"), "not scanned"),
        ("mine", Continue(), ""),
    ],
)
def test_the_operator_understands_every_answer(step: str, verdict: Verdict, message_shown: str) -> None:
    event = decode(encode_answer(start(step), verdict, NOW).body, 1, NOW)
    assert event is not None
    assert event.upload_id == UPLOAD
    scanned = isinstance(verdict.result, VirusscanResult)
    assert event.input == StepFinished(step, verdict.outcome, message_shown, scanned=scanned)


def test_what_was_not_scanned_has_no_time_and_an_error() -> None:
    """So the storage does not remember it as clean."""
    _, payload = answer(start(), Continue("not scanned"))
    result = json.loads(payload)["Result"]
    assert result["Scandate"] == "0001-01-01T00:00:00Z"
    assert result["ErrorMsg"] == "not scanned"


@pytest.mark.parametrize(
    "text", [f"GET https://localhost:9200/data/{TOKEN} failed", f"/data/{TOKEN}", f"token={TOKEN}"]
)
def test_no_secret_gets_into_an_answer(text: str) -> None:
    for verdict in (
        Retry(text),
        failure(RuntimeError(text), start()),
        Retry(result=VirusscanResult(error=text)),
    ):
        _, payload = answer(start(), verdict)
        assert "c2lnbmF0dXJl" not in payload
        assert "eyJ" not in payload


def test_a_plain_url_without_a_token_is_hidden_too() -> None:
    of = start(URL="https://storage.test/data/0123456789abcdef0123")
    _, payload = answer(of, Retry("at /data/0123456789abcdef0123"))
    assert "0123456789abcdef" not in payload


@pytest.mark.parametrize("nonsense", [None, "continue", True, 0, Continue])
def test_what_is_no_verdict_becomes_a_retry(nonsense: object) -> None:
    verdict = fit(nonsense, "mine")
    assert isinstance(verdict, Retry)
    assert "instead of a verdict" in verdict.message


def test_a_virusscan_with_another_result_becomes_a_retry() -> None:
    assert isinstance(fit(Continue(result={"a": 1}), "virusscan"), Retry)
    assert isinstance(fit(Continue(result={"a": 1}), "mine"), Continue)


@pytest.mark.parametrize(
    "members", [{"Filename": 7}, {"Filesize": "8"}, {"Filesize": -1}, {"URL": []}, {"ExecutingUser": "mary"}]
)
def test_a_start_that_cannot_be_understood(members: dict[str, Any]) -> None:
    payload = json.dumps({"UploadID": "u", "StepToStart": "s", **members})
    with pytest.raises(BadMessageError):
        decode_start(message("StartPostprocessingStep", payload), "s", 1)
    assert decode_start(message("StartPostprocessingStep", payload), "another", 1) is None


def test_s6_ids_of_a_megabyte_are_not_remembered() -> None:
    """The ids of thousands of answered starts are; one start is still told from another."""
    payload = json.dumps({"UploadID": "u", "StepToStart": "mine"})
    found = [
        decode_start(message("StartPostprocessingStep", payload, eventid="e" * 700_000 + end), "mine", 7)
        for end in ("1", "2", "2")
    ]
    ids = [each.event_id for each in found if each is not None]
    assert len(ids[0]) < 100
    assert ids[0] != ids[1] == ids[2]


def test_s6_an_upload_that_the_operator_cannot_know_is_not_worked_on() -> None:
    payload = json.dumps({"UploadID": "u" * 129, "StepToStart": "mine"})
    with pytest.raises(BadMessageError, match="UploadID must have 1 to 128 characters"):
        decode_start(message("StartPostprocessingStep", payload), "mine", 7)
