"""From a start to a verdict: runs the author's function, whatever it does."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from uploadpp.core.tracing import parse_traceparent
from uploadpp.steps.answer import failure, fit
from uploadpp.steps.download import Downloads
from uploadpp.steps.job import Job
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.upload import Upload, User
from uploadpp.steps.verdict import NoVerdict, Verdict
from uploadpp.wire.rawjson import whole

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
"""How long a function may take to stop."""

Work = Callable[[Upload], Awaitable[Verdict]]


@dataclass(slots=True)
class Attempt:
    """The work on one upload, as a trace sees it: what it carries on, and how it ended."""

    traceparent: str
    outcome: str = ""
    failure: str = ""


@dataclass(slots=True)
class _Late:
    """The function did not end within its timeout."""

    stopped: bool


async def _caught(work: Work, upload: Upload) -> object:
    """What a function returns or raises. SystemExit would end the process, and then the next one."""
    try:
        return await work(upload)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 -- whatever the author's code does, the upload gets an answer
        return error


Traced = Callable[[Job], AbstractContextManager[Attempt]]


@contextmanager
def untraced(job: Job) -> Iterator[Attempt]:
    """Carry on what the start came with."""
    yield Attempt(job.start.metadata["traceparent"])


class Judge:
    """Runs the step's function on one upload at a time, many at once."""

    def __init__(
        self,
        step: str,
        work: Work,
        timeout_seconds: float | None,
        downloads: Downloads,
        metrics: StepMetrics,
        traced: Traced = untraced,
    ) -> None:
        self._step = step
        self._work = work
        self._timeout_seconds = timeout_seconds
        self._downloads = downloads
        self._metrics = metrics
        self._left: set[asyncio.Task[object]] = set()
        self._traced = traced

    async def verdict(self, job: Job) -> Verdict:
        """The verdict; a retry with a message if the function fails, takes too long or returns nonsense."""
        with self._traced(job) as attempt:
            verdict, attempt.failure = await self._judge(job, attempt.traceparent)
            attempt.outcome = verdict.outcome
        return verdict

    async def _judge(self, job: Job, traceparent: str) -> tuple[Verdict, str]:
        """The verdict, and what kept the function from one of its own."""
        start, began = job.start, time.monotonic()
        reason, trace = "", parse_traceparent(traceparent)
        if trace is None:
            traceparent = ""  # it would be a header of the download, which cannot hold everything
        extra = {"step": self._step, "upload": start.upload_id}
        if trace is not None:
            extra["trace_id"] = f"{trace.id:032x}"
        ended = await self._run(self._upload(job, traceparent))
        if isinstance(ended, Verdict):
            verdict = fit(ended, self._step)
        elif isinstance(ended, _Late):
            reason, verdict = "timeout", NoVerdict(f"the step took longer than {self._timeout_seconds:g} s")
            if not ended.stopped:
                log.warning(
                    "the step function did not stop after its timeout and is still running", extra=extra
                )
        elif isinstance(ended, BaseException):
            reason = "cancelled" if isinstance(ended, asyncio.CancelledError) else "exception"
            verdict = failure(ended, start)
            if reason == "exception":
                log.warning("the step failed: %s", verdict.message, extra=extra)
        else:
            verdict = fit(ended, self._step)
        seconds = time.monotonic() - began
        if reason:
            self._metrics.failures.labels(self._step, reason).inc()
        self._metrics.duration.labels(self._step, verdict.outcome).observe(seconds)
        log.info("%s after %.3f s", verdict.outcome, seconds, extra=extra)
        return verdict, reason

    async def _run(self, upload: Upload) -> object:
        """What the function returned or raised, or that it is late. Only being told to stop is raised.

        The function has a task of its own: it may cancel that one, but not us, and we do not wait
        without end for one that does not listen.
        """
        task = asyncio.create_task(_caught(self._work, upload))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timeout_seconds)
        except asyncio.CancelledError:
            await self._stop(task)
            raise
        if not done:
            return _Late(stopped=await self._stop(task))
        return asyncio.CancelledError() if task.cancelled() else task.result()

    async def _stop(self, task: asyncio.Task[object]) -> bool:
        """Whether it stopped when it was cancelled."""
        self._left.add(task)  # the loop alone would forget it
        task.add_done_callback(self._left.discard)
        task.cancel()
        await asyncio.wait({task}, timeout=STOP_SECONDS)
        return task.done()

    def _upload(self, job: Job, traceparent: str) -> Upload:
        start, user_id = job.start, job.start.user.get("id")
        return Upload(
            id=start.upload_id,
            filename=start.filename,
            size=start.size,
            user=User(
                id=_word(user_id if isinstance(user_id, dict) else {}, "opaque_id"),
                username=_word(start.user, "username"),
                mail=_word(start.user, "mail"),
            ),
            space_id=_word(start.resource, "space_id"),
            resource_id=_word(start.resource, "opaque_id"),
            storage_id=_word(start.resource, "storage_id"),
            step=self._step,
            traceparent=traceparent,
            redelivered=job.redelivered,
            opener=self._downloads.opener(start.url, start.size, traceparent),
        )


def _word(value: dict[str, object], name: str) -> str:
    word = value.get(name)
    return whole(word) if isinstance(word, str) else ""
