"""A step service and one message that nobody has foreseen."""

import asyncio
import ssl
from types import SimpleNamespace
from typing import Any, cast

import pytest

from uploadpp.steps import Delete, Upload, User, Verdict, VirusscanResult, service, step
from uploadpp.steps.download import Downloads
from uploadpp.steps.judge import Judge
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.service import MOST_DELIVERIES, StepService, Terms
from uploadpp.steps.testing import Bench, Event
from uploadpp.steps.testing.memory import MemoryBus
from uploadpp.testing.events import message


async def test_s2_a_message_that_nobody_has_foreseen_ends_no_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of our own about one message: each next process would be given it as well."""

    def broken(*_: object) -> None:
        raise KeyError("not foreseen")

    monkeypatch.setattr(service, "decode_start", broken)
    metrics, acknowledged = StepMetrics("scan"), list[int]()
    terms = Terms(concurrency=1, ack_wait_seconds=30, drain_seconds=1, since=None)
    working = StepService("scan", cast("Any", None), terms, cast("Any", None), metrics)

    async def ack() -> None:
        acknowledged.append(7)

    place = SimpleNamespace(sequence=SimpleNamespace(stream=7))
    odd = SimpleNamespace(metadata=place, data=b"x", ack=ack)
    assert await working._receive(cast("Any", odd)) is False
    assert acknowledged == [7]
    assert metrics.registry.get_sample_value("uploadpp_step_bad_messages_total", {"step": "scan"}) == 1
    assert [getattr(record, "sequence", 0) for record in caplog.records] == [7]


@pytest.mark.parametrize(
    "upload",
    [
        Upload.of(b"x", user=User(id="u" * 30_000)),
        Upload.of(b"x", "n" * 30_000),
        Upload.of(b"x", space_id="s" * 30_000),
        Upload.of(b"x", user=User(mail="m" * 15_000), filename="n" * 15_000, space_id="s" * 15_000),
    ],
    ids=["user", "name", "space", "all"],
)
async def test_s1_nothing_that_comes_with_an_upload_keeps_its_answer_from_being_sent(upload: Upload) -> None:
    """An answer repeats it. It was tried to be sent forever, and after a few such uploads none was begun."""

    @step("virusscan", timeout=5)
    async def scan(_: Upload) -> Verdict:
        return Delete("Eicar", result=VirusscanResult(infected=True, description="Eicar"))

    async with Bench(scan, max_payload=20_000) as bench, asyncio.timeout(30):
        delivery = await bench.send(upload).delivery()
    assert (delivery.outcome, delivery.message, delivery.failed) == ("delete", "Eicar", False)
    assert delivery.event.payload["Result"]["Description"] == "Eicar"
    assert len(delivery.event.body) <= 20_000


@pytest.mark.parametrize(("before", "outcome"), [(MOST_DELIVERIES - 1, "delete"), (MOST_DELIVERIES, "retry")])
async def test_s1_a_file_on_which_each_process_ends_is_a_retry_in_the_end(before: int, outcome: str) -> None:
    """As when a converter takes all memory: it was begun again and again, and others with it."""

    async def convert(_: Upload) -> Verdict:
        return Delete("done")

    metrics, bus, stop = StepMetrics("convert"), MemoryBus(), asyncio.Event()
    downloads = Downloads(ssl.create_default_context(), lambda _: None)
    judge = Judge("convert", convert, 5, downloads, metrics)
    terms = Terms(concurrency=1, ack_wait_seconds=30, drain_seconds=0, since=None)
    payload = '{"UploadID":"u","StepToStart":"convert","URL":"http://127.0.0.1:9/"}'
    stored = bus.starts.put(message("StartPostprocessingStep", payload), before)
    running = asyncio.create_task(StepService("convert", judge, terms, bus, metrics).run(stop))
    async with asyncio.timeout(30):
        await stored.changed.wait()
    stop.set()
    bus.starts.wake()
    await running
    (body,) = bus.published.values()
    answer = Event.of(body).payload
    assert answer["Outcome"] == outcome
    said = "the step crashed or was interrupted 5 times while it worked on this upload"
    assert answer["Result"] == {"ErrorMsg": said if outcome == "retry" else "done"}
