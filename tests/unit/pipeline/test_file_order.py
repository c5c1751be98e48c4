"""Who of the uploads of one file is released first, and what those behind it are told."""

from typing import Any

import pytest

from uploadpp.api.codec import from_resource, to_status
from uploadpp.core.conditions import describe
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived, Follows, Foremost, SpecChanged
from uploadpp.core.model import (
    Control,
    FileInfo,
    FileOrder,
    Millis,
    Origin,
    PolicyRef,
    RestartRequest,
    Upload,
)
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.states import DesiredState, RestartMode, Stage
from uploadpp.pipeline.file_order import FileLines
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing import events
from uploadpp.testing.builders import START, config_of
from uploadpp.testing.events import new_message
from uploadpp.testing.pipelines import Chosen, KeptEvents, PipelineBench

CONFIG = config_of("virusscan")
UPLOADS = ("up-1", "up-2", "up-3")


class Shard:
    """A pipeline whose events are in the stream at once, in moments that are all the same."""

    def __init__(self, choose: Chosen | None = None, **settings: Any) -> None:  # noqa: ANN401 -- of Config
        self.bus = KeptEvents()
        self.now = START
        self.sequence = 0
        self.log: list[bytes] = []
        config = evolve(CONFIG, **settings)
        self.bench = PipelineBench(config, self.bus, lambda: self.now, choose=choose)

    def work(self) -> None:
        """The log is read to its end."""
        self.bench.act()
        self.bench.lines.open(self.bench.applier.on_order)
        self.stored()

    def stored(self) -> None:
        """The stream has what was sent."""
        while self.bus.on_stored:
            self.sequence += 1
            self.log.append(self.bus.sent[-len(self.bus.on_stored)].body)
            self.bus.on_stored.pop(0)(self.sequence)

    def hear(self, kind: str, payload: dict[str, object]) -> None:
        """An event is in the log."""
        self.sequence += 1
        self.log.append(new_message(kind, payload))
        self.bench.read(self.sequence, self.log[-1])
        if not self.bench.applier.replaying:
            self.stored()

    def arrives(self, *uploads: str, file: str = "shared", **members: object) -> None:
        """Uploads of a file."""
        for upload in uploads:
            resource = {"space_id": "s-1", "opaque_id": file}
            received = events.bytes_received(upload, **{"ResourceID": resource, **members})
            self.hear("BytesReceived", received)

    def passes(self, *uploads: str, outcome: str = "continue") -> None:
        """The only step of uploads answers."""
        for upload in uploads:
            self.hear("PostprocessingStepFinished", events.step_finished(upload, "virusscan", outcome))

    def ready(self, *uploads: str, failed: bool = False) -> None:
        """The storage has released files, or could not."""
        for upload in uploads:
            self.hear("UploadReady", events.upload_ready(upload, failed=failed))

    def stages(self) -> list[Stage]:
        """Where the uploads stand, in the order of their ids."""
        return [self.bench.upload(each).stage for each in UPLOADS if self.bench.uploads.by_id(each)]


@pytest.fixture
def shard() -> Shard:
    shard = Shard()
    shard.work()
    return shard


TURN, READY, DONE, RUNS = Stage.AWAITING_TURN, Stage.AWAITING_READY, Stage.COMPLETED, Stage.RUNNING


def test_the_first_of_a_file_is_released_first(shard: Shard) -> None:
    shard.arrives(*UPLOADS)
    shard.passes("up-3", "up-2")
    assert shard.stages() == [RUNS, TURN, TURN]
    shard.passes("up-1")
    assert shard.stages() == [READY, TURN, TURN]
    shard.ready("up-1")
    assert shard.stages() == [DONE, READY, TURN]
    shard.ready("up-2", "up-3")
    assert shard.stages() == [DONE, DONE, DONE]
    assert len(shard.bench.lines) == 0


def test_an_upload_that_is_alone_does_not_wait_and_stores_nothing_more(shard: Shard) -> None:
    shard.arrives("up-1")
    shard.arrives("up-2", file="another")
    shard.passes("up-2")
    assert shard.stages() == [RUNS, READY]
    assert shard.bench.upload("up-2").order == FileOrder()
    assert "order" not in to_status(shard.bench.upload("up-2"))


@pytest.mark.parametrize("resource", [None, {}, {"space_id": "s-1"}, {"opaque_id": ""}])
def test_uploads_of_which_nobody_says_the_file_do_not_wait(shard: Shard, resource: object) -> None:
    shard.arrives("up-1", "up-2", ResourceID=resource)
    shard.passes("up-2")
    assert shard.stages() == [RUNS, READY]


def test_the_id_of_the_storage_makes_no_difference(shard: Shard) -> None:
    shard.arrives("up-1")
    shard.arrives("up-2", ResourceID={"storage_id": "st-1", "space_id": "s-1", "opaque_id": "shared"})
    shard.passes("up-2")
    assert shard.stages() == [RUNS, TURN]


@pytest.mark.parametrize("outcome", ["abort", "delete"])
def test_what_is_not_released_does_not_wait(shard: Shard, outcome: str) -> None:
    shard.arrives("up-1", "up-2")
    shard.passes("up-2", outcome=outcome)
    assert shard.stages() == [RUNS, READY]


def test_whoever_waits_names_the_one_right_before_it(shard: Shard) -> None:
    shard.arrives(*UPLOADS)
    shard.passes("up-3")
    assert describe(shard.bench.upload("up-3")).startswith("waiting for upload up-2 of the same file")
    shard.hear("CleanUpload", {"UploadID": "up-2"})
    assert describe(shard.bench.upload("up-3")).startswith("waiting for upload up-1 of the same file")
    shard.hear("CleanUpload", {"UploadID": "up-1"})
    assert shard.stages()[2] is READY


def test_an_upload_that_is_forgotten_is_not_waited_for(shard: Shard) -> None:
    shard.arrives("up-1", "up-2")
    shard.passes("up-2")
    shard.bench.uploads.forget(shard.bench.tracked("up-1"))
    assert shard.stages() == [READY]


def test_the_wait_ends_after_a_while_and_people_are_told(shard: Shard) -> None:
    shard.arrives("up-1", "up-2")
    shard.passes("up-2")
    shard.now = Millis(START + CONFIG.order_timeout - 1)
    shard.bench.applier.on_tick(shard.bench.tracked("up-2"))
    assert shard.stages() == [RUNS, TURN]
    shard.now = Millis(START + CONFIG.order_timeout)
    shard.bench.applier.on_tick(shard.bench.tracked("up-2"))
    assert shard.stages() == [RUNS, READY]
    assert [each.reason for each in shard.bench.tracked("up-2").notices] == ["ReleasedOutOfOrder"]


def test_those_that_wait_keep_their_order_when_the_wait_ends(shard: Shard) -> None:
    """The last of them was ready first, and so its time is up first."""
    shard.arrives(*UPLOADS)
    shard.passes("up-3")
    shard.now = Millis(START + 1_000)
    shard.passes("up-2")
    shard.now = Millis(START + CONFIG.order_timeout)
    shard.bench.applier.on_tick(shard.bench.tracked("up-3"))
    assert shard.stages() == [RUNS, TURN, TURN]
    shard.now = Millis(START + CONFIG.order_timeout + 1_000)
    shard.bench.applier.on_tick(shard.bench.tracked("up-2"))
    shard.stored()
    assert shard.stages() == [RUNS, READY, TURN]
    shard.now = Millis(shard.now + 1)
    assert shard.bench.tracked("up-3") in shard.bench.timers.pop_due()
    shard.bench.applier.on_tick(shard.bench.tracked("up-3"))
    assert shard.stages() == [RUNS, READY, READY]


def test_without_a_timeout_nobody_waits() -> None:
    shard = Shard(order_timeout=Millis(0))
    shard.work()
    shard.arrives("up-1", "up-2")
    shard.passes("up-2")
    assert shard.stages() == [RUNS, READY]


def test_an_upload_that_goes_on_after_its_end_is_in_no_line(shard: Shard) -> None:
    shard.arrives("up-1")
    shard.hear("CleanUpload", {"UploadID": "up-1"})
    shard.arrives("up-2")
    shard.arrives("up-1", URL="https://storage.test/data/again")
    assert shard.stages() == [RUNS, RUNS]
    assert shard.bench.upload("up-1").order == FileOrder(left=True)
    shard.passes("up-1", "up-2")
    assert shard.stages() == [READY, READY]


def test_an_upload_that_was_cancelled_before_it_began_is_answered_first(shard: Shard) -> None:
    """Its owner died before it began, and nobody was there to see the edit."""
    file = FileInfo(space_id="s-1", opaque_id="shared")
    pending = Upload("up-1", START, file=file, plan=CONFIG.steps)
    edited = evolve(pending, control=evolve(pending.control, desired=DesiredState.CANCELLED))
    shard.bench.applier.adopt(TrackedUpload("up-1", edited))
    shard.arrives("up-1", "up-2")
    shard.passes("up-2")
    assert shard.stages() == [READY, TURN]
    assert shard.bench.upload("up-1").run == 0
    shard.hear("UploadReady", events.upload_ready("up-1", failed=True))
    assert shard.stages() == [Stage.CANCELLED, READY]


def test_a_replay_tells_nobody_and_its_end_tells_all() -> None:
    shard = Shard()
    shard.arrives(*UPLOADS)
    shard.bench.act()
    shard.stored()
    shard.passes("up-2")
    shard.hear("CleanUpload", {"UploadID": "up-1"})
    assert shard.stages() == [Stage.CLEANED, TURN, RUNS]
    shard.bench.lines.open(shard.bench.applier.on_order)
    assert shard.stages() == [Stage.CLEANED, READY, RUNS]


def hold_the_big(_: Origin, file: FileInfo) -> Choice:
    """A policy that holds big files, and lets others run no steps."""
    ref = PolicyRef("default", 1, "big")
    return Choice(ref=ref, action=PolicyAction.HOLD if file.filesize > 1 else PolicyAction.RUN, plan=())


def held_then_small() -> Shard:
    """A replay with the policy reads two uploads of one file: it holds the first, the second has no steps."""
    shard = Shard(hold_the_big)
    shard.arrives("up-1", Filesize=2)
    shard.arrives("up-2", Filesize=1)
    assert shard.stages() == [Stage.HELD, TURN]
    return shard


def test_in_a_replay_one_that_is_held_may_have_begun() -> None:
    """An owner without the policy had begun it: then the second is not released first (seed 640002375)."""
    before, shard = Shard(), held_then_small()
    before.work()
    before.arrives("up-1", Filesize=2)
    shard.sequence += 1
    shard.bench.read(shard.sequence, before.bus.sent[0].body)
    assert shard.stages() == [RUNS, TURN]
    shard.work()
    assert shard.stages() == [RUNS, TURN]
    shard.passes("up-1")
    assert shard.stages() == [READY, TURN]
    shard.ready("up-1")
    assert shard.stages() == [DONE, READY]


def test_one_that_is_held_when_a_replay_ends_is_not_waited_for() -> None:
    shard = held_then_small()
    shard.work()
    assert shard.stages() == [Stage.HELD, READY]


def of_renewed_attempts() -> list[bytes]:
    """The log of an owner that saw a person resume a failed release; the last event is one more attempt."""
    owner = Shard(max_releases=1)
    owner.work()
    owner.arrives("up-1")
    owner.passes("up-1")
    owner.ready("up-1", failed=True)
    resume = Control(generation=2, restart=RestartRequest(token="t1", mode=RestartMode.RESUME))
    owner.bench.applier.on_input(owner.bench.tracked("up-1"), SpecChanged(resume))
    owner.stored()
    owner.ready("up-1", failed=True)
    owner.arrives("up-2")
    owner.passes("up-2")
    assert owner.stages() == [Stage.RELEASE_BACKING_OFF, TURN]
    owner.now = Millis(owner.now + 60_000)
    owner.bench.applier.on_tick(owner.bench.tracked("up-1"))
    owner.stored()
    return owner.log


def read_by_another(log: list[bytes], max_releases: int = 1) -> Shard:
    """A new owner, which sees no resume by an edit."""
    shard = Shard(max_releases=max_releases)
    for shard.sequence, data in enumerate(log, 1):
        shard.bench.read(shard.sequence, data)
    return shard


def test_in_a_replay_one_that_failed_may_have_got_more_attempts() -> None:
    shard = read_by_another(of_renewed_attempts())
    shard.work()
    assert shard.stages() == [READY, TURN]


def test_one_that_has_failed_when_a_replay_ends_is_not_waited_for() -> None:
    shard = read_by_another(of_renewed_attempts()[:-1])
    assert shard.stages() == [Stage.UPLOAD_FAILED, TURN]
    shard.work()
    assert shard.stages() == [Stage.UPLOAD_FAILED, READY]


def test_in_a_replay_one_that_failed_and_goes_on_has_left_as_before() -> None:
    owner = Shard(max_releases=0)
    owner.work()
    owner.arrives("up-1")
    owner.passes("up-1")
    owner.ready("up-1", failed=True)
    owner.hear("ResumePostprocessing", events.resume("up-1"))
    owner.arrives("up-2")
    owner.passes("up-2")
    assert owner.stages() == [READY, READY]
    shard = read_by_another(owner.log[:-1], max_releases=0)
    shard.work()
    assert shard.stages() == [READY, READY]


def test_an_upload_that_is_at_hand_later_keeps_its_place(shard: Shard) -> None:
    """It is announced first, and its resource has to be read before that is applied."""
    first = events.bytes_received("up-1", ResourceID={"space_id": "s-1", "opaque_id": "shared"})
    shard.sequence += 1
    announced = announcement(FileInfo(space_id="s-1", opaque_id="shared"))
    shard.bench.lines.expect("up-1", announced, 1, START)
    shard.arrives("up-2")
    shard.passes("up-2")
    assert shard.stages() == [TURN]
    shard.bench.read(1, new_message("BytesReceived", first))
    shard.stored()
    shard.bench.uploads.arrived("up-1")
    assert shard.stages() == [RUNS, TURN]


def test_of_an_announcement_that_comes_to_nothing_nobody_is_kept(shard: Shard) -> None:
    lines = shard.bench.lines
    lines.expect("up-1", announcement(FileInfo(space_id="s-1", opaque_id="shared")), 0, START)
    shard.arrives("up-2")
    shard.passes("up-2")
    assert shard.stages() == [TURN]
    shard.bench.uploads.arrived("up-1")
    assert (shard.stages(), len(lines)) == ([READY], 1)


def announcement(file: FileInfo) -> BytesReceived:
    """BytesReceived of a file."""
    return BytesReceived(Origin(), file)


def test_what_is_shown_of_a_file_makes_no_difference() -> None:
    """A resource may hide the ids, or a webhook may have altered them; they are in its sealed part."""
    lines = FileLines()
    told: list[tuple[str, str]] = []

    def tell(tracked: TrackedUpload, event: Follows | Foremost) -> None:
        assert isinstance(event, Follows)
        told.append((tracked.upload.id, event.upload_id))

    origin = Origin(resource_id='{"space_id":"s-1","opaque_id":"o-1"}')
    altered = FileInfo(opaque_id="o-2", space_id="s-2")
    shown = [FileInfo(), FileInfo(opaque_id="o-1"), FileInfo(space_id="s-1"), altered]
    for number, file in enumerate(shown):
        upload = Upload(f"up-{number}", Millis(START + number), origin, file, run=1)
        lines.add(TrackedUpload(upload.id, evolve(upload, stage=Stage.RUNNING)))
    lines.open(tell)
    assert sorted(told) == [("up-1", "up-0"), ("up-2", "up-1"), ("up-3", "up-2")]


def test_a_suspended_upload_waits_again_when_it_goes_on(shard: Shard) -> None:
    shard.arrives("up-1", "up-2")
    shard.passes("up-2")
    tracked = shard.bench.tracked("up-2")
    for desired, stage in ((DesiredState.SUSPENDED, Stage.SUSPENDED), (DesiredState.ACTIVE, TURN)):
        control = evolve(tracked.upload.control, desired=desired)
        shard.bench.applier.on_input(tracked, SpecChanged(control))
        assert tracked.upload.stage is stage


@pytest.mark.parametrize("left", [False, True])
def test_the_order_is_stored(shard: Shard, *, left: bool) -> None:
    shard.arrives("up-1", "up-2")
    shard.passes("up-2")
    upload = shard.bench.upload("up-2")
    if left:
        upload = evolve(upload, order=FileOrder(left=True))
    assert left or upload.order == FileOrder("up-1", 3)
    resource = {
        "metadata": {"uid": "u"},
        "spec": {"upload": {"id": "up-2"}, "steps": [{"name": "virusscan"}]},
        "status": to_status(upload, "u"),
    }
    read = from_resource(resource, CONFIG, upload.origin)
    assert (read.stage, read.cursor, read.order) == (TURN, 1, upload.order)
