"""A step as it runs in production, on a stream in memory and a storage on loopback."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Self

from uploadpp.core.commands import Kind, Mark, StartStep
from uploadpp.core.model import Origin, StepPlan
from uploadpp.core.model import Upload as CoreUpload
from uploadpp.process.clock import wall_clock
from uploadpp.steps.decorator import Step
from uploadpp.steps.download import Downloads, Limits
from uploadpp.steps.job import Job
from uploadpp.steps.judge import Judge
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.service import StepService, Terms
from uploadpp.steps.start import Start
from uploadpp.steps.testing.delivery import Delivery, Event
from uploadpp.steps.testing.loopback import Download, Storage
from uploadpp.steps.testing.memory import MAX_PAYLOAD, MemoryBus, Stored
from uploadpp.steps.upload import UNNAMED, Upload
from uploadpp.steps.verdict import NoVerdict, Verdict
from uploadpp.storage.sources import Source
from uploadpp.wire.encode import Outgoing, encode
from uploadpp.wire.rawjson import go_json, whole


@dataclass(eq=False, slots=True)
class _Note:
    """What is seen of the work on one upload."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    runs: int = 0
    seconds: float = 0.0
    error: BaseException | None = None
    verdict: Verdict | None = None


class _WatchedService(StepService):
    """The service, which also notes what it says."""

    def __init__(
        self,
        step: str,
        judge: Judge,
        terms: Terms,
        bus: MemoryBus,
        metrics: StepMetrics,
        *,
        notes: dict[str, _Note],
    ) -> None:
        super().__init__(step, judge, terms, bus, metrics)
        self.notes = notes

    async def _do(self, job: Job) -> None:
        began = time.monotonic()
        try:
            await super()._do(job)
        finally:
            self.notes[job.start.upload_id].seconds = time.monotonic() - began

    def _encode(self, start: Start, verdict: Verdict) -> tuple[Outgoing, Verdict]:
        answer, verdict = super()._encode(start, verdict)
        self.notes[start.upload_id].verdict = verdict
        return answer, verdict


@dataclass(eq=False, slots=True)
class _Process:
    """One process of the step."""

    stop: asyncio.Event
    task: asyncio.Task[None]
    downloads: Downloads


class Bench:
    """A step on a stream in memory and a storage on loopback: `async with Bench(step) as bench`.

    It is one process of the step at a time; `stop` is SIGTERM, `restart` lets the next process go on.
    """

    def __init__(
        self,
        step: Step,
        *,
        timeout: float | None = None,
        drain: float = 0.0,
        limits: Limits | None = None,
        max_payload: int = MAX_PAYLOAD,
    ) -> None:
        """Nothing runs yet.

        Args:
            step: the step.
            timeout: seconds for one upload, 0 for no limit; the step's own by default.
            drain: seconds that work which was begun has to end, once the process is told to stop.
            limits: what may be downloaded; as `--max-size` and `--download-from` say.
            max_payload: the most bytes of a message, as a NATS is configured.
        """
        self._step = step
        self._timeout_seconds = step.timeout_seconds if timeout is None else timeout or None
        self._drain_seconds = drain
        self._limits = limits or Limits()
        self._bus = MemoryBus(max_payload)
        self._storage = Storage()
        self._notes: dict[str, _Note] = {}
        self._sent = 0
        self._process: _Process | None = None
        self.downloaded = 0
        """Bytes that the step has read."""

    async def __aenter__(self) -> Self:
        await self._storage.start()
        await self.restart()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
        finally:
            await self._storage.close()

    def send(
        self,
        upload: Upload | bytes | Path | str,
        *,
        download: Download = Download.WHOLE,
        redelivered: bool = False,
    ) -> "Sent":
        """Start the step for an upload, as the operator does, with an event of its own.

        Args:
            upload: what `Upload.of` has made, or the bytes, or the path of a file. Several at once need
                different ids; bytes and files get one each.
            download: how the bytes reach the step.
            redelivered: whether the start was delivered before, as after a crash.

        Raises:
            OSError: the file cannot be looked at.
            ValueError: the download cannot be broken like that.
        """
        self._sent += 1
        if not isinstance(upload, Upload):
            content = upload if isinstance(upload, bytes) else Path(upload)
            upload = Upload.of(content, id=UNNAMED if self._sent == 1 else f"{UNNAMED}-{self._sent}")
        if download in {Download.CUT, Download.SHORT, Download.STALLED} and not upload.local.size():
            raise ValueError(f"a download of an empty file cannot be {download}")
        url = self._storage.url(upload.local, download)
        stored = self._bus.starts.put(
            _start(self._step.name, upload, url, self._sent), int(redelivered or upload.redelivered)
        )
        self._notes.setdefault(upload.id, _Note())
        return Sent(self, upload, stored)

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and not self._process.task.done()

    async def stop(self) -> None:
        """Tell the process to stop, as SIGTERM does, and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.stop.set()
        self._bus.starts.wake()
        try:
            await process.task
        finally:
            await process.downloads.close()

    async def restart(self) -> None:
        """Let another process take over."""
        await self.stop()
        metrics = StepMetrics(self._step.name)
        limits = self._limits
        if limits.sources:
            limits = replace(limits, sources=(*limits.sources, Source.parse(self._storage.base)))
        downloads = Downloads(SSLContext(PROTOCOL_TLS_CLIENT), self._count, limits)
        judge = Judge(self._step.name, self._work, self._timeout_seconds, downloads, metrics)
        terms = Terms(
            concurrency=self._step.concurrency,
            ack_wait_seconds=self._bus.starts.ack_wait_seconds,
            drain_seconds=self._drain_seconds,
            since=None,
        )
        stop = asyncio.Event()
        service = _WatchedService(self._step.name, judge, terms, self._bus, metrics, notes=self._notes)
        self._process = _Process(stop, asyncio.create_task(service.run(stop)), downloads)

    def _count(self, size: int) -> None:
        self.downloaded += size

    async def _work(self, upload: Upload) -> Verdict:
        """Call the step's function, and look at what it raises."""
        note = self._notes[upload.id]
        note.runs += 1
        note.error = None
        note.begun.set()
        try:
            return await self._step.work(upload)
        except (Verdict, asyncio.CancelledError):
            raise
        except BaseException as error:
            note.error = error
            raise

    def _delivery(self, upload: Upload, stored: Stored) -> Delivery:
        note = self._notes[upload.id]
        events = [Event.of(body) for body in self._bus.published.values()]
        return Delivery(
            published=tuple(each for each in events if each.payload["UploadID"] == upload.id),
            runs=note.runs,
            seconds=note.seconds,
            failed=isinstance(note.verdict, NoVerdict),
            given_back=not stored.acknowledged,
            error=note.error,
            given=note.verdict if stored.acknowledged else None,
        )

    async def _settled(self, stored: Stored) -> None:
        """Wait until a message is acknowledged, or until nobody is there who could do it."""
        while not stored.acknowledged and self._process is not None and self.running:
            stored.changed.clear()
            changed = asyncio.ensure_future(stored.changed.wait())
            try:
                await asyncio.wait({changed, self._process.task}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()


class Sent:
    """An upload that a step was started for."""

    def __init__(self, bench: Bench, upload: Upload, stored: Stored) -> None:
        self._bench = bench
        self._stored = stored
        self.upload = upload

    async def begun(self) -> None:
        """Wait until the step's function is called."""
        await self._bench._notes[self.upload.id].begun.wait()  # noqa: SLF001 -- two halves of one thing

    async def delivery(self) -> Delivery:
        """Wait for the answer, or for the end of the process that gives the work back."""
        await self._bench._settled(self._stored)  # noqa: SLF001
        return self._bench._delivery(self.upload, self._stored)  # noqa: SLF001

    def deliver_again(self) -> None:
        """Deliver the same event once more, as the stream does when it hears nothing from a process."""
        self._bench._bus.starts.deliver(self._stored)  # noqa: SLF001


def _start(step: str, upload: Upload, url: str, number: int) -> bytes:
    """StartPostprocessingStep, as the operator sends it."""
    now = wall_clock()
    user = {
        "id": {"idp": "https://idp.example.org", "opaque_id": upload.user.id, "type": 1},
        "username": upload.user.username,
        "mail": upload.user.mail,
    }
    resource = {
        "storage_id": upload.storage_id,
        "opaque_id": upload.resource_id,
        "space_id": upload.space_id,
    }
    origin = Origin(
        url=go_json(url),
        filename=go_json(whole(upload.filename)),
        filesize=str(upload.size),
        executing_user=go_json(user),
        resource_id=go_json(resource),
        traceparent=upload.traceparent,
    )
    known = CoreUpload(upload.id, now, origin=origin, plan=(StepPlan(name=step),))
    return encode(StartStep(Mark(Kind.START, now, 1, number, step)), upload.id, known, now).body
