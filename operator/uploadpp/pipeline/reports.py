"""What is said about decisions: Events on resources, log lines, metrics and spans.

A replay decides anew, and by what it has read so far: the log may show later that the former owner had
decided otherwise. So during a replay each decision is only noted here. It is reported once one of our own
events in the log follows from it, or when the log is read to its end. What an own event takes back is never
reported.
"""

from collections.abc import Iterable

from uploadpp.core.config import Config
from uploadpp.core.decision import Decision
from uploadpp.core.inputs import Input, Published
from uploadpp.core.model import Millis, Upload
from uploadpp.core.rules.own_events import leads_to
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import Report, TrackedUpload
from uploadpp.telemetry.upload_log import log_transition


class Reports:
    """Those about the uploads of one shard."""

    def __init__(self, shared: Shared) -> None:
        self._config = shared.config
        self._metrics = shared.metrics
        self._faults = shared.faults
        self._tracing = shared.tracing

    def decided(
        self,
        tracked: TrackedUpload,
        before: Upload | None,
        decision: Decision,
        now: Millis,
        replayed: Input | None = None,
    ) -> None:
        """An upload has become another than `before`; in a replay, because of `replayed`."""
        if replayed is not None:
            self._note(tracked, Report(before, decision.upload, decision.notices, now), replayed)
            return
        after, notices = decision.upload, decision.notices
        tracked.notices += notices
        if before is not None:
            if self._tracing is not None:
                with self._faults.isolated(tracked):
                    self._tracing.moved(before, after, now)
            self._metrics.happened(before, after)
        moved = before is None or before.stage is not after.stage or before.cursor != after.cursor
        if moved or notices:
            log_transition(after, notices)

    def _note(self, tracked: TrackedUpload, report: Report, event: Input) -> None:
        before = report.before
        if isinstance(event, Published) and before is not None and tracked.unreported:
            if takes_back(before, report.after, event, report.now, self._config):
                report = Report(tracked.unreported[0].before, report.after, report.notices, report.now)
                tracked.unreported = ()
            elif _has_moved(before, report.after):
                self.say_all(tracked)
        tracked.unreported += (report,)

    def confirm(self, tracked: TrackedUpload, last: Report | None) -> None:
        """An own event in the log follows from a decision, so that one and those before it stand."""
        if last in tracked.unreported:
            count = tracked.unreported.index(last) + 1
            certain, tracked.unreported = tracked.unreported[:count], tracked.unreported[count:]
            self._say_each(tracked, certain)

    def say_all(self, tracked: TrackedUpload) -> None:
        """Nothing that was decided about an upload so far is taken back."""
        certain, tracked.unreported = tracked.unreported, ()
        self._say_each(tracked, certain)

    def _say_each(self, tracked: TrackedUpload, certain: Iterable[Report]) -> None:
        for each in certain:
            self.decided(tracked, each.before, Decision(each.after, notices=each.notices), each.now)


def takes_back(before: Upload, after: Upload, event: Published, now: Millis, config: Config) -> bool:
    """Whether an own event in the log shows that something had been decided otherwise.

    It leads to another state, and nothing that could have happened in the state before leads to the event.
    """
    return _has_moved(before, after) and not leads_to(before, event, now, config)


def _has_moved(before: Upload, after: Upload) -> bool:
    return (
        before.stage is not after.stage
        or (before.run, before.cursor, before.outcome) != (after.run, after.cursor, after.outcome)
        or before.plan != after.plan
    )
