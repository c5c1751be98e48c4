"""Marks: what we have signed is ours, and nothing else is."""

import json
import logging
from typing import Any

import pytest

from uploadpp.core.commands import Command, Finish, Kind, Mark, ResumeStep, StartStep
from uploadpp.core.inputs import Published, Resume
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.core.plan_text import Planned
from uploadpp.core.states import Outcome
from uploadpp.wire.decode import decode
from uploadpp.wire.encode import encode
from uploadpp.wire.envelope import MARK_KEY, PLAN_KEY
from uploadpp.wire.marks import SIGNATURE_KEY, Marks, Unproven

NOW = Millis(1_795_000_000_000)
UPLOAD = "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"
OTHER = "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d12"
PLAN = (StepPlan(name="policies"), StepPlan(name="virusscan", timeout=Millis(300_000)))
KEY, NEW, FOREIGN = b"k" * 32, b"n" * 32, b"f" * 32
START = StartStep(Mark(Kind.START, NOW, 1, 1, "virusscan"))
RELEASE = Finish(Mark(Kind.FINISH, NOW, 1, 1, "continue"), Outcome.CONTINUE)


def sent(command: Command, marks: Marks | None) -> dict[str, Any]:
    """The envelope of an event of ours."""
    upload = Upload(id=UPLOAD, received_at=NOW, plan=PLAN)
    envelope: dict[str, Any] = json.loads(encode(command, UPLOAD, upload, NOW, None, marks).body)
    return envelope


def read(envelope: dict[str, Any], marks: Marks, sequence: int = 100) -> object:
    """What an owner takes it for."""
    event = decode(json.dumps(envelope).encode(), sequence, NOW, marks)
    return None if event is None else event.input


def is_ours(envelope: dict[str, Any], marks: Marks, sequence: int = 100) -> bool:
    """Whether it counts as an event of ours; else it is what such an event is from another service."""
    return isinstance(read(envelope, marks, sequence), Published)


@pytest.mark.parametrize("command", [START, RELEASE])
def test_what_we_have_signed_is_ours(command: StartStep | Finish) -> None:
    found = read(sent(command, Marks([KEY])), Marks([KEY]))
    assert found == Published(command.mark, 100, Planned(PLAN))


def test_another_metadata_key_is_all_it_takes() -> None:
    """What earlier versions read is where it was: one can go back to them."""
    metadata = sent(START, Marks([KEY]))["Metadata"]
    assert Mark.decode(metadata[MARK_KEY]) == START.mark
    assert metadata[PLAN_KEY] == "policies virusscan/t=300"
    assert len(metadata[SIGNATURE_KEY]) == 32


CHANGES: dict[str, dict[str, str]] = {
    "another step": {MARK_KEY: f"start:{NOW}:1:1::policies"},
    "another kind": {MARK_KEY: f"finish:{NOW}:1:1::continue"},
    "another run": {MARK_KEY: f"start:{NOW}:2:1::virusscan"},
    "another arrival": {MARK_KEY: f"start:{NOW + 1}:1:1::virusscan"},
    "a token": {MARK_KEY: f"start:{NOW}:1:1:t:virusscan"},
    "another plan": {PLAN_KEY: "virusscan"},
    "no steps": {PLAN_KEY: ""},
    "a setting": {PLAN_KEY: "policies virusscan"},
    "steps left out": {PLAN_KEY: "1@policies virusscan/t=300"},
    "another type": {"eventtype": "events.PostprocessingFinished"},
    "another signature": {SIGNATURE_KEY: "0" * 32},
    "an empty signature": {SIGNATURE_KEY: ""},
    "a signature that is not text": {SIGNATURE_KEY: "\ud800ü"},
    "a longer signature": {SIGNATURE_KEY: "0" * 100_000},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_is_changed_makes_it_foreign(change: dict[str, str]) -> None:
    envelope = sent(START, Marks([KEY]))
    envelope["Metadata"] |= change
    assert not is_ours(envelope, Marks([KEY]))


def test_the_mark_of_one_upload_is_none_of_another() -> None:
    envelope = sent(START, Marks([KEY]))
    envelope["Payload"] = json.loads(encode(START, OTHER, None, NOW).body)["Payload"]
    assert not is_ours(envelope, Marks([KEY]))


def test_texts_are_not_run_together() -> None:
    marks = Marks([KEY])
    assert marks.sign("ab", "c") != marks.sign("a", "bc")


def test_a_forged_event_is_what_anybody_may_say() -> None:
    """A Resume is for everybody to send; that a request was carried out only we can say."""
    request = ResumeStep(Mark(Kind.RESUME, NOW, 1, 1, "t1", "t1"), "virusscan")
    assert read(sent(request, Marks([KEY])), Marks([KEY])) == Resume("virusscan", "t1")
    assert read(sent(request, Marks([FOREIGN])), Marks([KEY])) == Resume("virusscan", "")
    other = sent(ResumeStep(request.mark, "policies"), Marks([FOREIGN]))
    other["Metadata"][SIGNATURE_KEY] = sent(request, Marks([KEY]))["Metadata"][SIGNATURE_KEY]
    assert read(other, Marks([KEY])) == Resume("policies", "")


def test_keys_rotate() -> None:
    old, both, new = Marks([KEY]), Marks([NEW, KEY]), Marks([NEW])
    assert is_ours(sent(START, old), both)
    assert is_ours(sent(START, both), new)
    assert not is_ours(sent(START, both), old)


def test_a_key_is_needed() -> None:
    with pytest.raises(ValueError, match="no key"):
        Marks([])


def test_the_key_is_not_the_sealing_key() -> None:
    sealing = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
    assert (
        Marks.of([sealing]).sign("a") == Marks([b"k" * 32]).sign("a") != Marks([sealing.encode()]).sign("a")
    )


@pytest.mark.parametrize(("sequence", "ours"), [(99, True), (100, True), (101, False)])
def test_without_a_signature_it_is_ours_only_from_before_the_upgrade(sequence: int, *, ours: bool) -> None:
    reader = Marks([KEY]).reading(100, lambda _: None)
    assert is_ours(sent(START, None), reader, sequence) is ours


def test_nothing_is_from_before_unless_somebody_says_so() -> None:
    assert not is_ours(sent(START, None), Marks([KEY]), 1)


def test_a_wrong_signature_is_none_even_from_before_the_upgrade() -> None:
    assert not is_ours(sent(START, Marks([FOREIGN])), Marks([KEY]).reading(100, lambda _: None), 1)


def test_foreign_ones_are_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[Unproven] = []
    reader = Marks([KEY]).reading(0, counted.append)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            read(sent(START, None), reader)
        read(sent(START, Marks([FOREIGN])), reader)
    assert counted == [*[Unproven.UNSIGNED] * 3, Unproven.UNKNOWN_SIGNATURE]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "another sealing key" in caplog.text
