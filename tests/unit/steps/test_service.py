"""A step service and one message that nobody has foreseen."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from uploadpp.steps import service
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.service import StepService, Terms


async def test_s2_a_message_that_nobody_has_foreseen_ends_no_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of our own about one message: each next process would be given it as well."""

    def broken(*_: object) -> None:
        raise KeyError("not foreseen")

    monkeypatch.setattr(service, "decode_start", broken)
    metrics, acknowledged = StepMetrics("scan"), list[int]()
    terms = Terms(concurrency=1, ack_wait_seconds=30, drain_seconds=1, since=None)
    step = StepService("scan", cast("Any", None), terms, cast("Any", None), metrics)

    async def ack() -> None:
        acknowledged.append(7)

    place = SimpleNamespace(sequence=SimpleNamespace(stream=7))
    message = SimpleNamespace(metadata=place, data=b"x", ack=ack)
    assert await step._receive(cast("Any", message)) is False
    assert acknowledged == [7]
    assert metrics.registry.get_sample_value("uploadpp_step_bad_messages_total", {"step": "scan"}) == 1
    assert [getattr(record, "sequence", 0) for record in caplog.records] == [7]
