"""Every state of an upload has advice."""

import pytest

from kubectl_pp.hints import hints
from kubectl_pp.ui.rows import ATTENTION, Row
from kubectl_pp.upload import Upload, stage_icon
from kubectl_pp.words import silence
from uploadpp.core.states import Outcome, Stage


@pytest.mark.parametrize("outcome", [*Outcome, None])
@pytest.mark.parametrize("stuck", [True, False])
@pytest.mark.parametrize("stage", [*Stage, "FromTheFuture"])
def test_every_state_has_advice_and_an_icon(stage: str, *, stuck: bool, outcome: str | None) -> None:
    conditions = [{"type": "Succeeded", "reason": stage, "status": "Unknown"}]
    conditions += [{"type": "Stalled", "status": "True"}] * stuck
    steps = [{"name": "a", "state": "Running"}, {"name": "b"}]
    status = {"conditions": conditions, "currentStep": "a", "steps": steps, "outcome": outcome or ""}
    upload = Upload({"metadata": {"name": "n"}, "spec": {"upload": {"id": "n"}}, "status": status})
    found = hints(upload, 100.0)
    assert found or stage == "FromTheFuture"
    assert all(hint.text.endswith((".", "?", ":", ")")) for hint in found)
    assert all(hint.text.endswith((":", "?")) for hint in found if hint.command)
    if outcome == Outcome.ABORT and stage == Stage.AWAITING_READY:
        assert not any("resume" in hint.command for hint in found)
    assert stage_icon(stage, stuck=stuck)
    for hint in found:
        assert ("ocis" in hint.text) == ("opencloud" in hint.text), "people run one or the other"
        assert ("OCIS_" in hint.text) == ("OC_" in hint.text)


@pytest.mark.parametrize(
    ("outcome", "risk"), [("abort", "If a new run is aborted as well"), ("", "The storage was not told.")]
)
def test_what_a_new_run_of_a_cancelled_upload_risks(outcome: str, risk: str) -> None:
    conditions = [{"type": "Succeeded", "reason": Stage.CANCELLED, "status": "False"}]
    status = {"conditions": conditions, "outcome": outcome}
    upload = Upload({"metadata": {"name": "n"}, "spec": {"upload": {"id": "n"}}, "status": status})
    found = hints(upload, 100.0)[-1]
    assert risk in found.text
    assert found.command == "restart n --force"


@pytest.mark.parametrize(("stage", "state"), [(Stage.RUNNING, "Running"), (Stage.QUEUED, "Waiting")])
def test_an_upload_without_a_service_says_so_everywhere(stage: Stage, state: str) -> None:
    conditions = [
        {"type": "Unserved", "reason": "NoService", "status": "True", "message": "no service listens"},
        {"type": "Succeeded", "reason": stage, "status": "Unknown", "message": "waiting"},
    ]

    def with_conditions(*found: dict[str, str]) -> Upload:
        steps = [{"name": "a", "state": state}]
        status = {"conditions": [*found], "currentStep": "a", "steps": steps}
        return Upload({"metadata": {"name": "n"}, "spec": {"upload": {"id": "n"}}, "status": status})

    upload = with_conditions(*conditions)
    assert (upload.stage, upload.status_word, upload.message) == (stage, "NoService", "no service listens")
    assert upload.stuck
    assert silence(upload) == "no service"
    assert Row(upload, 1).rank(0.0, frozenset()) == ATTENTION
    assert "Start the service of step a" in hints(upload, 0.0)[0].text
    upload = with_conditions(*conditions[1:])
    assert (upload.status_word, upload.message, silence(upload)) == (stage, "waiting", "")
    assert not upload.stuck
