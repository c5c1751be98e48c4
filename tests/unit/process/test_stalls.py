"""A loop that stands still is measured, and the log says where it stood."""

import asyncio
import logging
import threading
import time

import pytest
from prometheus_client import CollectorRegistry

from uploadpp.process.stalls import BEAT_SECONDS, QUIET_SECONDS, STALL_SECONDS, StallMetrics, StallWatch


async def test_a_stall_is_on_metrics_and_its_stack_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    told = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            del record
            told.set()

    log = logging.getLogger("uploadpp.process.stalls")
    handler = Told()
    log.addHandler(handler)
    watch = StallWatch(StallMetrics(registry), lambda: "sequence 7")
    watch.start()
    try:
        stand_still(told, "hunter2")
        await asyncio.sleep(2 * BEAT_SECONDS)  # a beat that was late, before the watch is over
    finally:
        watch.stop()
        log.removeHandler(handler)
    (record,) = [each for each in caplog.records if each.name == log.name]
    assert "has been blocked" in record.getMessage()
    assert vars(record)["processing"] == "sequence 7"
    assert "in stand_still" in (record.stack_info or "")
    assert "hunter2" not in (record.stack_info or "").replace('stand_still(told, "hunter2")', "")
    longest = registry.get_sample_value("uploadpp_loop_longest_stall_seconds")
    assert longest is not None
    assert longest >= STALL_SECONDS - BEAT_SECONDS


def stand_still(told: threading.Event, secret: str) -> None:
    assert secret
    assert told.wait(60), "nobody has noticed"


async def test_the_tasks_of_the_loop_are_counted() -> None:
    registry = CollectorRegistry()
    watch = StallWatch(StallMetrics(registry))
    watch.start()
    before = registry.get_sample_value("uploadpp_loop_tasks")
    task = asyncio.create_task(asyncio.sleep(60))
    assert before is not None
    assert registry.get_sample_value("uploadpp_loop_tasks") == before + 1
    task.cancel()
    watch.stop()


def test_stacks_are_logged_once_for_a_stall_and_not_often(caplog: pytest.LogCaptureFixture) -> None:
    now = [1000.0]
    watch = StallWatch(StallMetrics(CollectorRegistry()), clock=lambda: now[0])
    watch.look()
    assert not caplog.records
    for seconds, lines in ((STALL_SECONDS, 1), (STALL_SECONDS, 1), (QUIET_SECONDS, 1)):
        now[0] += seconds
        watch.look()
        assert len(caplog.records) == lines
    watch._beat_at = now[0]
    now[0] += STALL_SECONDS
    watch.look()
    assert len(caplog.records) == 2


async def test_a_loop_that_runs_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    clock = time.monotonic
    watch = StallWatch(StallMetrics(registry), clock=lambda: clock() / 1000)
    watch.start()
    await asyncio.sleep(3 * BEAT_SECONDS)
    watch.stop()
    assert not caplog.records
    assert registry.get_sample_value("uploadpp_loop_longest_stall_seconds") == 0
