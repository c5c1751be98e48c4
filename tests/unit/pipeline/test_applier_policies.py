"""Which uploads the policies are asked about: those that arrive, live and in a replay alike."""

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.model import FileInfo, Origin, PolicyRef, StepPlan, Upload
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.states import Stage
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench

REF = PolicyRef("default", 1, "all")
RECEIVED = message("BytesReceived", arrival())


class Policies:
    """Say the same of every upload, and keep what they were asked about."""

    def __init__(self, choice: Choice | None) -> None:
        self.choice = choice
        self.asked: list[tuple[Origin, FileInfo]] = []

    def choose(self, origin: Origin, file: FileInfo) -> Choice | None:
        self.asked.append((origin, file))
        return self.choice


@pytest.fixture
def policies() -> Policies:
    return Policies(Choice(ref=REF, plan=(StepPlan(name="x"),)))


@pytest.fixture
def bench(policies: Policies) -> PipelineBench:
    return PipelineBench(CONFIG, KeptEvents(), lambda: NOW, choose=policies.choose)


@pytest.mark.parametrize("replaying", [False, True])
def test_an_upload_that_arrives_is_asked_about(
    bench: PipelineBench, policies: Policies, *, replaying: bool
) -> None:
    if not replaying:
        bench.act()
    bench.read(1, RECEIVED)
    upload = bench.upload(UPLOAD)
    assert (upload.policy, upload.current_step) == (REF, "x")
    assert policies.asked == [(upload.origin, upload.file)]


def test_what_no_policy_is_about_has_the_configured_steps(bench: PipelineBench, policies: Policies) -> None:
    policies.choice = None
    bench.read(1, RECEIVED)
    assert (bench.upload(UPLOAD).plan, bench.upload(UPLOAD).policy) == (CONFIG.steps, None)


def test_a_known_upload_is_not_asked_about_again(bench: PipelineBench, policies: Policies) -> None:
    bench.act()
    bench.read(1, RECEIVED)
    bench.read(2, RECEIVED)
    bench.read(3, message("BytesReceived", arrival(url="https://other")))
    assert len(policies.asked) == 1


def test_nor_is_one_that_a_policy_holds(bench: PipelineBench, policies: Policies) -> None:
    policies.choice = Choice(ref=REF, action=PolicyAction.HOLD)
    bench.act()
    for sequence in (1, 2):
        bench.read(sequence, RECEIVED)
    assert bench.upload(UPLOAD).stage is Stage.HELD
    assert len(policies.asked) == 1


def test_a_resource_without_a_status_is_asked_about(bench: PipelineBench, policies: Policies) -> None:
    bench.read(1, RECEIVED)
    known = bench.upload(UPLOAD)
    bench.uploads.forget(bench.tracked(UPLOAD))
    pending = Upload(id=UPLOAD, received_at=known.received_at, origin=known.origin, plan=CONFIG.steps)
    bench.applier.adopt(TrackedUpload(UPLOAD, evolve(pending)))
    bench.read(2, RECEIVED)
    assert len(policies.asked) == 2
    assert (bench.upload(UPLOAD).policy, bench.upload(UPLOAD).current_step) == (REF, "x")


def test_other_messages_ask_nothing(bench: PipelineBench, policies: Policies) -> None:
    bench.act()
    bench.read(1, message("CleanUpload", {"UploadID": UPLOAD}))
    assert policies.asked == []
