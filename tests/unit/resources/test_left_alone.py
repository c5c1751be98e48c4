"""What is said of a resource with which the operator can do nothing, and what is believed of it."""

from typing import Any, cast

from uploadpp.core.naming import resource_name
from uploadpp.kube.store import Stored
from uploadpp.resources import forgotten as forgotten_module
from uploadpp.resources.ended import EndedUploads
from uploadpp.resources.forgotten import ForgottenResources
from uploadpp.resources.left_alone import LeftAlone
from uploadpp.resources.void_marks import VoidMarks
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench


class Desk:
    """One upload that only a person's resource has told of."""

    def __init__(self) -> None:
        self.bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
        self.forgotten = ForgottenResources()
        self.marks = VoidMarks(self.bench.faults, cast("Any", None))
        self.left_alone = LeftAlone(self.bench.faults, cast("Any", self.bench), self.forgotten, self.marks)
        self.bench.read(1, message("BytesReceived", arrival()))
        self.tracked = self.bench.tracked(UPLOAD)
        self.tracked.stored = Stored("uid", "1", 1)


def resource(name: str = "twin") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": "uid"}}


def test_it_is_said_once_until_the_resource_is_deleted() -> None:
    desk = Desk()
    for _ in range(2):
        desk.left_alone.report(resource(), ValueError("why"))
        desk.left_alone.failed("twin", "uid", KeyError("bug"))
    assert desk.bench.told == [("twin", "LeftAlone")]
    desk.left_alone.gone("uid")
    desk.left_alone.failed("twin", "uid", KeyError("bug"))
    assert len(desk.bench.told) == 2
    faults = desk.bench.metrics.registry.get_sample_value("uploadpp_upload_faults_total")
    assert faults == 3, "each is counted"


def test_a_person_s_resource_of_the_upload_s_name_becomes_its_own() -> None:
    desk = Desk()
    desk.forgotten.done_with(desk.tracked)
    assert "uid" in desk.forgotten
    assert desk.tracked.name == resource_name(UPLOAD)
    desk.left_alone.overruled(desk.tracked)
    assert "uid" not in desk.forgotten
    assert desk.bench.told == []


def test_one_of_another_name_is_left_alone() -> None:
    desk = Desk()
    desk.tracked.name = "mine"
    desk.forgotten.done_with(desk.tracked)
    desk.left_alone.overruled(desk.tracked)
    assert "uid" in desk.forgotten
    assert desk.bench.told == [("mine", "LeftAlone")]
    assert desk.marks.is_awaited(desk.tracked.upload.id)


def test_what_was_never_recorded_leaves_nothing_behind() -> None:
    desk = Desk()
    desk.tracked.stored = None
    desk.forgotten.done_with(desk.tracked)
    desk.left_alone.overruled(desk.tracked)
    assert "uid" not in desk.forgotten
    assert desk.bench.told == []


def test_the_oldest_is_no_longer_remembered(monkeypatch: Any) -> None:  # noqa: ANN401 -- pytest's
    monkeypatch.setattr(forgotten_module, "REMEMBERED", 3)
    found = ForgottenResources()
    for number in range(4):
        found.remember(f"uid-{number}")
    assert [f"uid-{number}" in found for number in range(4)] == [False, True, True, True]


def test_ended_uploads_wait_once_each_and_are_counted() -> None:
    ended, tracked = EndedUploads(), Desk().tracked
    ended.add(tracked)
    ended.add(tracked)
    assert (list(ended), len(ended)) == ([tracked], 1)
    assert ended.rate(1.0) > 0
    ended.remove(tracked)
    assert len(ended) == 0
