"""Requests to resume all uploads at a step, repeated again and again."""

import pytest

from uploadpp.core.config import Config
from uploadpp.core.inputs import Resume
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.core.rules import control
from uploadpp.core.states import Ignored, OnExhausted, Stage
from uploadpp.pipeline.step_resumes import MOST_CHANGES, REMEMBERED, StepResumes
from uploadpp.testing.events import arrival, message, resume, step_finished
from uploadpp.testing.pipelines import KeptEvents, PipelineBench

THEN = Millis(1_795_000_000_000)
UPLOADS, RESUMES = 50, 40
RESUME = message("ResumePostprocessing", resume(step="a"))


def test_s6_a_flood_of_resumes_looks_at_all_uploads_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand of them, with as many uploads at the step, kept all others waiting for minutes."""
    looked = list[str]()
    concerns = control.concerns

    def counted(upload: Upload, event: Resume) -> bool:
        looked.append(upload.id)
        return concerns(upload, event)

    bus = KeptEvents()
    bench = PipelineBench(Config(steps=(StepPlan(name="a"), StepPlan(name="b"))), bus, lambda: THEN)
    bench.act()
    for number in range(UPLOADS):
        bench.read(1 + number, message("BytesReceived", arrival(UploadID=f'"u-{number}"')))
    monkeypatch.setattr(control, "concerns", counted)
    bus.store(1 + UPLOADS)
    bus.sent.clear()
    for number in range(RESUMES):
        bench.read(1 + 2 * UPLOADS + number, RESUME, Millis(THEN + 5_000 + number))
    assert len(looked) == UPLOADS
    assert len({each.event_id for each in bus.sent}) == len(bus.sent) == UPLOADS
    ignored = bench.metrics.registry.get_sample_value(
        "uploadpp_inputs_ignored_total", {"reason": Ignored.DUPLICATE}
    )
    assert ignored == RESUMES - 1
    bus.store(1 + 2 * UPLOADS + RESUMES)
    bench.read(1 + 3 * UPLOADS + RESUMES, RESUME, Millis(THEN + 6_000))
    assert len(bus.sent) == 2 * UPLOADS


def _bench(*uploads: str) -> tuple[PipelineBench, KeptEvents]:
    """Uploads at their step, begun two seconds ago, and a first request to resume them."""
    bus = KeptEvents()
    config = Config(steps=(StepPlan(name="a", max_retries=1, on_exhausted=OnExhausted.HOLD),))
    bench = PipelineBench(config, bus, lambda: THEN)
    bench.act()
    for number, each in enumerate(uploads, start=1):
        bench.read(number, message("BytesReceived", arrival(UploadID=f'"{each}"')), Millis(THEN - 2_000))
    bus.store(100)
    bench.read(200, RESUME, THEN)
    bus.store(201)
    return bench, bus


def _answer(upload_id: str, outcome: str) -> bytes:
    return message("PostprocessingStepFinished", step_finished(upload_id, "a", outcome))


def test_a_repetition_reaches_what_came_and_backs_off_in_between() -> None:
    bench, bus = _bench("old")
    bench.read(300, message("BytesReceived", arrival(UploadID='"new"')), Millis(THEN + 100))
    bus.store(301)
    bench.read(400, _answer("new", "retry"), Millis(THEN + 200))
    assert bench.upload("new").stage is Stage.BACKING_OFF
    bus.sent.clear()
    bench.read(500, RESUME, Millis(THEN + 500))
    assert bench.upload("new").stage is Stage.RUNNING
    assert len(bus.sent) == 1, "the other one was resumed half a second ago"


def test_a_repetition_reaches_what_is_held_since_the_first_request() -> None:
    bench, bus = _bench("held", "other")
    bench.read(300, _answer("held", "retry"), Millis(THEN + 100))
    bench.read(301, RESUME, Millis(THEN + 200))
    bus.store(302)
    bench.read(400, _answer("held", "retry"), Millis(THEN + 300))
    assert bench.upload("held").stage is Stage.HELD
    bench.read(401, RESUME, Millis(THEN + 400))
    assert bench.upload("held").stage is Stage.RUNNING
    assert bench.upload("other").step.attempts == 2


def test_a_flood_between_messages_looks_only_at_what_they_were_about(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, _ = _bench(*(f"u-{number}" for number in range(UPLOADS)))
    bench.read(299, RESUME, THEN)  # their new starts are in the stream: something has happened to each
    looked = list[str]()
    concerns = control.concerns

    def counted(upload: Upload, event: Resume) -> bool:
        looked.append(upload.id)
        return concerns(upload, event)

    monkeypatch.setattr(control, "concerns", counted)
    for number in range(RESUMES):
        bench.read(300 + 2 * number, _answer(f"u-{number}", "retry"), Millis(THEN + 10 * number))
        bench.read(301 + 2 * number, RESUME, Millis(THEN + 10 * number))
    assert looked == [f"u-{number}" for number in range(RESUMES)]
    assert {bench.upload(each).stage for each in looked} == {Stage.RUNNING}


def _repeats(resumes: StepResumes, event: Resume, at: Millis = THEN) -> bool:
    since = resumes.changed_since(event, at)
    resumes.looked(event, at)
    return since is not None


def test_a_resume_of_another_step_is_another_one() -> None:
    resumes = StepResumes()
    assert [_repeats(resumes, Resume(step)) for step in ("a", "b", "a", "b")] == [False, False, True, True]


def test_a_request_of_a_resource_never_repeats() -> None:
    resumes = StepResumes()
    assert not _repeats(resumes, Resume("a"))
    assert not _repeats(resumes, Resume("a", "token"))
    assert _repeats(resumes, Resume("a"))


@pytest.mark.parametrize(("later", "repeats"), [(-1, False), (0, True), (999, True), (1_000, False)])
def test_a_second_is_a_second_of_the_stream(later: int, *, repeats: bool) -> None:
    resumes = StepResumes()
    assert not _repeats(resumes, Resume("a"))
    assert _repeats(resumes, Resume("a"), Millis(THEN + later)) is repeats


def test_a_second_begins_with_the_look_at_all() -> None:
    resumes = StepResumes()
    found = [_repeats(resumes, Resume("a"), Millis(THEN + at)) for at in (0, 600, 1_200, 1_800)]
    assert found == [False, True, False, True]


def test_each_step_has_its_own_changes() -> None:
    resumes = StepResumes()
    for step in ("a", "b"):
        resumes.looked(Resume(step), THEN)
    assert resumes.watching
    for upload_id in ("x", "y", "x"):
        resumes.note(upload_id)
    assert resumes.changed_since(Resume("a"), THEN) == ["x", "y"]
    resumes.looked(Resume("a"), THEN)
    assert resumes.changed_since(Resume("a"), THEN) == []
    assert resumes.changed_since(Resume("b"), THEN) == ["x", "y"]


def test_more_changes_than_are_kept_make_the_next_request_look_at_all() -> None:
    resumes = StepResumes()
    resumes.looked(Resume("a"), THEN)
    for number in range(MOST_CHANGES + 1):
        resumes.note(f"u-{number}")
    assert resumes.changed_since(Resume("a"), THEN) is None
    assert not resumes.watching, "nobody has asked since: nothing has to be kept"


def test_made_up_steps_take_no_memory() -> None:
    resumes = StepResumes()
    for number in range(10 * REMEMBERED):
        assert not _repeats(resumes, Resume(f"step-{number}"))
    assert len(resumes._looks) == REMEMBERED
