"""What the real API server makes of the CRD, and the real kubectl of its columns."""

import json
import re
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest

from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from tests.crds import explained
from uploadpp.api import API_VERSION, CRD_NAME, KIND
from uploadpp.api.codec import ALL_SHOWN, from_resource, to_resource, to_status
from uploadpp.api.field_types import MAX_SEALED, ApiModel, api_name
from uploadpp.api.status import (
    ConditionModel,
    LogPositionModel,
    StepStatusModel,
    UploadPostprocessingStatus,
)
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import StepFinished
from uploadpp.core.model import Origin, PolicyRef, StepPlan, Upload
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.resources.unseen import WITHOUT_STATUS
from uploadpp.testing.builders import ARRIVAL, PASSED, after

IDS = [f"{n}d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11" for n in range(4)]
TERMINAL = 80


def store(kubectl: Kubectl, upload: Upload) -> None:
    """Create the resource of an upload and write its status, as the operator does."""
    made = to_resource(upload, namespace="", shown=ALL_SHOWN, sealed="gAAAA")
    del made["metadata"]["namespace"]
    kubectl("create", "--filename=-", stdin=json.dumps(made))
    patch = json.dumps([{"op": "add", "path": "/status", "value": to_status(upload)}])
    kubectl(
        "patch", "upp", made["metadata"]["name"], "--subresource=status", "--type=json", f"--patch={patch}"
    )


def by_hand(name: str = "by-hand", **spec: object) -> str:
    return json.dumps(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name},
            "spec": {"upload": {"id": "u1"}, **spec},
        },
    )


@pytest.fixture
def four(kubectl: Kubectl) -> Kubectl:
    """A namespace with a running, a backing-off, a releasing and a completed upload."""
    store(kubectl, after(ARRIVAL, upload_id=IDS[0]))
    retried = (*PASSED[:2], StepFinished("policies", "retry", "the policy service is busy"))
    store(kubectl, after(*retried, upload_id=IDS[1]))
    store(kubectl, after(*PASSED[:3], upload_id=IDS[2]))
    store(kubectl, after(*PASSED, upload_id=IDS[3]))
    return kubectl


def test_the_crd_is_established_and_without_complaints(cluster: LocalCluster) -> None:
    crd = Kubectl(cluster.kubeconfig).json("get", "crd", CRD_NAME)
    conditions = {each["type"]: each["status"] for each in crd["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions


def test_columns_fit_a_terminal(four: Kubectl) -> None:
    table = four("get", "ocis")
    assert re.sub(r"\d+s\n", "1s\n", table) == (
        "NAME                                   STEP        STATUS          RETRIES   AGE\n"
        "0d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11   virusscan   Running         0         1s\n"
        "1d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11   policies    BackingOff      1         1s\n"
        "2d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11   finished    AwaitingReady   0         1s\n"
        "3d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11               Completed       0         1s\n"
    )
    assert max(map(len, table.splitlines())) <= TERMINAL


def test_wide_columns_tell_the_rest(four: Kubectl) -> None:
    head, _, backing_off, releasing, _ = four("get", "upp", "--output=wide").splitlines()
    wide = ["PROGRESS", "OUTCOME", "FILENAME", "SIZE", "USER", "SPACE", "NEXT", "MESSAGE"]
    assert head.split()[5:] == wide
    assert "1/2" in backing_off
    assert re.search(r"report.pdf +48213 .* 2026-11-18T11:06:47\.123Z +step policies ", backing_off)
    assert "2/2" in releasing
    assert " continue " in releasing


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("status.currentStep=policies", [1]),
        ("status.outcome=continue", [2, 3]),
        ("spec.desiredState!=Cancelled,status.currentStep=", [3]),
        (f"spec.upload.id={IDS[0]}", [0]),
        ("spec.upload.spaceID=nowhere", []),
        ("spec.upload.userID=4c510ada-c86b-4815-8820-42cdf82c3d51", [0, 1, 2, 3]),
    ],
)
def test_field_selectors(four: Kubectl, selector: str, found: list[int]) -> None:
    names = four("get", "upp", f"--field-selector={selector}", "--output=name").split()
    assert names == [f"uploadpostprocessing.uploadpp.io/{IDS[n]}" for n in found]


def test_the_look_for_resources_without_a_status_lists_only_those(four: Kubectl) -> None:
    four("create", "--filename=-", stdin=by_hand())
    names = four("get", "upp", f"--field-selector={WITHOUT_STATUS}", "--output=name").split()
    assert names == ["uploadpostprocessing.uploadpp.io/by-hand"]


def test_nothing_is_lost_in_the_api_server(kubectl: Kubectl) -> None:
    upload = after(*PASSED[:2], StepFinished("policies", "retry", "busy"))
    store(kubectl, upload)
    stored = from_resource(kubectl.json("get", "upp", upload.id), Config(), upload.origin)
    assert stored == upload._replace(plan_fixed=True)


@pytest.mark.parametrize("action", PolicyAction)
def test_the_rule_of_a_policy_is_not_lost_either(kubectl: Kubectl, action: PolicyAction) -> None:
    """Nor that it holds the upload: the API server knows the fields of the status."""
    plan = (StepPlan(name="deep-scan"),)
    said = Choice(ref=PolicyRef("default", 3, "videos"), action=action, plan=plan, priority_class="bulk")
    upload = after(evolve(ARRIVAL, choice=said))
    store(kubectl, upload)
    stored = from_resource(kubectl.json("get", "upp", upload.id), Config(), upload.origin)
    assert stored == upload._replace(plan_fixed=True)
    assert stored.policy_holds is (action is PolicyAction.HOLD)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("upp.status", UploadPostprocessingStatus),
        ("upp.status.steps", StepStatusModel),
        ("upp.status.conditions", ConditionModel),
        ("upp.status.log", LogPositionModel),
    ],
)
def test_kubectl_explains_every_field_of_the_status(
    kubectl: Kubectl, path: str, fields: type[ApiModel]
) -> None:
    text = explained(kubectl, path)
    for name, field in fields.model_fields.items():
        shown = re.search(rf"^  {api_name(name)}\t<(.+?)>", text, re.MULTILINE)
        assert shown, name
        assert " ".join((field.description or "").split()) in " ".join(text.split()), name


@pytest.mark.parametrize(
    ("status", "complaint"),
    [
        ({"run": "1"}, "status.run: Invalid value"),
        ({"steps": [{"name": "virusscan", "state": "Flying"}]}, "status.steps[0].state: Unsupported value"),
        ({"steps": [{"state": "Running"}]}, "status.steps[0].name: Required value"),
        ({"conditions": [{"type": "Succeeded"}]}, "status.conditions[0].status: Required value"),
        ({"completionTime": "yesterday"}, "status.completionTime: Invalid value"),
        ({"log": {"sequence": -1}}, "status.log.sequence: Invalid value"),
        ({"message": "x" * 1025}, "status.message: Too long"),
    ],
)
def test_a_status_that_makes_no_sense_is_refused_with_the_field(
    kubectl: Kubectl, status: dict[str, Any], complaint: str
) -> None:
    upload = after(ARRIVAL)
    store(kubectl, upload)
    patch = json.dumps({"status": status})
    with pytest.raises(KubectlError, match=re.escape(complaint)):
        kubectl("patch", "upp", upload.id, "--subresource=status", "--type=merge", f"--patch={patch}")


def test_a_field_that_the_status_does_not_have_is_named_and_not_kept(kubectl: Kubectl) -> None:
    upload = after(ARRIVAL)
    store(kubectl, upload)
    words = ("patch", "upp", upload.id, "--subresource=status", "--type=merge")
    kubectl(*words, '--patch={"status":{"odd":1}}')
    assert "odd" not in kubectl.json("get", "upp", upload.id)["status"]


def test_kubectl_waits_for_conditions(four: Kubectl) -> None:
    four("wait", "upp", IDS[3], "--for=condition=Finished", "--timeout=50s")
    with pytest.raises(KubectlError, match="timed out"):
        four("wait", "upp", IDS[0], "--for=condition=Finished", "--timeout=1s")


LONG = "x" * 2000
STEP = {"name": "virusscan"}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"steps": []},
        {"steps": [STEP, {"name": "Scan_2.b-c", "timeoutSeconds": 1}], "restart": {"token": "1"}},
        {"steps": [{**STEP, "backoffSeconds": 60, "maxBackoffSeconds": 60}], "desiredState": "Cancelled"},
        {"steps": [{"name": str(n)} for n in range(32)], "restart": {"token": "1", "fromStep": "31"}},
        {"restart": {"token": "1", "fromStep": "configured", "mode": "Resume"}},
        {"urlSecretRef": {"name": "url", "key": "url"}, "sealed": "g" * MAX_SEALED},
        {"upload": {"id": "u1", "filesize": 2**63 - 1, "receivedTime": "2026-11-18T11:06:40.123+02:00"}},
    ],
)
def test_good_specs_are_admitted(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    kubectl("create", "--dry-run=server", "--filename=-", stdin=by_hand(**spec))
    # what a person can write, the operator can read
    assert from_resource(json.loads(by_hand(**spec)), Config(), Origin()).id == "u1"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"upload": {}}, "spec.upload.id: Required"),
        ({"upload": {"id": ""}}, "spec.upload.id: Invalid"),
        ({"upload": {"id": "x" * 129}}, "spec.upload.id: Too long"),
        ({"upload": {"id": "u1", "filename": LONG}}, "spec.upload.filename: Too long"),
        ({"upload": {"id": "u1", "filesize": -1}}, "spec.upload.filesize: Invalid"),
        ({"upload": {"id": "u1", "spaceID": LONG}}, "spec.upload.spaceID: Too long"),
        ({"upload": {"id": "u1", "receivedTime": "now"}}, "spec.upload.receivedTime: Invalid"),
        ({"sealed": "g" * (MAX_SEALED + 1)}, "spec.sealed: Too long"),
        ({"urlSecretRef": {"name": "url"}}, "spec.urlSecretRef.key: Required"),
        *(
            ({"urlSecretRef": {"name": name, "key": "url"}}, "spec.urlSecretRef.name: Invalid")
            for name in ("../../../../healthz", "../../other/secrets/x", "a/b", "a%2fb", "..", "A", "a\nb")
        ),
        *(
            ({"urlSecretRef": {"name": "url", "key": key}}, "spec.urlSecretRef.key: Invalid")
            for key in ("a/b", "a b", "", "a\n", "é")
        ),
        ({"steps": [{}]}, "spec.steps[0].name: Required"),
        ({"steps": [{"name": ""}]}, "spec.steps[0].name: Invalid"),
        *(
            ({"steps": [{"name": name}]}, "spec.steps[0].name: Invalid")
            for name in (
                "a,b",
                "a b",
                "zz$(touch${IFS}/tmp/x)",
                "größer",
                "\x1b[2J",
                "a\nb",
                "-x",
                "a;b",
                "{}",
            )
        ),
        ({"steps": [{"name": "x" * 64}]}, "spec.steps[0].name: Too long"),
        (
            {"steps": [{"name": "finished"}]},
            "spec.steps: Invalid value: every step needs a name of its own, other than",
        ),
        (
            {"steps": [STEP, STEP]},
            "spec.steps: Invalid value: every step needs a name of its own, other than",
        ),
        ({"steps": [{"name": str(n)} for n in range(33)]}, "spec.steps: Too many"),
        ({"steps": [{**STEP, "timeoutSeconds": 0}]}, "spec.steps[0].timeoutSeconds: Invalid"),
        ({"steps": [{**STEP, "maxRetries": 1001}]}, "spec.steps[0].maxRetries: Invalid"),
        ({"steps": [{**STEP, "onExhausted": "Retry"}]}, "spec.steps[0].onExhausted: Unsupported value"),
        (
            {"steps": [{**STEP, "backoffSeconds": 2, "maxBackoffSeconds": 1}]},
            "a backoffSeconds not greater than its maxBackoffSeconds",
        ),
        (
            {"retryPolicy": {"backoffSeconds": 2, "maxBackoffSeconds": 1}},
            "spec.retryPolicy.backoffSeconds: Invalid value: backoffSeconds must not be greater",
        ),
        ({"desiredState": "Paused"}, "spec.desiredState: Unsupported value"),
        ({"cancelPolicy": "Continue"}, "spec.cancelPolicy: Unsupported value"),
        ({"restart": {"mode": "Resume"}}, "spec.restart.token: Required"),
        ({"restart": {"token": "a:b"}}, "spec.restart.token: Invalid"),
        ({"restart": {"token": "x" * 65}}, "spec.restart.token: Too long"),
        ({"restart": {"token": "1", "mode": "Again"}}, "spec.restart.mode: Unsupported value"),
        (
            {"steps": [STEP], "restart": {"token": "1", "fromStep": "policies"}},
            "spec.restart.fromStep: Invalid value: restart.fromStep must be the name of one of spec.steps",
        ),
    ],
)
def test_bad_specs_are_refused_with_the_field(kubectl: Kubectl, spec: dict[str, Any], message: str) -> None:
    field, between, rest = message.partition("Invalid value: ")
    words = re.escape(field + between) + r'("\w+": )?' + re.escape(rest)  # Kubernetes 1.32 shows a type
    with pytest.raises(KubectlError, match=words):
        kubectl("create", "--dry-run=server", "--filename=-", stdin=by_hand(**spec))


FIXED = "Forbidden: this cannot be changed once it is set"
UPLOAD = "spec.upload: Forbidden"
PRESENCE = "cannot be added or removed after the resource was created"
CANCELLED = {"desiredState": "Cancelled"}
SHOWN = {"id": "u1", "filename": "old", "spaceID": "s1", "receivedTime": "2026-11-18T11:06:40Z"}
ALL = {**SHOWN, "filesize": 1, "userID": "mary", "storageID": "st1", "opaqueID": "o1"}
MOST = {name: value for name, value in ALL.items() if name != "storageID"}


@pytest.mark.parametrize(
    ("before", "patch", "refusal"),
    [
        ({}, {"upload": {"id": "u2"}}, f"spec.upload.id: {FIXED}"),
        ({"upload": SHOWN}, {"upload": {"filename": "new"}}, f"spec.upload.filename: {FIXED}"),
        ({"upload": SHOWN}, {"upload": {"spaceID": "s2"}}, f"spec.upload.spaceID: {FIXED}"),
        ({"upload": SHOWN}, {"upload": {"filename": None}}, f"{UPLOAD}: filename {PRESENCE}"),
        *(
            ({"upload": ALL}, {"upload": {name: None}}, f"{UPLOAD}: {name} {PRESENCE}")
            for name in sorted(ALL.keys() - {"id"})
        ),
        ({"upload": MOST}, {"upload": {"storageID": "s1"}}, f"{UPLOAD}: storageID {PRESENCE}"),
        ({"upload": MOST}, {"upload": {"storageID": "s1", "userID": None}}, f"{UPLOAD}: userID {PRESENCE}"),
        ({"upload": SHOWN}, {"upload": {"filename": None, "userID": "m"}}, f"{UPLOAD}: filename {PRESENCE}"),
        *(({"upload": some}, {"desiredState": "Suspended"}, "") for some in (ALL, MOST, SHOWN)),
        ({"steps": [STEP]}, {"steps": []}, f"spec.steps: {FIXED}"),
        ({"steps": [STEP]}, {"steps": [{**STEP, "maxRetries": 1}]}, f"spec.steps: {FIXED}"),
        ({"steps": [STEP]}, {"steps": None}, f"spec.steps: Forbidden: steps {PRESENCE}"),
        ({}, {"steps": [STEP]}, f"spec.steps: Forbidden: steps {PRESENCE}"),
        (
            {"retryPolicy": {"maxRetries": 2}},
            {"retryPolicy": {"maxRetries": 1}},
            f"spec.retryPolicy: {FIXED}",
        ),
        ({"stallAfterSeconds": 1}, {"stallAfterSeconds": 2}, f"spec.stallAfterSeconds: {FIXED}"),
        (CANCELLED, {"desiredState": "Active"}, "spec.desiredState: Forbidden: a cancelled upload stays"),
        (CANCELLED, {"desiredState": None}, "spec.desiredState: Forbidden: a cancelled upload stays"),
        (
            {**CANCELLED, "restart": {"token": "1"}},
            {"desiredState": "Active", "restart": {"token": "1", "mode": "Resume"}},
            "spec.desiredState: Forbidden: a cancelled upload stays",
        ),
        (CANCELLED, {"desiredState": "Active", "restart": {"token": "1"}}, ""),
        (
            {**CANCELLED, "restart": {"token": "1"}},
            {"desiredState": None, "restart": {"token": "2"}},
            "",
        ),
        ({}, {"desiredState": "Suspended", "sealed": "gBBBB", "cancelPolicy": "Delete"}, ""),
        ({"desiredState": "Suspended"}, CANCELLED, ""),
        ({"steps": [STEP]}, {"restart": {"token": "1", "fromStep": "virusscan"}}, ""),
    ],
)
def test_what_may_be_changed(
    kubectl: Kubectl, before: dict[str, Any], patch: dict[str, Any], refusal: str
) -> None:
    kubectl("create", "--filename=-", stdin=by_hand(**before))
    change = ("patch", "upp", "by-hand", "--type=merge", f"--patch={json.dumps({'spec': patch})}")
    if not refusal:
        kubectl(*change)
        return
    with pytest.raises(KubectlError, match=re.escape(refusal)):
        kubectl(*change)


def test_a_status_write_over_another_version_is_refused(
    cluster: LocalCluster, namespace: str, kubectl: Kubectl
) -> None:
    upload = after(ARRIVAL)
    store(kubectl, upload)
    version = kubectl.json("get", "upp", upload.id)["metadata"]["resourceVersion"]
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/uploadpostprocessings/{upload.id}/status"
    later = to_status(after(*PASSED[:2]))
    assert json_patch(cluster, path, version, later) == 200
    assert json_patch(cluster, path, version, to_status(after(*PASSED))) == 422
    stored = kubectl.json("get", "upp", upload.id)
    assert stored["status"] == json.loads(json.dumps(later))
    assert stored["metadata"]["generation"] == 1, "status writes are not changes of the spec"


def json_patch(cluster: LocalCluster, path: str, version: str, status: dict[str, Any]) -> int:
    """Compare and set, as the operator does it; the HTTP status."""
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/status", "value": status},
    ]
    request = urllib.request.Request(  # noqa: S310  # our own server
        cluster.apiserver.url + path,
        json.dumps(operations).encode(),
        {
            "Authorization": f"Bearer {cluster.apiserver.token}",
            "Content-Type": "application/json-patch+json",
        },
        method="PATCH",
    )
    context = ssl.create_default_context(cafile=str(cluster.apiserver.ca_file))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
