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
from uploadpp.steps.verdict import Retry, Verdict
from uploadpp.wire.rawjson import whole

log = logging.getLogger(__name__)

Work = Callable[[Upload], Awaitable[Verdict]]


@dataclass(slots=True)
class Attempt:
    """The work on one upload, as a trace sees it: what it carries on, and how it ended."""

    traceparent: str
    outcome: str = ""
    failure: str = ""


Traced = Callable[[Job], AbstractContextManager[Attempt]]


@contextmanager
def untraced(job: Job) -> Iterator[Attempt]:
    """Carry on what the start came with."""
    yield Attempt(job.start.metadata["traceparent"])


class Judge:
    """Runs the step's function on one upload at a time, many at once."""

    def __init__(
        self, step: str, work: Work, timeout_seconds: float | None, downloads: Downloads, metrics: StepMetrics
    ) -> None:
        self._step = step
        self._work = work
        self._timeout_seconds = timeout_seconds
        self._downloads = downloads
        self._metrics = metrics
        self.traced: Traced = untraced

    async def verdict(self, job: Job) -> Verdict:
        """The verdict; a retry with a message if the function fails, takes too long or returns nonsense."""
        with self.traced(job) as attempt:
            verdict, attempt.failure = await self._judge(job, attempt.traceparent)
            attempt.outcome = verdict.outcome
        return verdict

    async def _judge(self, job: Job, traceparent: str) -> tuple[Verdict, str]:
        """The verdict, and what kept the function from one of its own."""
        start, began = job.start, time.monotonic()
        reason, trace = "", parse_traceparent(traceparent)
        extra = {"step": self._step, "upload": start.upload_id}
        if trace is not None:
            extra["trace_id"] = f"{trace.id:032x}"
        try:
            async with asyncio.timeout(self._timeout_seconds) as limit:
                verdict = fit(await self._work(self._upload(job, traceparent)), self._step)
        except Verdict as raised:
            verdict = fit(raised, self._step)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # we are told to stop
            reason, verdict = "cancelled", failure(error, start)
        except Exception as error:  # noqa: BLE001 -- whatever the author's code does, the upload gets an answer
            reason, verdict = "exception", failure(error, start)
            if limit.expired() and isinstance(error, TimeoutError):
                reason = "timeout"
                verdict = Retry(f"the step took longer than {self._timeout_seconds:g} s")
            else:
                log.warning("the step failed: %s", verdict.message, extra=extra)
        seconds = time.monotonic() - began
        if reason:
            self._metrics.failures.labels(self._step, reason).inc()
        self._metrics.duration.labels(self._step, verdict.outcome).observe(seconds)
        log.info("%s after %.3f s", verdict.outcome, seconds, extra=extra)
        return verdict, reason

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
