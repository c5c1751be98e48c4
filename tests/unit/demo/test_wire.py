"""The demo's own reading of the event contract, its signed URLs, its rule and its scanner's replies."""

import base64
import json
from pathlib import Path

import pytest

from e2e.demo.signing import Signer, TokenError
from e2e.demo.steps.policies import allowed
from e2e.demo.steps.scanners import ScanError, StandIn, eicar, verdict
from e2e.demo.wire import decode, encode, go_json
from e2e.paths import REPO


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


def test_token_names_its_target_until_it_expires() -> None:
    signer = Signer()
    assert signer.target(signer.sign("http://x/tus/a", 60)) == "http://x/tus/a"
    with pytest.raises(TokenError, match="expired"):
        signer.target(signer.sign("http://x/tus/a", -3600))


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.b.\u00e9"])
def test_token_of_somebody_else_is_refused(token: str) -> None:
    with pytest.raises(TokenError, match="signature"):
        Signer().target(token)
    with pytest.raises(TokenError, match="signature"):
        Signer().target(Signer().sign("http://x/tus/a", 60))


def test_renewed_url_is_a_new_one() -> None:
    signer = Signer()
    assert signer.sign("t", 60) != signer.sign("t", 60)


def test_policy_looks_at_name_and_size() -> None:
    assert allowed({"Filename": "report.pdf", "Filesize": 1})
    assert not allowed({"Filename": "Setup.EXE", "Filesize": 1})
    assert not allowed({"Filename": "backup.tar", "Filesize": 2 << 30})


def test_only_ok_is_clean() -> None:
    assert verdict("stream: OK") == ""
    assert verdict("stream: Eicar-Test-Signature FOUND") == "Eicar-Test-Signature"
    for reply in ("", "stream: ERROR", "INSTREAM size limit exceeded. ERROR", "UNKNOWN COMMAND", "stream: "):
        with pytest.raises(ScanError):
            verdict(reply)


def test_the_stand_in_says_what_it_is() -> None:
    assert "NOT a virus scanner" in StandIn.name


def test_virus_scanners_leave_the_repository_alone() -> None:
    folders = (REPO / name for name in ("e2e", "tests", "operator", "docs"))
    sources = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in sources if eicar() in path.read_bytes()]
    assert eicar() not in Path(REPO / "README.md").read_bytes()
