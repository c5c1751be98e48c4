"""What cannot be processed: logged once per kind, counted, kept for a look, passed over (law 2.7)."""

import logging
import traceback
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from uploadpp.runtime.metrics import UNEXPECTED, Metrics
from uploadpp.wire.envelope import BadMessageError

log = logging.getLogger(__name__)

KEPT = 100
KINDS = 200
"""How many kinds of defect are told apart before they are no longer logged one by one."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """Where to find something that was passed over, and why it was. Never its content."""

    what: str
    where: str
    why: str


class Quarantine:
    """Bounded list of the last things passed over."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._kinds: set[str] = set()
        self.specimens: deque[Specimen] = deque(maxlen=KEPT)

    def bad_message(self, sequence: int, error: BadMessageError) -> None:
        """A message that should concern us cannot be understood."""
        self._metrics.bad_messages.labels(error.defect).inc()
        self._keep("message", f"sequence {sequence}", str(error), f"{error.defect}/{error.event_type}")

    def unexpected(self, sequence: int, error: Exception) -> None:
        """Our own code failed on a message: a bug, but no reason to stop the log."""
        self._metrics.bad_messages.labels(UNEXPECTED).inc()
        # Frames only: the words of an exception may quote the message.
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        at = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
        why = f"{type(error).__name__} at {at}; this is a bug, please report it"
        self._keep("message", f"sequence {sequence}", why, why)

    def upload(self, upload_id: str, why: str) -> None:
        """An upload that the API server or NATS will never take."""
        self._metrics.set_aside.inc()
        self.specimens.append(Specimen("upload", upload_id, why))
        log.error("upload passed over: %s", why, extra={"upload": upload_id})

    def _keep(self, what: str, where: str, why: str, kind: str) -> None:
        self.specimens.append(Specimen(what, where, why))
        if kind in self._kinds or len(self._kinds) >= KINDS:
            return
        self._kinds.add(kind)
        log.warning(
            "%s passed over: %s; later ones of this kind are only counted (uploadpp_bad_messages_total)",
            what,
            why,
            extra={"where": where},
        )
