"""Whatever the author's function does, there is a verdict; being told to stop is none."""

import asyncio
import contextlib
import json
import ssl
import sys
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from nats.aio.msg import Msg

from uploadpp.core.model import Millis
from uploadpp.steps import Continue, Delete, Retry, Upload, Verdict, VirusscanResult
from uploadpp.steps import judge as judge_module
from uploadpp.steps.answer import encode_answer
from uploadpp.steps.download import Downloads
from uploadpp.steps.job import Jobs
from uploadpp.steps.judge import Judge
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.start import decode_start
from uploadpp.testing.events import message

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


async def exits(_: Upload) -> Verdict:
    sys.exit(3)


async def is_interrupted(_: Upload) -> Verdict:
    raise KeyboardInterrupt


class OwnError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


async def raises_its_own(_: Upload) -> Verdict:
    raise OwnError


async def raises_a_group(_: Upload) -> Verdict:
    raise BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError("x")])


async def cancels_its_task(_: Upload) -> Verdict:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(60)
    return Continue()


class Unmade(Continue):
    def __init__(self) -> None:
        pass


async def returns_something_unmade(_: Upload) -> Verdict:
    return Unmade()


async def returns_a_changed_one(_: Upload) -> Verdict:
    verdict = Delete("x")
    verdict.outcome = "remove"  # type: ignore[assignment,misc]
    return verdict


async def returns_a_function(_: Upload) -> Any:  # noqa: ANN401 -- a mistake
    return asyncio.sleep


async def answers_when_its_time_is_over(_: Upload) -> Verdict:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    return Continue("too late")


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (exits, "SystemExit: 3"),
        (is_interrupted, "KeyboardInterrupt: no message"),
        (raises_its_own, "OwnError: its message cannot be read"),
        (raises_a_group, "BaseExceptionGroup: several (2 sub-exceptions)"),
        (cancels_its_task, "CancelledError: no message"),
        (returns_something_unmade, "the step returned a Unmade that was not made by its constructor"),
        (returns_a_changed_one, "the step returned a Delete that was not made by its constructor"),
        (returns_a_function, "the step returned function instead of a verdict"),
        (answers_when_its_time_is_over, "the step took longer than 1 s"),
    ],
)
async def test_no_function_ends_the_process_or_goes_without_an_answer(
    work: Callable[[Upload], Awaitable[Any]], text: str
) -> None:
    verdict, _ = await judged(work, 1)
    assert isinstance(verdict, Retry)
    assert verdict.message == text


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_module, "STOP_SECONDS", 0.05)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("told", ["time", "stop"])
async def test_a_function_that_does_not_stop_is_not_waited_for(told: str) -> None:
    release = asyncio.Event()

    async def stubborn(_: Upload) -> Verdict:
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()
        return Continue()

    task = asyncio.create_task(judged(stubborn, 0.05 if told == "time" else None))
    if told == "time":
        verdict, failures = await task
        assert (verdict.message, failures) == ("the step took longer than 0.05 s", 1)
    else:
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    release.set()
    await asyncio.sleep(0)


LONG = [
    "x" * 700_000,
    "https://" * 90_000,
    "eyJ" * 230_000,
    "eyJa." * 140_000,
    "\0\x1b[2J\u202e\n" * 100_000,
    "\ud800" * 700_000,
    " " * 700_000,
]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
async def test_whatever_the_reason_holds_the_answer_is_short_and_clean(text: str) -> None:
    """From a verdict, from an exception and from a scan."""

    async def fails_with_it(_: Upload) -> Verdict:
        raise ValueError(text)

    failed, _ = await judged(fails_with_it)
    start = decode_start(message("StartPostprocessingStep", START), "mine", 1)
    assert start is not None
    scanned = VirusscanResult(infected=True, description=text)
    for verdict in (failed, Delete(text), Delete(text, result=scanned)):
        body = json.loads(encode_answer(start, verdict, Millis(0)).body)
        result = json.loads(b64decode(body["Payload"]))["Result"] or {}
        for said in result.values():
            assert not isinstance(said, str) or (len(said) <= 1024 and said.isprintable())
