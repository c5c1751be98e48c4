"""Log lines about an upload: one at its end, and one for each thing that a person should know before.

Everything else is on the level debug: a busy system cannot afford more, and the resource has the steps.
"""

import logging
from collections.abc import Iterable

from uploadpp.core.commands import Notice, NoticeType
from uploadpp.core.conditions import describe
from uploadpp.core.model import Upload
from uploadpp.core.tracing import FAILED

log = logging.getLogger(__name__)

TOLD_BY_THE_END = frozenset({"Rejected", "RetriesExhausted", "UploadFailed", "Gone", "Unanswered"})
"""Reasons of notices that say no more than the line about the upload's end."""
EXPECTED = frozenset({"RetryScheduled", "ReleaseFailed"})
"""Warnings that need no action yet."""


def log_transition(upload: Upload, notices: Iterable[Notice]) -> None:
    """Log that an upload has reached a stage, or that there is news about it."""
    for notice in notices:
        expected = notice.type is NoticeType.NORMAL or notice.reason in EXPECTED
        level = logging.INFO if expected else logging.WARNING
        if notice.reason not in TOLD_BY_THE_END:
            log.log(level, "%s: %s", notice.reason, notice.message, extra=_fields(upload))
    if upload.stage.ended:
        level = logging.WARNING if upload.stage in FAILED else logging.INFO
        log.log(level, "%s: %s", upload.stage, describe(upload), extra=_fields(upload))
    elif log.isEnabledFor(logging.DEBUG):
        log.debug("%s", upload.stage, extra=_fields(upload))


def _fields(upload: Upload) -> dict[str, str | int | float]:
    fields: dict[str, str | int | float] = {"upload": upload.id, "run": upload.run}
    if upload.stage.in_step and upload.cursor < len(upload.steps):
        fields |= {"step": upload.current_step, "attempt": upload.step.attempts}
    if upload.stage.ended:
        fields["outcome"] = upload.outcome or ""
        fields["retries"] = upload.retry_count
        fields["seconds"] = (
            (upload.completed_at or upload.since) - (upload.started_at or upload.since)
        ) / 1000
    return fields
