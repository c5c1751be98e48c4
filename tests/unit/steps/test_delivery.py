"""What authors of steps test with: `deliver` and `Bench` are the service, without a NATS."""

import asyncio
import contextlib
import ssl
from dataclasses import fields
from pathlib import Path

import pytest

from uploadpp.steps import (
    Continue,
    Delete,
    DownloadError,
    Retry,
    Upload,
    User,
    Verdict,
    VirusscanResult,
    step,
)
from uploadpp.steps.download import Downloads
from uploadpp.steps.judge import Judge
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.service import StepService, Terms
from uploadpp.steps.testing import Bench, Delivery, Download, NotAnsweredError, deliver, deliver_async
from uploadpp.steps.testing.memory import MemoryBus
from uploadpp.testing.events import message

CONTENT = b"hello world" * 20_000


@step("mine", timeout=5)
async def mine(upload: Upload) -> Verdict:
    async with upload.open() as content:
        text = await content.read()
    return Delete(f"{upload.filename} {upload.size} {len(text)}{' again' if upload.redelivered else ''}")


def outcomes(delivery: Delivery) -> tuple[str, str, bool]:
    return delivery.outcome, delivery.message, delivery.failed


def test_the_verdict_and_what_is_published() -> None:
    delivery = deliver(mine, CONTENT)
    assert outcomes(delivery) == ("delete", f"file {len(CONTENT)} {len(CONTENT)}", False)
    assert isinstance(delivery.verdict, Delete)
    assert (delivery.runs, delivery.given_back, delivery.error) == (1, False, None)
    (event,) = delivery.published
    assert event is delivery.event
    assert event.type == "PostprocessingStepFinished"
    assert list(event.payload) == [
        "UploadID",
        "ExecutingUser",
        "Filename",
        "FinishedStep",
        "Result",
        "Error",
        "Outcome",
        "Timestamp",
    ]
    assert event.payload["FinishedStep"] == "mine"
    assert event.payload["Result"] == {"ErrorMsg": delivery.message}
    assert event.id == event.metadata["eventid"]
    assert b"PostprocessingStepFinished" in event.body


async def test_in_an_async_test() -> None:
    assert outcomes(await deliver_async(mine, b"hello")) == ("delete", "file 5 5", False)
    with pytest.raises(RuntimeError, match="await the async form"):
        deliver(mine, b"hello")


def test_a_file_or_an_upload(tmp_path: Path) -> None:
    path = tmp_path / "plan.pdf"
    path.write_bytes(b"hello")
    assert deliver(mine, path).message == "plan.pdf 5 5"
    assert deliver(mine, str(path)).message == "plan.pdf 5 5"
    assert deliver(mine, Upload.of(path, "x.pdf")).message == "x.pdf 5 5"
    with pytest.raises(FileNotFoundError):
        deliver(mine, tmp_path / "none")
    with pytest.raises(TypeError, match=r"Upload\.of"):
        deliver(mine, Upload(id="u", filename="x", size=1, opener=Upload.of(b"x").open))


def test_every_field_of_an_upload_reaches_the_step() -> None:
    seen: list[Upload] = []

    @step("mine")
    async def work(upload: Upload) -> Verdict:
        seen.append(upload)
        return Continue()

    made = Upload.of(
        b"hello",
        "ä/\x00 <&>.txt",
        User(id="u-1", username="mary", mail="m@example.org"),
        id="upload 1",
        size=7,
        space_id="s-1",
        resource_id="r-1",
        storage_id="st-1",
        step="mine",
        traceparent=f"00-{'4b' * 16}-{'0f' * 8}-01",
        redelivered=True,
    )
    defaults = Upload.of()
    for field in fields(Upload):
        assert getattr(made, field.name) != getattr(defaults, field.name), field.name
        if field.name not in {"step", "traceparent", "redelivered", "size"}:
            assert getattr(defaults, field.name), f"{field.name} has no default"
    deliver(work, made)
    assert seen == [made]


async def test_the_function_can_be_called_with_it_too(tmp_path: Path) -> None:
    path = tmp_path / "plan.pdf"
    path.write_bytes(CONTENT)
    verdict = await mine(Upload.of(path))
    assert verdict.message == f"plan.pdf {len(CONTENT)} {len(CONTENT)}"
    for size in (len(CONTENT) - 1, len(CONTENT) + 1):
        with pytest.raises(DownloadError):
            await mine(Upload.of(path, size=size))
    assert (await mine(Upload.of(path, size=0))).message == f"plan.pdf 0 {len(CONTENT)}"


@pytest.mark.parametrize(
    ("download", "message"),
    [
        (Download.CUT, "DownloadError: the download failed: ClientPayloadError"),
        (
            Download.SHORT,
            f"DownloadError: the download has {len(CONTENT) // 2} bytes, the upload {len(CONTENT)}",
        ),
        (Download.LARGER, f"DownloadError: the download has more than {len(CONTENT)} bytes, the upload"),
        (Download.MISSING, "DownloadError: the download answered 404"),
        (Download.EXPIRED, "DownloadError: the download answered 403"),
        (Download.REDIRECTED, "DownloadError: the download answered 307; redirects are followed to"),
        (Download.STALLED, "the step took longer than 0.3 s"),
        (Download.REFUSED, "DownloadError: the download failed: ClientConnectorError"),
    ],
)
def test_a_broken_download_is_a_retry(download: Download, message: str) -> None:
    delivery = deliver(mine, CONTENT, download=download, timeout=0.3 if download is Download.STALLED else 60)
    assert (delivery.outcome, delivery.failed, delivery.runs) == ("retry", True, 1)
    assert delivery.message.startswith(message)
    assert isinstance(delivery.verdict, Retry)
    assert isinstance(delivery.error, DownloadError) is (download is not Download.STALLED)


def test_each_way_a_download_breaks_has_a_row_above() -> None:
    rows = {row[0] for row in test_a_broken_download_is_a_retry.pytestmark[0].args[1]}  # type: ignore[attr-defined]
    assert rows == set(Download) - {Download.WHOLE}


@pytest.mark.parametrize("download", [Download.CUT, Download.SHORT, Download.STALLED])
def test_an_empty_file_cannot_be_cut(download: Download) -> None:
    with pytest.raises(ValueError, match=f"an empty file cannot be {download}"):
        deliver(mine, b"", download=download)
    assert deliver(mine, b"").message == "file 0 0"


def test_a_step_may_live_with_a_broken_download() -> None:
    @step("mine")
    async def lenient(upload: Upload) -> Verdict:
        with contextlib.suppress(DownloadError):
            async with upload.open() as content:
                await content.read()
        return Continue("whatever it is")

    assert outcomes(deliver(lenient, CONTENT, download=Download.CUT)) == ("continue", "whatever it is", False)


def test_limits_of_the_service_count() -> None:
    assert deliver(mine, b"hello", max_size=4).message.startswith("DownloadError: the upload has 5 bytes")
    assert "more than 4 bytes" in deliver(mine, Upload.of(b"hello", size=0), max_size=4).message


def test_a_redelivery_says_so() -> None:
    assert deliver(mine, b"x", redelivered=True).message.endswith(" again")
    assert deliver(mine, Upload.of(b"x", redelivered=True)).message.endswith(" again")


def test_copies_of_an_event_are_one_piece_of_work() -> None:
    delivery = deliver(mine, b"x", copies=3)
    assert (delivery.runs, len(delivery.published)) == (1, 1)


async def test_the_same_event_again_after_the_answer() -> None:
    async with Bench(mine) as bench:
        sent = bench.send(b"x")
        first = await sent.delivery()
        sent.deliver_again()
        other = await bench.send(b"y").delivery()  # read after it
        again = await sent.delivery()
    assert first == again
    assert (again.runs, other.runs) == (1, 1)
    assert other.event.payload["UploadID"] != again.event.payload["UploadID"]


async def test_two_uploads_at_once() -> None:
    """Each waits for the other one: neither would end if they were worked on one after another."""
    both = asyncio.Barrier(2)

    @step("mine", concurrency=2, timeout=5)
    async def work(upload: Upload) -> Verdict:
        await both.wait()
        return Continue(upload.filename)

    async with Bench(work) as bench:
        sent = [bench.send(Upload.of(b"x", name, id=name)) for name in ("a", "b")]
        assert [(await each.delivery()).message for each in sent] == ["a", "b"]


async def test_two_attempts_of_one_upload_at_once_have_one_answer() -> None:
    go = asyncio.Event()

    @step("mine", timeout=5)
    async def work(_: Upload) -> Verdict:
        await go.wait()
        return Continue()

    async with Bench(work) as bench:
        first = bench.send(Upload.of(b"x"))
        await first.begun()
        second = bench.send(Upload.of(b"x"))
        await bench.send(b"y").begun()  # read after it
        go.set()
        deliveries = [await first.delivery(), await second.delivery()]
    assert [each.runs for each in deliveries] == [1, 1]
    assert len(deliveries[1].published) == 1


async def test_more_uploads_than_a_step_works_on_at_once() -> None:
    busy = most = 0

    @step("mine", concurrency=2, timeout=5)
    async def work(_: Upload) -> Verdict:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1
        return Continue()

    async with Bench(work) as bench:
        sent = [bench.send(b"x") for _ in range(7)]
        assert {(await each.delivery()).outcome for each in sent} == {"continue"}
    assert most == 2


def test_a_termination_in_the_middle_gives_the_work_back() -> None:
    cleaned: list[str] = []

    @step("mine")
    async def slow(upload: Upload) -> Verdict:
        try:
            await asyncio.sleep(600)
        finally:
            cleaned.append(upload.id)
        return Continue()

    delivery = deliver(slow, b"x", terminate_after=0)
    assert delivery.given_back
    assert (delivery.runs, delivery.published, cleaned) == (1, (), ["test"])
    for ask in ("verdict", "outcome", "message", "event"):
        with pytest.raises(NotAnsweredError, match="given back"):
            getattr(delivery, ask)


def test_a_termination_with_time_to_end() -> None:
    @step("mine")
    async def quick(_: Upload) -> Verdict:
        await asyncio.sleep(0.1)
        return Continue("done")

    delivery = deliver(quick, b"x", terminate_after=0, drain=10)
    assert (delivery.given_back, delivery.message) == (False, "done")


async def test_the_next_process_goes_on() -> None:
    @step("mine")
    async def work(upload: Upload) -> Verdict:
        if not upload.redelivered:
            await asyncio.sleep(600)
        return Continue("again")

    async with Bench(work) as bench:
        sent = bench.send(b"x")
        await sent.begun()
        await bench.stop()
        assert not bench.running
        assert (await sent.delivery()).given_back
        await bench.restart()
        delivery = await sent.delivery()
    assert (delivery.message, delivery.runs, delivery.given_back) == ("again", 2, False)


def test_a_function_that_never_stops_does_not_keep_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploadpp.steps.judge.STOP_SECONDS", 0.05)
    monkeypatch.setattr("uploadpp.steps.testing.alone.END_SECONDS", 0.05)

    @step("mine")
    async def stubborn(_: Upload) -> Verdict:
        for _each in range(20):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(600)
        return Continue()

    assert outcomes(deliver(stubborn, b"x", timeout=0.05)) == (
        "retry",
        "the step took longer than 0.05 s",
        True,
    )


def test_what_cannot_be_sent_is_a_retry_here_too() -> None:
    """The result is changed after it was checked; and an answer is larger than NATS takes."""

    @step("mine")
    async def changes(_: Upload) -> Verdict:
        result: dict[str, object] = {}
        verdict = Continue(result=result)
        result["x"] = object()
        return verdict

    @step("mine")
    async def large(_: Upload) -> Verdict:
        return Continue(result={"x": "<" * 10_000})

    delivery = deliver(changes, b"x")
    assert (delivery.outcome, delivery.failed) == ("retry", True)
    assert delivery.event.payload["Outcome"] == "retry"

    async def delivered() -> Delivery:
        async with Bench(large, max_payload=20_000) as bench:
            return await bench.send(b"x").delivery()

    assert outcomes(asyncio.run(delivered())) == ("retry", "the answer is larger than NATS accepts", True)


def test_the_address_of_the_bytes_is_in_no_answer() -> None:
    @step("mine")
    async def quotes(upload: Upload) -> Verdict:
        cells = upload.opener.__wrapped__.__closure__  # type: ignore[attr-defined]
        url = next(str(cell.cell_contents) for cell in cells if "://" in str(cell.cell_contents))
        raise RuntimeError(f"no luck with {url}")

    delivery = deliver(quotes, b"x")
    assert delivery.message == "RuntimeError: no luck with <url>"
    assert "127.0.0.1" in str(delivery.error)


def test_a_result_of_a_scan() -> None:
    @step("virusscan")
    async def scan(_: Upload) -> Verdict:
        return Delete("Eicar", result=VirusscanResult(infected=True, description="Eicar"))

    result = deliver(scan, Upload.of(b"x", space_id="s-1")).event.payload["Result"]
    assert (result["Infected"], result["Description"], result["ResourceID"]["space_id"]) == (
        True,
        "Eicar",
        "s-1",
    )


def test_no_environment_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OCIS_EVENTS_ENDPOINT",
        "UPLOADPP_STEP_TIMEOUT",
        "UPLOADPP_STEP_DOWNLOAD_FROM",
        "HTTP_PROXY",
    ):
        monkeypatch.setenv(name, "nonsense")
    assert deliver(mine, b"x").outcome == "delete"


async def test_what_is_counted_is_what_was_published() -> None:
    """The verdict was delete, but it could not be sent."""

    async def large(_: Upload) -> Verdict:
        return Delete(result={"x": "<" * 10_000})

    metrics, bus, stop = StepMetrics("mine"), MemoryBus(max_payload=20_000), asyncio.Event()
    judge = Judge("mine", large, 5, Downloads(ssl.create_default_context(), lambda _: None), metrics)
    terms = Terms(concurrency=1, ack_wait_seconds=30, drain_seconds=0, since=None)
    stored = bus.starts.put(
        message(
            "StartPostprocessingStep", '{"UploadID":"u","StepToStart":"mine","URL":"http://127.0.0.1:9/"}'
        )
    )
    running = asyncio.create_task(StepService("mine", judge, terms, bus, metrics).run(stop))
    await stored.changed.wait()
    stop.set()
    bus.starts.wake()
    await running
    text = metrics.text().decode()
    assert 'uploadpp_step_answers_total{outcome="retry",step="mine"} 1.0' in text
    assert 'uploadpp_step_answers_total{outcome="delete"' not in text
