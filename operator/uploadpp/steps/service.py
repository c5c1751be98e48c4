"""One process that works on one step: fetch, work, answer, acknowledge; in this order."""

import asyncio
import contextlib
import logging
import math
import time
from dataclasses import dataclass
from datetime import timedelta

import nats.errors
from nats.aio.msg import Msg
from nats.js.errors import APIError

from uploadpp.process.clock import wall_clock
from uploadpp.steps.answer import encode_answer, failure
from uploadpp.steps.bus import Bus
from uploadpp.steps.job import Job, Jobs
from uploadpp.steps.judge import Judge
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.start import Start, decode_start
from uploadpp.steps.verdict import NoVerdict, Verdict
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.envelope import BadMessageError
from uploadpp.wire.publisher import HEADER_BYTES, TOO_LARGE

log = logging.getLogger(__name__)

MAX_BATCH = 64
AGAIN_SECONDS = 1.0
MOST_DELIVERIES = 5
"""A start at which so many processes have ended without an answer may be what ends them."""
FIRST_NOTED = 3
"""From this delivery on it is noted that work begins, and taken back when it is given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a step is worked on."""

    concurrency: int
    ack_wait_seconds: float
    drain_seconds: float
    since: timedelta | None
    max_age_seconds: float | None = None


class StepService:
    """Works on the starts of a step until it is told to stop."""

    def __init__(self, step: str, judge: Judge, terms: Terms, bus: Bus, metrics: StepMetrics) -> None:
        self._step = step
        self._judge = judge
        self._terms = terms
        self._bus = bus
        self._metrics = metrics
        self._jobs = Jobs()
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._per_start = 1.0
        self.processing = 0
        """The sequence of the message that was taken last."""
        self._draining = False
        self._refusal = ""

    @property
    def problem(self) -> str:
        """Why it does not take work, in words; empty when it does."""
        if self._draining:
            return "draining"
        found = self._bus.problem
        if found or self._bus.starts.bound:
            return found
        return f"JetStream does not answer: {self._refusal}" if self._refusal else "JetStream does not answer"

    @property
    def busy(self) -> bool:
        """Whether something was begun and is not answered."""
        return bool(self._tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop, then end what was begun."""
        try:
            while not stop.is_set():
                try:
                    await self._bus.starts.open(self._terms.max_age_seconds)
                    log.info("waiting for work", extra={"step": self._step})
                    await self._take(stop)
                except (nats.errors.Error, TimeoutError) as error:
                    self._refusal = str(error) or type(error).__name__
                    log.warning("cannot fetch work: %s", self._refusal)
                    await self._bus.starts.close()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(AGAIN_SECONDS):
                            await stop.wait()
        finally:
            await self._drain()

    async def _take(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            free = self._terms.concurrency - len(self._tasks)
            if free <= 0:
                self._room.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(AGAIN_SECONDS):
                        await self._room.wait()
                continue
            # Most messages are not for us; but what is must not wait here while others are idle.
            messages = await self._bus.starts.fetch(min(MAX_BATCH, math.ceil(free * self._per_start)))
            ours = sum([await self._receive(message) for message in messages])
            if ours:
                self._per_start = len(messages) / ours
            elif messages:
                self._per_start = min(2 * self._per_start, MAX_BATCH)
            if messages:
                self._metrics.unread.set(messages[-1].metadata.num_pending)

    async def _receive(self, message: Msg) -> bool:
        """Take a message; True when it is a start of our step."""
        sequence = self.processing = message.metadata.sequence.stream
        try:
            start = decode_start(message.data, self._step, sequence)
        except BadMessageError as error:
            self._metrics.bad_messages.inc()
            log.warning("skipped a message: %s", error, extra={"sequence": sequence})
            start = None
        except Exception:
            # It would end this process, and then each next one that is given the message.
            self._metrics.bad_messages.inc()
            log.exception("skipped a message; this is a bug, please report it", extra={"sequence": sequence})
            start = None
        message.data = b""  # it may have a megabyte, and a thousand may wait for the end of the same work
        if start is None:
            await message.ack()
            return False
        if self._jobs.answered(start):
            self._metrics.repeated.inc()
            await message.ack()
        elif self._jobs.join(start, message):
            self._metrics.repeated.inc()
        elif len(self._tasks) >= self._terms.concurrency:
            await message.nak()  # another process may be idle
        else:
            job = self._jobs.add(start, message)
            task = asyncio.create_task(self._do(job))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the work on an upload ended without an answer", exc_info=error)

    async def _do(self, job: Job) -> None:
        self._metrics.starts.inc()
        self._metrics.redelivered.inc(job.redelivered)
        self._metrics.age.observe(max(0.0, time.time() - job.messages[0].metadata.timestamp.timestamp()))
        beat = asyncio.create_task(self._beat(job))
        answered = False
        try:
            with self._metrics.running.track_inprogress():
                verdict = await self._given_up(job) or await self._judge.verdict(job)
            answer, verdict = self._encode(job.start, verdict)
            self._jobs.judged(job)
            verdict = await self._store(answer, verdict, job.start)
            answered = True
            self._metrics.answers.labels(self._step, verdict.outcome).inc()
            await job.done()
        finally:
            beat.cancel()
            self._jobs.end(job, answered=answered)
            if job.noted and self._draining and not answered:
                await self._bus.starts.take_back(job.sequence)
            await job.give_back()

    async def _given_up(self, job: Job) -> Verdict | None:
        """A retry for an upload that may be what ends the process; None while it may be worked on.

        Deliveries alone do not tell: a process that stops, or has no room, gives work back.
        """
        times = job.deliveries - 1
        if job.deliveries < FIRST_NOTED:
            return None
        noted = await self._bus.starts.note_begun(job.sequence)
        job.noted = noted is not None
        if noted is not None:
            times = min(times, noted + FIRST_NOTED - 1)
        if times < MOST_DELIVERIES:
            return None
        why = f"the step crashed or was interrupted {times} times while it worked on this upload"
        log.error(why, extra={"step": self._step, "upload": job.start.upload_id})
        self._metrics.failures.labels(self._step, "interrupted").inc()
        return NoVerdict(why)

    async def _beat(self, job: Job) -> None:
        """Keep the work: the server gives it to nobody else as long as it hears from us."""
        while True:
            await asyncio.sleep(self._bus.starts.ack_wait_seconds / 3)
            await job.in_progress()

    def _encode(self, start: Start, verdict: Verdict) -> tuple[Outgoing, Verdict]:
        """The event, and the verdict in it: a retry when the one that was given cannot be sent."""
        now = wall_clock()
        try:
            answer = encode_answer(start, verdict, now)
        except Exception as error:  # noqa: BLE001 -- a result that was changed after it was checked
            verdict = failure(error, start)
            answer = encode_answer(start, verdict, now)
        if self._fits(answer):
            return answer, verdict
        # What comes from the upload may be nearly as long as a message can be; the operator knows it anyway.
        for shorter in (start.anonymous, start.bare):
            answer = encode_answer(shorter, verdict, now)
            if self._fits(answer):
                return answer, verdict
        return self._shortest(start, "the answer is larger than NATS accepts")

    def _fits(self, answer: Outgoing) -> bool:
        return len(answer.body) + HEADER_BYTES <= self._bus.max_payload

    def _shortest(self, start: Start, why: str) -> tuple[Outgoing, Verdict]:
        """An answer that nothing which came with an upload makes long: without one its work never ends."""
        verdict = NoVerdict(why)
        return encode_answer(start.bare, verdict, wall_clock()), verdict

    async def _store(self, answer: Outgoing, verdict: Verdict, start: Start) -> Verdict:
        """Publish until the stream has it; returns the verdict that it has."""
        while True:
            try:
                await self._bus.publish(answer)
            except APIError as error:
                log.warning("the answer is not stored, retrying: %s", error)
                if error.err_code == TOO_LARGE:  # it never will be
                    answer, verdict = self._shortest(start, "the answer is larger than the stream accepts")
                await asyncio.sleep(AGAIN_SECONDS)
            except nats.errors.MaxPayloadError:  # another server, which takes less
                answer, verdict = self._shortest(start, "the answer is larger than NATS accepts")
                await asyncio.sleep(AGAIN_SECONDS)
            except (nats.errors.Error, TimeoutError) as error:
                log.warning("the answer is not stored, retrying: %s", str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return verdict

    async def _drain(self) -> None:
        self._draining = True
        await self._bus.starts.close()
        if self._tasks:
            log.info("finishing work in progress", extra={"step": self._step, "uploads": len(self._tasks)})
            _, late = await asyncio.wait(self._tasks, timeout=self._terms.drain_seconds)
            for task in late:
                task.cancel()
            if late:
                log.warning(
                    "returning unfinished work to NATS", extra={"step": self._step, "uploads": len(late)}
                )
                await asyncio.gather(*late, return_exceptions=True)
