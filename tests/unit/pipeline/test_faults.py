"""What was passed over: counted, kept within bounds, said once per kind."""

import logging

import pytest

from uploadpp.pipeline.faults import KEPT, KINDS, Faults
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire.envelope import BadMessageError, Defect


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def count(metrics: Metrics, defect: str) -> float:
    return metrics.registry.get_sample_value("uploadpp_bad_messages_total", {"defect": defect}) or 0


def test_said_once_per_kind(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(metrics)
    for sequence in range(5):
        faults.bad_message(sequence, BadMessageError(Defect.NOT_JSON, "broken", "events.UploadReady"))
        faults.bad_message(sequence, BadMessageError(Defect.NOT_JSON, "broken", "events.CleanUpload"))
    assert len(caplog.records) == 2
    assert {vars(record)["where"] for record in caplog.records} == {"sequence 0"}
    assert count(metrics, "NotJSON") == 10


def test_bounds(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(metrics)
    for number in range(KINDS + 50):
        faults.bad_message(number, BadMessageError(Defect.NOT_JSON, "x", f"events.Type{number}"))
    assert len(faults.dead_letters) == KEPT
    assert faults.dead_letters[-1].where == f"sequence {KINDS + 49}"
    assert len(caplog.records) == KINDS


def test_a_bug_is_located_and_the_message_not_quoted(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    faults = Faults(metrics)
    for sequence in range(3):
        try:
            int("s3cr3t")
        except ValueError as error:
            faults.unexpected(sequence, error)
    (record,) = caplog.records
    text = logging.Formatter().format(record)
    assert "ValueError at test_faults.py:" in text
    assert "s3cr3t" not in text
    assert count(metrics, "Unexpected") == 3


def test_every_upload_is_named(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(metrics)
    faults.upload("u-1", "too large")
    faults.upload("u-2", "too large")
    assert [vars(record)["upload"] for record in caplog.records] == ["u-1", "u-2"]
    assert metrics.registry.get_sample_value("uploadpp_uploads_set_aside_total") == 2
