"""Whatever the author's function does, there is a verdict; being told to stop is none."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from nats.aio.msg import Msg

from tests.wiretext import message
from uploadpp.steps import Continue, Delete, Retry, Upload, Verdict
from uploadpp.steps.download import Downloads
from uploadpp.steps.job import Jobs
from uploadpp.steps.judge import Judge
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.start import decode_start

START = (
    '{"UploadID":"u","StepToStart":"mine","URL":"http://127.0.0.1:9/data/0123456789abcdefghij","Filesize":9,'
    '"ExecutingUser":{"id":{"opaque_id":"u-1"},"username":7},"ResourceID":{"space_id":"s"}}'
)


class Delivered:
    """A message of the stream, as far as it is looked at."""

    class metadata:  # noqa: N801 -- nats-py's name
        num_delivered = 2


async def judged(
    work: Callable[[Upload], Awaitable[Any]], timeout_seconds: float | None = 10
) -> tuple[Verdict, float]:
    """The verdict, and how many failures were counted."""
    metrics = StepMetrics("mine")
    downloads = Downloads(ssl.create_default_context(), lambda _: None)
    start = decode_start(message("StartPostprocessingStep", START), "mine", 1)
    assert start is not None
    job = Jobs().add(start, cast("Msg", Delivered()))
    try:
        verdict = await Judge("mine", work, timeout_seconds, downloads, metrics).verdict(job)
    finally:
        await downloads.close()
    counted = [s.value for m in metrics.failures.collect() for s in m.samples]
    return verdict, sum(counted)


async def returns(upload: Upload) -> Verdict:
    assert upload.user.id == "u-1"
    assert upload.user.username == ""
    assert upload.redelivered
    return Continue("fine")


async def raises(_: Upload) -> Verdict:
    raise Delete("bad")


async def test_a_verdict_is_returned_or_raised() -> None:
    assert isinstance((await judged(returns))[0], Continue)
    verdict, failures = await judged(raises)
    assert isinstance(verdict, Delete)
    assert failures == 0


async def fails(_: Upload) -> Verdict:
    raise RuntimeError("no luck with https://storage.test/x")


async def says_nothing(_: Upload) -> Verdict:
    raise ValueError


async def hangs(_: Upload) -> Verdict:
    await asyncio.sleep(600)
    return Continue()


async def gives_up_itself(_: Upload) -> Verdict:
    async with asyncio.timeout(0.01):
        await asyncio.sleep(600)
    return Continue()


async def cancels_itself(_: Upload) -> Verdict:
    raise asyncio.CancelledError


async def cannot_download(upload: Upload) -> Verdict:
    async with upload.open() as content:
        await content.read()
    return Continue()


async def forgets(_: Upload) -> None:
    return None


@pytest.mark.parametrize(
    ("work", "timeout_seconds", "text", "failures"),
    [
        (fails, 10, "RuntimeError: no luck with <url>", 1),
        (says_nothing, 10, "ValueError: no message", 1),
        (hangs, 0.05, "the step took longer than 0.05 s", 1),
        (gives_up_itself, 10, "TimeoutError: no message", 1),
        (cancels_itself, 10, "CancelledError: no message", 1),
        (cannot_download, 10, "DownloadError: the download failed: ClientConnectorError", 1),
        (forgets, 10, "the step returned NoneType instead of a verdict", 0),
    ],
)
async def test_everything_else_is_a_retry(
    work: Callable[[Upload], Awaitable[Any]], timeout_seconds: float, text: str, failures: int
) -> None:
    verdict, counted = await judged(work, timeout_seconds)
    assert isinstance(verdict, Retry)
    assert verdict.message == text
    assert counted == failures


async def test_being_told_to_stop_is_no_verdict() -> None:
    task = asyncio.create_task(judged(hangs))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_author_is_not_taken_for_one_of_the_download() -> None:
    async def work(_: Upload) -> Verdict:
        async with Upload.of(b"x").open():
            raise ValueError("mine")

    assert (await judged(work))[0].message == "ValueError: mine"
