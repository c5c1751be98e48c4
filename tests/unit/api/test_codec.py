import re
from dataclasses import replace
from typing import Any

import orjson
import pytest

from uploadpp.api.codec import (
    ALL_SHOWN,
    InvalidResourceError,
    ShownField,
    control_of,
    from_resource,
    shown_unserved,
    to_resource,
    to_spec,
    to_status,
)
from uploadpp.core.conditions import Unserved
from uploadpp.core.config import Config
from uploadpp.core.inputs import BytesReceived, SpecChanged, Tick
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, FileInfo, Millis, Origin, RestartRequest, StepPlan, Upload
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.sharding import BUCKET_LABEL, bucket_of
from uploadpp.core.states import DesiredState, OnExhausted, RequiredResult, RestartMode, Stage
from uploadpp.testing.builders import ARRIVAL, CONFIG, NOW, PASSED, UPLOAD_ID, after


def resource(upload: Upload, **status: object) -> dict[str, Any]:
    made = to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="")
    return {**made, "status": {**to_status(upload), **status}}


def by_hand(**spec: object) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": "2026-11-18T11:06:40Z", "generation": 1},
        "spec": {"upload": {"id": UPLOAD_ID}, **spec},
    }


def test_a_new_resource_has_a_name_labels_and_no_status() -> None:
    made = to_resource(after(ARRIVAL), namespace="ocis", shown=ALL_SHOWN, sealed="gAAAA")
    assert made["metadata"] == {
        "name": UPLOAD_ID,
        "namespace": "ocis",
        "labels": {
            "app.kubernetes.io/name": "upload-postprocessing",
            "app.kubernetes.io/managed-by": "uploadpp",
            BUCKET_LABEL: f"{bucket_of(UPLOAD_ID):02d}",
        },
    }
    assert made["spec"]["sealed"] == "gAAAA"
    assert made["spec"]["upload"]["receivedTime"] == "2026-11-18T11:06:40.123Z"
    assert "status" not in made


def test_only_what_is_configured_is_shown() -> None:
    shown = frozenset({ShownField.FILESIZE, ShownField.SPACE_ID})
    upload = to_spec(after(ARRIVAL), shown=shown, sealed="")["upload"]
    assert upload.keys() == {"id", "receivedTime", "filesize", "spaceID"}


def test_what_is_too_large_to_show_is_cut() -> None:
    huge = FileInfo(filename="ä" * 5000, filesize=2**64 - 1, user_id="u" * 300)
    upload = to_spec(after(BytesReceived(Origin(), huge)), shown=ALL_SHOWN, sealed="")["upload"]
    assert upload["filesize"] == 2**63 - 1
    assert len(upload["filename"]) == 1024
    assert len(upload["userID"]) == 256


def test_the_status_of_a_passed_upload_is_small() -> None:
    sizes = [len(orjson.dumps(to_status(after(*PASSED[:n])))) for n in (1, 2, 3, 4)]
    assert max(sizes) <= 1.2 * 1024, sizes


def test_a_plan_with_common_values_writes_them_once() -> None:
    lenient = {"max_retries": 3, "stall_after": Millis(60_000), "on_exhausted": OnExhausted.HOLD}
    plan = (
        StepPlan(name="virusscan", timeout=Millis(90_000), **lenient),  # type: ignore[arg-type]
        StepPlan(name="delay", delay=Millis(1_500), backoff=Millis(1_000), **lenient),  # type: ignore[arg-type]
    )
    spec = to_spec(Upload(id=UPLOAD_ID, received_at=NOW, plan=plan), shown=ALL_SHOWN, sealed="")
    assert spec["retryPolicy"] == {"maxRetries": 3, "onExhausted": "Hold"}
    assert spec["stallAfterSeconds"] == 60
    assert spec["steps"] == [
        {"name": "virusscan", "timeoutSeconds": 90},
        {"name": "delay", "delaySeconds": 2, "backoffSeconds": 1},
    ]


def test_a_resource_made_by_hand_is_pending_with_the_configured_steps() -> None:
    upload = from_resource(by_hand(), CONFIG, Origin())
    assert upload.stage is Stage.PENDING
    assert upload.plan == CONFIG.steps
    assert upload.received_at == upload.since == 1_795_000_000_000


def test_steps_that_the_spec_does_not_list_are_kept_in_the_status() -> None:
    """Made by hand, the upload began by what was configured: that does not change any more."""
    strict = Config(steps=(replace(CONFIG.steps[0], require_result=RequiredResult.SCAN), *CONFIG.steps[1:]))
    made = by_hand()
    pending = from_resource(made, strict, Origin())
    begun = decide(pending, UPLOAD_ID, SpecChanged(pending.control), NOW, strict).upload
    assert begun is not None
    stored = {**made, "status": to_status(begun)}
    for later in (strict, CONFIG, Config(steps=(StepPlan(name="other"),)), Config()):
        assert from_resource(stored, later, begun.origin) == begun._replace(plan_fixed=True)


def test_a_plan_without_steps_is_kept_in_the_status_too() -> None:
    made = by_hand()
    pending = from_resource(made, Config(), Origin())
    begun = decide(pending, UPLOAD_ID, SpecChanged(pending.control), NOW, Config()).upload
    assert begun is not None
    assert from_resource({**made, "status": to_status(begun)}, CONFIG, begun.origin).plan == ()


def test_a_plan_that_nobody_can_read_is_named() -> None:
    stored = resource(after(*PASSED[:2]), plan="virusscan/z=1 policies")
    with pytest.raises(InvalidResourceError, match=r"status\.plan"):
        from_resource(stored, CONFIG, Origin())


def test_a_step_by_hand_takes_its_own_value_then_that_of_the_policy_then_the_default() -> None:
    spec = {
        "steps": [{"name": "virusscan", "maxRetries": 0, "onExhausted": "Delete"}, {"name": "policies"}],
        "retryPolicy": {"maxRetries": 7, "maxBackoffSeconds": 60},
        "stallAfterSeconds": 30,
    }
    first, second = from_resource(by_hand(**spec), CONFIG, Origin()).plan
    assert (first.max_retries, first.on_exhausted) == (0, OnExhausted.DELETE)
    assert (second.max_retries, second.on_exhausted) == (7, OnExhausted.ABORT)
    assert {first.max_backoff, second.max_backoff} == {60_000}
    assert {first.stall_after, second.stall_after} == {30_000}
    assert {first.backoff, second.backoff} == {5_000}


def test_the_steps_of_a_begun_run_stay_when_the_configuration_changes() -> None:
    stored = resource(after(*PASSED[:2]))
    del stored["spec"]["steps"]
    other = Config(steps=(StepPlan(name="policies", max_retries=1), StepPlan(name="new")))
    upload = from_resource(stored, other, Origin())
    assert [step.name for step in upload.plan] == ["virusscan", "policies"]
    assert upload.plan[1].max_retries == 1
    assert upload.current_step == "policies"


@pytest.mark.parametrize("name", ["größer", "a:b", "-x", "zz$(x)", "\x1b[2J", "x" * 64])
def test_a_step_with_an_odd_name_is_in_the_status_alone(name: str) -> None:
    """The operator may be configured with any word; the API server takes only harmless ones in a spec."""
    config = Config(steps=(StepPlan(name="virusscan"), StepPlan(name=name, max_retries=2)))
    upload = after(*PASSED[:2], config=config)._replace(plan_fixed=True)
    stored = resource(upload)
    assert "steps" not in stored["spec"]
    assert from_resource(stored, config, upload.origin) == upload
    later = from_resource(stored, Config(steps=(StepPlan(name="new"),)), upload.origin)
    assert later == upload, "with their settings"


def test_the_steps_of_an_upload_that_was_announced_before_its_resource_was_seen_stay() -> None:
    begun = resource(after(*PASSED[:2]))
    stored = {**begun, "spec": {**begun["spec"], "steps": [{"name": "other", "maxRetries": 3}]}}
    del stored["spec"]["upload"]["receivedTime"]
    upload = from_resource(stored, CONFIG, Origin(announced_at=NOW))
    assert upload.plan == CONFIG.steps
    assert upload.received_at == NOW
    with pytest.raises(InvalidResourceError, match=r"not those of spec\.steps"):
        from_resource(stored, CONFIG, Origin())


def test_an_empty_list_of_steps_is_not_the_configured_one() -> None:
    assert from_resource(by_hand(steps=[]), CONFIG, Origin()).plan == ()


def test_equal_plans_are_one_object_in_memory() -> None:
    one, two = (from_resource(by_hand(steps=[{"name": "virusscan"}]), CONFIG, Origin()) for _ in "ab")
    assert one.plan is two.plan


def test_control_is_read_from_the_spec_alone() -> None:
    obj = by_hand(desiredState="Suspended", restart={"token": "t1", "fromStep": "policies"})
    assert control_of(obj) == Control(
        desired=DesiredState.SUSPENDED,
        restart=RestartRequest(token="t1", mode=RestartMode.RESTART, from_step="policies"),
        generation=1,
    )


STALLS = {
    Stage.RUNNING: (ARRIVAL,),
    Stage.AWAITING_READY: PASSED[:3],
    Stage.AWAITING_URL: (BytesReceived(Origin(), ARRIVAL.file),),
}


@pytest.mark.parametrize("stage", STALLS)
def test_what_is_stalled_says_so_in_its_column_and_keeps_its_stage(stage: Stage) -> None:
    impatient = replace(CONFIG, max_finish_resends=0, max_url_requests=0)
    waiting = after(*STALLS[stage])
    overdue = Millis(wake_at(waiting, impatient) or 0)
    upload = decide(waiting, UPLOAD_ID, Tick(), overdue, impatient).upload
    assert upload is not None
    stored = resource(upload)
    reasons = {each["type"]: each["reason"] for each in stored["status"]["conditions"]}
    assert reasons["Succeeded"] == "Stalled"
    assert upload.stage is stage
    upload = upload._replace(plan_fixed=True)
    assert from_resource(stored, impatient, upload.origin) == upload
    stored["status"]["conditions"][0]["reason"] = stage.value  # as versions before this one wrote it
    assert from_resource(stored, impatient, upload.origin) == upload


def test_that_no_service_listens_is_shown_and_not_believed() -> None:
    upload = after(*PASSED[:1])
    unserved = Unserved("virusscan", Millis(upload.since + 5_000))
    shown = resource(upload)
    assert shown_unserved(shown) is None
    shown["status"] = to_status(upload, unserved=unserved)
    assert shown["status"]["conditions"][0]["reason"] == "NoService"
    assert shown_unserved(shown) == unserved
    believed = from_resource(shown, CONFIG, upload.origin)
    assert believed == from_resource(resource(upload), CONFIG, upload.origin)


@pytest.mark.parametrize(
    "conditions", ["none", [7], [{"type": "Unserved", "lastTransitionTime": "soon"}], [{"type": 7}], None]
)
def test_what_is_shown_of_services_may_be_anything(conditions: object) -> None:
    status = {"conditions": conditions, "currentStep": "virusscan"}
    assert shown_unserved({"status": status}) is None


@pytest.mark.parametrize(
    ("status", "field"),
    [
        ({"currentStep": "unknown"}, "status.currentStep"),
        ({"outcome": "perhaps"}, "status.outcome"),
        ({"startTime": "yesterday"}, "status.startTime"),
        ({"startTime": "2026-11-18T11:06:40"}, "status.startTime"),
        ({"stageTime": "2026-11-18T11:06:xxZ"}, "status.stageTime"),
        ({"run": "1"}, "status.run"),
        ({"run": True}, "status.run"),
        ({"message": 7}, "status.message"),
        ({"steps": []}, "status.steps"),
        ({"steps": [{"name": "virusscan", "state": "Dancing"}]}, "status.steps[0].state"),
        ({"steps": [7]}, "status.steps[0]"),
        ({"steps": "none"}, "status.steps"),
        ({"log": 7}, "status.log"),
        ({"conditions": [{"type": "Finished"}]}, "status.conditions"),
        ({"conditions": [{"type": "Succeeded", "reason": "Singing"}]}, "status.conditions[0].reason"),
        ({"conditions": [{"type": "Succeeded", "reason": "Stalled"}]}, "status.conditions[0].reason"),
        (
            {"conditions": [{"type": "Succeeded", "reason": "Stalled"}, {"type": "Stalled", "reason": "?"}]},
            "status.conditions[1].reason",
        ),
    ],
)
def test_what_cannot_be_read_is_named(status: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidResourceError, match=f"^{re.escape(field)}: ") as caught:
        from_resource(resource(after(*PASSED[:2]), **status), CONFIG, Origin())
    assert caught.value.field == field
