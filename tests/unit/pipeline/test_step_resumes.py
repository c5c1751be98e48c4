"""Requests to resume all uploads at a step, repeated again and again."""

import pytest

from uploadpp.core.config import Config
from uploadpp.core.inputs import Resume
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.core.rules import control
from uploadpp.core.states import Ignored
from uploadpp.pipeline.step_resumes import REMEMBERED, StepResumes
from uploadpp.testing.events import arrival, message, resume
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
    bus.sent.clear()
    for number in range(RESUMES):
        bench.read(1 + UPLOADS + number, RESUME, Millis(THEN + 5_000 + number))
    assert len(looked) == UPLOADS
    assert len({each.event_id for each in bus.sent}) == len(bus.sent) == UPLOADS
    ignored = bench.metrics.registry.get_sample_value(
        "uploadpp_inputs_ignored_total", {"reason": Ignored.DUPLICATE}
    )
    assert ignored == RESUMES - 1
    bench.read(1 + UPLOADS + RESUMES, RESUME, Millis(THEN + 6_000))
    assert len(bus.sent) == 2 * UPLOADS


def test_a_resume_of_another_step_is_another_one() -> None:
    resumes, at = StepResumes(), Millis(THEN)
    assert [resumes.repeats(Resume(step), at) for step in ("a", "b", "a", "b")] == [False, False, True, True]


def test_a_request_of_a_resource_never_repeats() -> None:
    resumes = StepResumes()
    assert not resumes.repeats(Resume("a"), THEN)
    assert not resumes.repeats(Resume("a", "token"), THEN)
    assert resumes.repeats(Resume("a"), THEN)


@pytest.mark.parametrize(("later", "repeats"), [(-1, False), (0, True), (999, True), (1_000, False)])
def test_a_second_is_a_second_of_the_stream(later: int, *, repeats: bool) -> None:
    resumes = StepResumes()
    assert not resumes.repeats(Resume("a"), THEN)
    assert resumes.repeats(Resume("a"), Millis(THEN + later)) is repeats


def test_made_up_steps_take_no_memory() -> None:
    resumes = StepResumes()
    for number in range(10 * REMEMBERED):
        assert not resumes.repeats(Resume(f"step-{number}"), THEN)
    assert len(resumes._last) == REMEMBERED
