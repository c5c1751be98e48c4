"""What came with uploads is bounded in bytes, whatever others send (S6a)."""

import json
from itertools import count

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.model import Origin
from uploadpp.pipeline.text_budget import BUDGET, COUNTED, LARGE, TextBudget
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.builders import ARRIVAL, after
from uploadpp.testing.events import arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench
from uploadpp.wire.decode import MAX_NAME, decode
from uploadpp.wire.encode import Outgoing

NUMBERS = count(1)


def tracked(origin: Origin) -> TrackedUpload:
    upload = after(evolve(ARRIVAL, origin=origin), upload_id=f"u{next(NUMBERS)}")
    return TrackedUpload(upload.id, upload)


def user(name: str, length: int) -> str:
    return json.dumps({"id": {"opaque_id": name}, "groups": "g" * length})


def send(bench: PipelineBench, upload_id: str, length: int, name: str = "") -> None:
    number = next(NUMBERS)
    text = arrival(UploadID=f'"{upload_id}"', ExecutingUser=user(name or upload_id, length))
    bench.read(number, message("BytesReceived", text))


def test_what_uploads_share_is_counted_once() -> None:
    text_budget = TextBudget(100_000)
    many = user("mary", 60_000)
    entries = [tracked(Origin(url='"https://a"', executing_user=many)) for _ in range(50)]
    for each in entries:
        assert text_budget.refuses(each.upload.origin) == ""
        text_budget.note(each)
        text_budget.note(each)
    assert text_budget.held == len(many)
    assert "100000 already" in text_budget.refuses(Origin(executing_user=user("paul", 60_000)))
    assert text_budget.refuses(Origin(executing_user=user("anna", COUNTED // 2))) == ""
    assert text_budget.refuses(Origin(url="x" * LARGE)) == "", "ordinary ones go on"
    for each in entries:
        text_budget.forget(each)
        text_budget.forget(each)
    assert text_budget.held == 0


def test_a_renewed_url_takes_the_place_of_the_last_one() -> None:
    text_budget, first = TextBudget(), tracked(Origin(url="a" * 5000))
    text_budget.note(first)
    first.upload = tracked(Origin(url="b" * 7000)).upload
    text_budget.note(first)
    assert text_budget.held == 7000
    first.upload = tracked(Origin(url="b")).upload
    text_budget.note(first)
    assert text_budget.held == 0


def test_s6_announcements_of_a_megabyte_stop_no_ordinary_upload() -> None:
    """A thousand of them once took a gigabyte, in this process and in each that replays them."""
    bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
    length = 700_000
    for number in range(200):
        send(bench, f"large-{number}", length)
    send(bench, "ordinary", 500)
    known = [each.upload.id for each in bench.uploads.in_memory]
    assert "ordinary" in known
    assert len(known) - 1 == BUDGET // length
    assert bench.uploads.text_budget.held <= BUDGET
    for each in list(bench.uploads.in_memory):
        bench.uploads.forget(each)
    assert bench.uploads.text_budget.held == 0
    send(bench, "later", length)
    assert bench.uploads.by_id("later") is not None


@pytest.mark.parametrize("phase", ["replay", "acting"])
def test_s6_bodies_of_a_megabyte_do_not_wait_to_be_sent(phase: str) -> None:
    outbox = KeptEvents()
    bench = PipelineBench(CONFIG, outbox, lambda: NOW)
    if phase == "acting":
        bench.act()
    for number in range(20):
        send(bench, f"u{number}", 700_000, name="mary")
    if phase == "replay":
        bench.act()
    assert len(outbox.sent) == 20
    assert not any(isinstance(each.content, bytes) for each in outbox.sent)
    first: Outgoing = outbox.sent[0]
    assert first.body == first.body, "it is the same whenever it is made"
    assert decode(first.body, 1, NOW, bench.applier.marks.reading(0, lambda _: None)) is not None


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("PostprocessingStepFinished", "FinishedStep"),
        ("PostprocessingStepFinished", "Outcome"),
        ("StartPostprocessingStep", "StepToStart"),
        ("PostprocessingFinished", "Outcome"),
        ("ResumePostprocessing", "Step"),
    ],
)
def test_s6_names_of_a_megabyte_are_not_remembered(kind: str, field: str) -> None:
    body = {"UploadID": "" if kind.startswith("Resume") else "u1", field: "x" * 700_000}
    event = decode(message(kind, json.dumps(body)), 1, NOW)
    assert event is not None
    assert max(len(str(value)) for value in _values(event.input)) <= MAX_NAME


def _values(event: object) -> list[object]:
    names = getattr(event, "__slots__", ()) or getattr(event, "_fields", ())
    return [getattr(event, name) for name in names]
