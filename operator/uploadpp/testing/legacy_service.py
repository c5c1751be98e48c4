"""The legacy service, as far as the log shows it: it drives what it reads, and remembers nothing we do.

Its timers live in memory. Unlike the real one it finishes an upload once, however often a step
answers: what it destroys itself is not what these worlds are about.
"""

from dataclasses import dataclass

from uploadpp.core.config import Config
from uploadpp.core.model import DELAY_STEP
from uploadpp.testing.events import finished, start_step
from uploadpp.testing.stream_recorder import Record, StreamRecorder
from uploadpp.testing.virtual_loop import VirtualScheduler

SOON_SECONDS = 0.002
BACKOFF_SECONDS = 1.0


@dataclass(slots=True)
class _Record:
    """What it keeps of an upload."""

    failures: int = 0
    step: str = ""
    finished: bool = False


class FakeLegacyService:
    """Drives uploads for as long as it is `running`; what comes meanwhile is never read."""

    def __init__(self, kernel: VirtualScheduler, journal: StreamRecorder, config: Config) -> None:
        self._kernel = kernel
        self._journal = journal
        self._steps = {plan.name: plan for plan in config.steps}
        self._max_retries = max((plan.max_retries for plan in config.steps), default=0)
        self._uploads: dict[str, _Record] = {}
        self.running = False
        journal.listeners.append(self._on_record)

    def stop(self) -> None:
        """End, and forget all that is not in its store: its timers."""
        self.running = False

    def _on_record(self, record: Record) -> None:
        if self.running:
            self._kernel.after(SOON_SECONDS, self._read, record)

    def _read(self, record: Record) -> None:
        if not self.running:
            return
        match record.type:
            case "BytesReceived":
                self._uploads[record.upload] = _Record()
                self._go_on(record.upload, "")
            case "PostprocessingStepFinished" if record.upload in self._uploads:
                self._answered(record)
            case "StartPostprocessingStep" if self._is_delay(record):
                delay = self._steps[DELAY_STEP].delay / 1000
                self._kernel.after(delay, self._after_delay, record.upload)
            case "UploadReady" if not record.payload["Failed"]:
                self._uploads.pop(record.upload, None)

    def _is_delay(self, record: Record) -> bool:
        ours = record.upload in self._uploads and DELAY_STEP in self._steps
        return ours and record.payload["StepToStart"] == DELAY_STEP

    def _after_delay(self, upload: str) -> None:
        if self.running and upload in self._uploads:
            self._go_on(upload, DELAY_STEP)

    def _answered(self, record: Record) -> None:
        upload, outcome = record.upload, record.payload["Outcome"]
        if record.payload["FinishedStep"] != self._uploads[upload].step:
            return
        if outcome == "continue":
            self._go_on(upload, record.payload["FinishedStep"])
            return
        if outcome != "retry":
            self._finish(upload, outcome)
            return
        known = self._uploads[upload]
        known.step = ""
        known.failures += 1
        if known.failures > self._max_retries:
            self._finish(upload, "abort")
            return
        self._journal.publish("PostprocessingRetry", {"UploadID": upload, "Failures": known.failures})
        self._kernel.after(BACKOFF_SECONDS, self._start, upload, record.payload["FinishedStep"])

    def _go_on(self, upload: str, after: str) -> None:
        names = list(self._steps)
        following = names[names.index(after) + 1 :] if after in names else names
        if following:
            self._start(upload, following[0])
        else:
            self._finish(upload, "continue")

    def _start(self, upload: str, step: str) -> None:
        if self.running and upload in self._uploads:
            self._uploads[upload].step = step
            self._journal.publish("StartPostprocessingStep", start_step(upload, step))

    def _finish(self, upload: str, outcome: str) -> None:
        known = self._uploads[upload]
        if known.finished:
            return
        known.finished, known.step = True, ""
        self._journal.publish("PostprocessingFinished", finished(upload, outcome))
