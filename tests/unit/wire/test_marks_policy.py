"""The rule of a policy in our events: versions without policies read them as ever, nobody can forge it."""

import json
from typing import Any

import pytest

from uploadpp.core.commands import Kind, Mark, ResumeStep, StartStep
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published
from uploadpp.core.model import Millis, PolicyRef, StepPlan, Upload
from uploadpp.core.plan_text import Planned
from uploadpp.wire.decode import decode
from uploadpp.wire.encode import encode
from uploadpp.wire.envelope import MARK_KEY, PLAN_KEY, POLICY_KEY
from uploadpp.wire.marks import POLICY_SIGNATURE_KEY, SIGNATURE_KEY, AnyMark, Marks, NoMark, Proofs

NOW = Millis(1_795_000_000_000)
ID = "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"
REF = PolicyRef("default", 3, "videos")
PLAN = (StepPlan(name="virusscan"),)
START = StartStep(Mark(Kind.START, NOW, 1, 1, "virusscan"))
UPLOAD = Upload(id=ID, received_at=NOW, plan=PLAN, policy=REF, priority_class="bulk")
MARKS = Marks([b"k" * 32])


def sent(upload: Upload = UPLOAD, marks: Marks | None = MARKS) -> dict[str, Any]:
    """The envelope of an event of ours."""
    envelope: dict[str, Any] = json.loads(encode(START, ID, upload, NOW, None, marks).body)
    return envelope


def read(envelope: dict[str, Any], proofs: Proofs = MARKS) -> Planned | None:
    """What it tells of the plan."""
    event = decode(json.dumps(envelope).encode(), 100, NOW, proofs)
    assert event is not None
    assert isinstance(event.input, Published)
    return event.input.planned


def test_an_event_tells_the_rule() -> None:
    envelope = sent()
    assert envelope["Metadata"][POLICY_KEY] == "default/3/videos/p=bulk"
    assert read(envelope) == Planned(PLAN, 0, REF, "bulk")
    assert read(sent(marks=None), AnyMark()) == Planned(PLAN, 0, REF, "bulk")


def test_the_names_of_the_keys_are_those_that_other_versions_read() -> None:
    assert (POLICY_KEY, POLICY_SIGNATURE_KEY) == ("uploadpp-policy", "uploadpp-policy-signature")


def test_an_event_without_a_rule_is_what_it_was() -> None:
    bare = sent(evolve(UPLOAD, policy=None))
    assert read(bare) == Planned(PLAN)
    assert not {POLICY_KEY, POLICY_SIGNATURE_KEY} & bare["Metadata"].keys()


def test_a_version_without_policies_reads_the_event_as_ever() -> None:
    """What it looks at is the same, the signature included; it passes over other keys."""
    metadata, bare = (sent(upload)["Metadata"] for upload in (UPLOAD, evolve(UPLOAD, policy=None)))
    assert {key: metadata[key] for key in bare} == bare
    assert metadata.keys() - bare.keys() == {POLICY_KEY, POLICY_SIGNATURE_KEY}
    assert list(metadata)[: len(bare)] == list(bare)


@pytest.mark.parametrize(
    "change",
    [
        {POLICY_KEY: "default/3/other/p=bulk"},
        {POLICY_KEY: ""},
        {POLICY_SIGNATURE_KEY: "0" * 32},
        {POLICY_SIGNATURE_KEY: ""},
        {POLICY_SIGNATURE_KEY: sent()["Metadata"][SIGNATURE_KEY]},
    ],
)
def test_a_rule_that_we_have_not_signed_is_left_out(change: dict[str, str]) -> None:
    envelope = sent()
    envelope["Metadata"] |= change
    assert read(envelope) == Planned(PLAN)


def test_a_rule_without_its_signature_is_left_out() -> None:
    envelope = sent()
    del envelope["Metadata"][POLICY_SIGNATURE_KEY]
    assert read(envelope) == Planned(PLAN)


def test_the_rule_of_another_event_is_left_out() -> None:
    envelope, other = sent(), sent(evolve(UPLOAD, plan=()))
    for key in (POLICY_KEY, POLICY_SIGNATURE_KEY):
        envelope["Metadata"][key] = other["Metadata"][key]
    assert read(envelope) == Planned(PLAN)


def test_a_rule_that_a_later_version_writes_is_left_out() -> None:
    envelope = sent()
    metadata = envelope["Metadata"]
    metadata[POLICY_KEY] = "of another form"
    signed = (metadata[MARK_KEY], metadata[PLAN_KEY], metadata[POLICY_KEY])
    metadata[POLICY_SIGNATURE_KEY] = MARKS.sign("events.StartPostprocessingStep", ID, *signed)
    assert read(envelope) == Planned(PLAN)


def test_a_plan_that_nobody_can_read_has_no_rule() -> None:
    envelope = sent()
    envelope["Metadata"][PLAN_KEY] = "virusscan/z=1"
    assert read(envelope, AnyMark()) is None


def test_a_request_for_all_uploads_in_a_step_tells_no_rule() -> None:
    resume = ResumeStep(Mark(Kind.RESUME, NOW, 1, 1, "t", "t"), "virusscan")
    metadata = json.loads(encode(resume, ID, UPLOAD, NOW, None, MARKS).body)["Metadata"]
    assert not {PLAN_KEY, POLICY_KEY, POLICY_SIGNATURE_KEY} & metadata.keys()


def test_who_believes_no_mark_believes_no_signature() -> None:
    assert not NoMark().proves("anything")
    assert AnyMark().proves("anything")
