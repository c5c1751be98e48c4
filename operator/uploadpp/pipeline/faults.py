"""Faults and dead letters: logged once per kind, counted, kept for inspection, skipped (invariant 2.7).

Every loop that serves many uploads does the work on each of them inside `Faults.isolated`: an unexpected
exception ends the work on that upload and is reported on its resource, and the others continue.
"""

import logging
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uploadpp.core.commands import Notice
from uploadpp.kube.errors import OlderStoreError
from uploadpp.kube.lease import LeaseLostError
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.fence import FencedError
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.telemetry.metrics import UNEXPECTED, Metrics
from uploadpp.wire.envelope import BadMessageError

log = logging.getLogger(__name__)

KEPT = 100
KINDS = 200
"""Maximum number of kinds of defect that are logged one by one."""
SAID = 1000
"""Maximum number of faults that are remembered, so that none is reported repeatedly."""
AFTER_FAULT_MS = 60_000
"""A timer on which our own code fails is retried after this time."""
ENDS = (LeaseLostError, FencedError, OlderStoreError)
"""Errors that end the ownership of all uploads, not only the work on one."""
Post = Callable[[str, str, Notice], None]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Where to find a dead letter, and why it is one. Never its content."""

    what: str
    where: str
    why: str


class Faults:
    """Reports faults, and keeps a bounded list of the last dead letters."""

    def __init__(
        self,
        metrics: Metrics,
        post: Post | None = None,
        gave_up: Callable[[TrackedUpload], None] | None = None,
    ) -> None:
        """Take who is told of a fault.

        Args:
            metrics: where faults are counted.
            post: says something on a resource, given its name and uid; None where nothing can be said.
            gave_up: called for an upload on which our own code failed, when others may wait for what it has
                taken; None when nobody can.
        """
        self._metrics = metrics
        self._post = post
        self._gave_up = gave_up
        self._kinds: set[str] = set()
        self._said: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.dead_letters: deque[DeadLetter] = deque(maxlen=KEPT)

    def bad_message(self, sequence: int, error: BadMessageError) -> None:
        """A message that should concern us cannot be understood."""
        self._metrics.bad_messages.labels(error.defect).inc()
        self._keep("message", f"sequence {sequence}", str(error), f"{error.defect}/{error.event_type}")

    def unexpected(
        self, sequence: int, error: Exception, upload_id: str = "", tracked: TrackedUpload | None = None
    ) -> None:
        """Our own code failed on a message: a bug, but no reason to stop the log."""
        self._metrics.bad_messages.labels(UNEXPECTED).inc()
        why = f"{_where(error)}; this is a bug, please report it"
        self._keep("message", f"sequence {sequence}", why, why)
        if tracked is not None:
            self.report(tracked, error)
        elif upload_id:
            self.resource_fault("", "", error, upload_id)

    @contextmanager
    def isolated(self, tracked: TrackedUpload | None) -> Iterator[None]:
        """Whatever fails about one upload ends nothing but the work on that one."""
        try:
            yield
        except ENDS:
            raise
        except Exception as error:  # noqa: BLE001 -- logged in `Faults.report`
            self.report(tracked, error)

    def report(self, tracked: TrackedUpload | None, error: Exception) -> None:
        """Our own code failed on an upload: report it once, in the log and on its resource."""
        name, uid = (tracked.name, tracked.stored.uid if tracked.stored else "") if tracked else ("", "")
        self.resource_fault(name, uid, error, tracked.upload.id if tracked else "")
        if tracked is not None and self._gave_up is not None:
            self._gave_up(tracked)

    def count(self) -> None:
        """Our own code failed, which is reported elsewhere."""
        self._metrics.faults.inc()

    def resource_fault(self, name: str, uid: str, error: Exception, upload_id: str = "") -> None:
        """Our own code failed on a resource."""
        self.count()
        where = _where(error)
        kind = (uid or name or upload_id, where)
        if kind in self._said:
            return
        self._said[kind] = None
        if len(self._said) > SAID:
            self._said.popitem(last=False)
        extra = {"upload": upload_id, "resource": name}
        log.error("internal error on an upload: %s; other uploads continue", where, extra=extra)
        if uid and self._post is not None:
            self._post(name, uid, fault_event_texts.operator_failed(error))

    def upload(self, upload_id: str, why: str) -> None:
        """An upload that the API server or NATS will never accept."""
        self._metrics.set_aside.inc()
        self.dead_letters.append(DeadLetter("upload", upload_id, why))
        log.error("upload set aside: %s", why, extra={"upload": upload_id})

    def _keep(self, what: str, where: str, why: str, kind: str) -> None:
        self.dead_letters.append(DeadLetter(what, where, why))
        if kind in self._kinds or len(self._kinds) >= KINDS:
            return
        self._kinds.add(kind)
        log.warning(
            "%s skipped: %s; further ones of this kind are only counted (uploadpp_bad_messages_total)",
            what,
            why,
            extra={"where": where},
        )


def _where(error: Exception) -> str:
    """Where our code failed. Frames only, because the text of an exception may quote the message."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    at = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {at}"
