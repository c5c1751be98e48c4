"""A CRD that is older than the plugin: nothing can be selected by its fields."""

import json
from collections.abc import Iterator

import pytest

from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.waiting import wait_until
from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from uploadpp.api import CRD_NAME
from uploadpp.core.inputs import StepFinished, UploadReady

FIELDS = "/spec/versions/0/selectableFields"
INFECTED = (StepFinished("virusscan", "delete", "Eicar-Test-Signature"), UploadReady(failed=True))


@pytest.fixture
def older_crd(cluster: LocalCluster) -> Iterator[None]:
    """The CRD of this pytest worker's cluster without fields to select by, for the length of a test."""
    kubectl = Kubectl(cluster.kubeconfig)
    fields = kubectl.json("get", "crd", CRD_NAME)["spec"]["versions"][0]["selectableFields"]

    def selects() -> bool:
        try:
            kubectl("get", "upp", "-A", "--field-selector=status.outcome=x")
        except KubectlError:
            return False
        return True

    def change(operation: dict[str, object], *, selecting: bool) -> None:
        patch = json.dumps([{"path": FIELDS, **operation}])
        kubectl("patch", "crd", CRD_NAME, "--type=json", f"--patch={patch}")
        assert wait_until(lambda: selects() is selecting, 30)

    try:
        change({"op": "remove"}, selecting=False)
        yield
    finally:
        change({"op": "add", "value": fields}, selecting=True)


@pytest.mark.usefixtures("older_crd")
def test_every_verb_works_with_a_crd_that_lets_nothing_select(pp: Plugin, writer: Writer) -> None:
    later = StepFinished("virusscan", "continue")
    writer.put_all(
        [at("first", ago_minutes=5), at("evil", *INFECTED, ago_minutes=5), at("later", later, ago_minutes=5)]
    )

    def names(*words: str) -> str:
        shown = pp("list", "--no-headers", "--sort-by=name", *words)
        assert shown.code == 0, shown.err
        return " ".join(line.split()[0] for line in shown.out.splitlines())

    assert names() == "evil first later"
    assert names("--running") == "first later"
    assert names("--step=policies") == names("--field-selector=status.currentStep=policies") == "later"
    assert names("--failed") == names("--has-virus") == names("--outcome=delete") == "evil"
    assert json.loads(pp("stats", "-o", "json").out)["uploads"] == 3
    assert "Name:       later\n" in pp("status", "later").out
    assert "1 ended and not deleted yet" in pp("doctor").out
    process = pp.start("watch", "--step=policies")
    assert process.stdout is not None
    assert "later" in process.stdout.readline()
    first = writer.get("first")["status"]
    writer.set_status("evil", {**writer.get("evil")["status"], "retryCount": 7})
    writer.set_status("first", {**first, "currentStep": "policies"})
    assert "first" in process.stdout.readline()
    process.terminate()
    process.communicate(timeout=30)
    assert pp("suspend", "--step=policies").out.count(" requested: ") == 2
    bogus = pp("list", "--field-selector=spec.nonsense=1")
    assert bogus.code != 0
    assert "field label not supported: spec.nonsense" in bogus.err
