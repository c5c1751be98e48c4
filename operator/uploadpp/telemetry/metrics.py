"""All metrics in one place; the table in docs/metrics.md is generated from here."""

import sys
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from uploadpp import __version__
from uploadpp.core.commands import Kind
from uploadpp.core.inputs import Input
from uploadpp.core.model import Upload
from uploadpp.core.states import ENDED, Ignored, Outcome, Stage, StepReason
from uploadpp.core.text import clean
from uploadpp.kube.errors import Refusal
from uploadpp.process.stalls import StallMetrics
from uploadpp.telemetry.counters import UnlockedCounters
from uploadpp.telemetry.policy_metrics import PolicyMetrics
from uploadpp.telemetry.upload_ages import UploadAges
from uploadpp.wire.envelope import Defect
from uploadpp.wire.marks import Unproven

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series of times of creation for each counter helps nobody

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
UNEXPECTED = "Unexpected"
"""A message on which our own code failed, among the defects of messages."""
MAX_STEP_NAMES, MAX_STEP_NAME = 100, 63
OTHER = "other"
"""The label for all steps beyond the maximum."""
NO_ANSWER = "timeout"
"""The outcome of attempts that nothing answered in time. In the state of the upload it is `retry` as well."""
WRITES = ("create", "status", "patch")
FAILED_WRITES = ("conflict", "refused", "unavailable")


class StepNames:
    """Step names as label values: clean, and limited in number.

    Steps of resources that people make are words of theirs, and each would be a series that stays.
    """

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}

    def label(self, step: str) -> str:
        """The name, or `other` when it comes after too many others."""
        try:
            return self._labels[step]
        except KeyError:
            if len(self._labels) >= MAX_STEP_NAMES:
                return OTHER
            found = self._labels[step] = clean(step, MAX_STEP_NAME)
            return found


class Family:
    """A histogram with labels; finding a child costs a dictionary look-up and no lock."""

    def __init__(self, metric: Histogram) -> None:
        self._labels: Callable[..., Histogram] = cache(metric.labels)

    def labels(self, *values: str) -> Histogram:
        """The child with these labels."""
        return self._labels(*values)


def _add_process(registry: CollectorRegistry) -> None:
    """What the process takes. Memory stays at its last peak; the blocks tell whether anything is kept."""
    ProcessCollector(registry=registry)
    blocks = Gauge("uploadpp_memory_blocks", "Blocks of memory that Python has allocated.", registry=registry)
    blocks.set_function(sys.getallocatedblocks)


class Metrics:
    """The metrics of one process. Labels never hold ids, names of files or users."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self._begun: set[str] = set()

        def counter(name: str, text: str, *labels: str) -> UnlockedCounters:
            return UnlockedCounters(CounterMetricFamily, f"uploadpp_{name}", text, labels, registry=r)

        def gauge(name: str, text: str, *labels: str) -> UnlockedCounters:
            return UnlockedCounters(GaugeMetricFamily, f"uploadpp_{name}", text, labels, registry=r)

        def seconds(name: str, text: str, *labels: str) -> Family:
            return Family(Histogram(f"uploadpp_{name}", text, labels, buckets=SECONDS, registry=r))

        self.steps = StepNames()
        self.build = gauge("build_info", "Always 1; the version is the label.", "version")
        self.build.labels(__version__).set(1)
        self.events = counter(
            "log_events", "Messages of the stream that concern postprocessing, by kind of input.", "input"
        )
        self.ignored = counter("inputs_ignored", "Inputs that changed nothing, by reason.", "reason")
        self.bad_messages = counter("bad_messages", "Malformed messages, by defect.", "defect")
        self.foreign_marks = counter(
            "foreign_marks",
            "Events with a mark that this operator has not signed, by reason. The mark is ignored.",
            "reason",
        )
        self.set_aside = Counter(
            "uploadpp_uploads_set_aside", "Uploads that were set aside. The log says why.", registry=r
        )
        self.faults = Counter(
            "uploadpp_upload_faults",
            "Exceptions in the operator's code about single uploads. They are bugs; other uploads continue.",
            registry=r,
        )
        self.messages_set_aside = Counter(
            "uploadpp_messages_set_aside",
            "Messages that were skipped because they crash the process.",
            registry=r,
        )
        self.messages_missed = Counter(
            "uploadpp_messages_missed", "Messages that the stream removed before they were read.", registry=r
        )
        self.storage_checks = counter(
            "storage_checks",
            "Checks whether the storage still has an upload, by result.",
            "result",
        )
        self.published = counter("published", "Events published, by kind.", "kind")
        self.uploads = gauge(
            "uploads", "Uploads that the operator tracks, by stage and step.", "stage", "step"
        )
        self.finished = counter("uploads_ended", "Uploads that ended, by stage.", "stage")
        self.duration = seconds(
            "step_duration_seconds",
            "Time from the start of an attempt to its answer, or to its time-out (outcome timeout).",
            "step",
            "outcome",
        )
        self.slots = gauge(
            "step_slots",
            "Slots at a step with maxInFlight. With minInFlight it is the present limit.",
            "step",
        )
        self.slots_used = gauge(
            "step_slots_used",
            "Slots in use. Uploads that wait for one are in uploadpp_uploads with stage Queued.",
            "step",
        )
        self.queue_seconds = seconds(
            "step_queue_seconds",
            "Time that uploads waited at a step with maxInFlight or breakerAfter.",
            "step",
        )
        self.breaker_open = gauge(
            "step_breaker_open",
            "Steps with breakerAfter: number of shards of this replica in which the breaker is open.",
            "step",
        )
        self.retries = counter("step_retries", "Retries of steps.", "step")
        self.legacy = Gauge(
            "uploadpp_legacy_service_members",
            "Consumers that the legacy service reads through. While there are any, the operator starts no "
            "step and finishes no upload, unless legacyService.onReturn is Continue.",
            registry=r,
        )
        self.stalled = Gauge("uploadpp_uploads_stalled", "Uploads with the condition Stalled.", registry=r)
        self.writes = counter(
            "checkpoint_writes", "Requests to the API server, by verb and result.", "verb", "result"
        )
        self.refused = counter(
            "records_refused", "Writes of uploads that failed and are retried, by reason.", "reason"
        )
        self.unrecorded = Gauge(
            "uploadpp_uploads_unrecorded",
            "Uploads whose state the API server refuses. They continue, and are recorded later.",
            registry=r,
        )
        self.recorded = Gauge(
            "uploadpp_uploads_recorded",
            "Resources of uploads in the shards that this replica owns.",
            registry=r,
        )
        self.recorded_limit = Gauge(
            "uploadpp_uploads_recorded_limit",
            "Maximum number of recorded uploads in all shards (UPLOADPP_MAX_RECORDED).",
            registry=r,
        )
        self.texts = Gauge(
            "uploadpp_upload_texts_characters",
            "Characters of long texts (users, names, URLs) of uploads in memory. The limit is 64 Mi.",
            registry=r,
        )
        self.wrong_key = Gauge(
            "uploadpp_sealing_key_wrong",
            "1 while this replica lacks the key that sealed the resources. /readyz shows which key.",
            registry=r,
        )
        self.differing = Gauge(
            "uploadpp_settings_differ",
            "1 while this replica is on standby with other steps than the owner.",
            registry=r,
        )
        self.write_seconds = seconds(
            "checkpoint_write_seconds",
            "Duration of successful writes to the API server, by verb.",
            "verb",
        )
        self.unsaved = Gauge(
            "uploadpp_checkpoint_lag_uploads", "Uploads whose state is newer than their resource.", registry=r
        )
        self.unacked = Gauge(
            "uploadpp_log_unacknowledged", "Messages read and not yet acknowledged.", registry=r
        )
        self.unread = Gauge(
            "uploadpp_log_unread", "Messages in the stream that were not read yet.", registry=r
        )
        self.log_lag = Gauge(
            "uploadpp_log_lag_seconds",
            "Age of the last message read while there are unread messages, otherwise 0.",
            registry=r,
        )
        self.listeners = gauge(
            "step_listeners", "1 while a service listens for the step, 0 when none does.", "step"
        )
        self.answered_at: dict[str, float] = {}
        """When configured steps last answered, in seconds of the monotonic clock (`step_listeners`)."""
        self.ages, self.policies = UploadAges(r, self.steps.label), PolicyMetrics(r)
        self.loop = StallMetrics(r)
        self.owner = gauge("shard_owned", "1 while this process owns the shard.", "shard")
        self.epoch = gauge("shard_epoch", "Epoch of the owner; it rises with each take-over.", "shard")
        _add_process(r)
        self._begin_at_zero()

    def count_foreign(self, why: Unproven) -> None:
        """Count a mark that is not ours."""
        self.foreign_marks.labels(why).inc()

    def _begin_at_zero(self) -> None:
        """Export counters that are still 0: Prometheus sees no increase in a counter that begins with 1."""
        for reason in Ignored:
            self.ignored.labels(reason)
        for defect in (*Defect, UNEXPECTED):
            self.bad_messages.labels(defect)
        for why in Unproven:
            self.foreign_marks.labels(why)
        for kind in Kind:
            self.published.labels(kind)
        for stage in ENDED:
            self.finished.labels(stage)
        for each in get_args(Input):
            self.events.labels(each.__name__)
        for verb in WRITES:
            self.writes.labels(verb, "ok")
        for refusal in Refusal:
            self.refused.labels(refusal)
        for failure in FAILED_WRITES:
            self.writes.labels("any", failure)

    def _begin_step_at_zero(self, step: str) -> None:
        """Export the counters of a step before its first answer, for the same reason."""
        if step not in self._begun:
            self._begun.add(step)
            for outcome in (Outcome.CONTINUE, NO_ANSWER):
                self.duration.labels(step, outcome)
            self.retries.labels(step)

    def moved(self, before: Upload | None, after: Upload | None) -> None:
        """Count an upload that came, moved or went where it is now."""
        if before is None or after is None or _has_moved(before, after):
            self._counted(before, after)
        was_stalled = before is not None and before.stalled_at is not None
        is_stalled = after is not None and after.stalled_at is not None
        if was_stalled is not is_stalled:
            self.stalled.inc(1 if is_stalled else -1)

    def happened(self, before: Upload, after: Upload) -> None:
        """Count what has happened to an upload between two states, once that is certain."""
        if after.stage.ended and not before.stage.ended:
            self.finished.labels(after.stage).inc()
        if after.steps is not before.steps:
            self._observe_step(before, after)

    def _counted(self, before: Upload | None, after: Upload | None) -> None:
        """Count an upload at the stage and step where it is now."""
        if before is not None:
            self.uploads.labels(before.stage, self.steps.label(before.current_step)).dec()
        if after is not None:
            step = self.steps.label(after.current_step)
            self.uploads.labels(after.stage, step).inc()
            if after.stage is Stage.RUNNING:
                self._begin_step_at_zero(step)

    def watch_answers(self, steps: Iterable[str]) -> None:
        """Note from now on when each of these steps has answered."""
        self.answered_at = dict.fromkeys(steps, float("-inf"))

    def _observe_step(self, before: Upload, after: Upload) -> None:
        at = before.cursor
        if before.run != after.run or at >= len(before.steps) or at >= len(after.steps):
            return
        old, new = before.steps[at], after.steps[at]
        if new is old:  # it is the next step that has changed
            return
        if new.retries > old.retries:
            self.retries.labels(self.steps.label(before.current_step)).inc()
        if old.finished_at is None and new.finished_at is not None and new.started_at is not None:
            outcome = NO_ANSWER if new.reason is StepReason.TIMED_OUT else new.outcome
            if not outcome:  # cut short by a person or the storage: neither an answer nor a time to measure
                return
            step, seconds = before.current_step, (new.finished_at - new.started_at) / 1000
            if step in self.answered_at and outcome != NO_ANSWER:
                self.answered_at[step] = time.monotonic()
            self.duration.labels(self.steps.label(step), outcome).observe(max(seconds, 0.0))

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)


def _has_moved(before: Upload, after: Upload) -> bool:
    """Whether stage or current step may be others: half of all changes leave both as they are."""
    return (
        before.stage is not after.stage
        or before.cursor != after.cursor
        or before.plan is not after.plan
        or before.outcome is not after.outcome
    )
