"""Uploads whose state could not be written: retried with growing pauses, and reported (invariant 2.7).

Theory of operation. A write that fails, for whatever reason, is *parked*: its upload goes on in
memory, its messages stay unacknowledged, and no writer waits for it. Each further failure doubles
the pause, up to half a minute; when many are parked, the pauses grow with their number, so that
all of them together ask no more than four times a second. The first of them that succeeds wakes
the others that failed for the same reason: when a refusal ends, the records catch up at once.

While writes of one verb fail one after another, new uploads are parked without being tried.
If an upload keeps failing while writes of others succeed, it is *refused alone*, whatever the reason: it may
never be written, so it must not hold back the others for good (docs/adr/0063).
What bounds the memory is the window: with that many messages unacknowledged the server hands out
no more of them (`wire.stream.MAX_ACK_PENDING`), and /readyz says so.
"""

import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from zlib import crc32

from uploadpp.core.commands import Notice
from uploadpp.kube.errors import ApiError, Refusal, UnavailableError
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.tracked_upload import Refused, TrackedUpload, failed
from uploadpp.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_AWAY_SECONDS = 5.0
"""Pause while the API server does not answer at all: once it is back, everything can be written."""
PROBES_PER_SECOND = 4.0
IN_A_ROW = 8
"""After this many failures of one verb without a success, new uploads are not tried any more."""
LASTING_SECONDS = 2.0
"""A failure that is shorter than this does not make the process unready."""
REPEAT_SECONDS = 600.0
"""The same reason is logged and posted at most this often."""
KEPT_AFTER_END_SECONDS = 600.0
"""How long the operator tries to record an upload that has ended without a resource."""
MOST_KEPT_AFTER_END = 10_000
LATE_SECONDS = 60.0
"""How long a request without an answer may still arrive at the API server, at the most."""
NAMED_SECONDS = 60.0
"""An Event names an upload that is refused alone at most this often."""


class Refusals:
    """The parked uploads of one shard.

    Invariant: an upload is parked if and only if `tracked.refused` is set and it is not gone; it is in the
    heap or, from `due` until its next write has succeeded or failed, with the checkpoint.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float], news: Callable[[Notice], None]) -> None:
        """`news` is called when a reason is met for the first time, or again after some minutes."""
        self._metrics = metrics
        self._clock = clock
        self._news = news
        self._heap: list[tuple[float, int, TrackedUpload]] = []
        self._tried: set[TrackedUpload] = set()
        """Those that are with the checkpoint: until that ends they are refused as before."""
        self._count = 0
        self._failures: Counter[str] = Counter()
        self._failing_since: dict[str, float] = {}
        self._written: Counter[str] = Counter()
        self._named_at = float("-inf")
        self._said: dict[Refusal, float] = {}
        self._words: dict[Refusal, str] = {}
        self._last: dict[str, Refusal] = {}
        self._ended: dict[TrackedUpload, float] = {}
        self._written_at: float | None = None

    def __len__(self) -> int:
        return sum(1 for _ in self._entries())

    def _entries(self) -> Iterator[TrackedUpload]:
        return (tracked for _, _, tracked in self._heap if not tracked.gone)

    def _refused(self) -> Iterator[tuple[TrackedUpload, Refused]]:
        tried = (each for each in self._tried if not each.gone)
        return ((each, each.refused) for each in chain(self._entries(), tried) if each.refused is not None)

    def _reasons(self) -> Counter[Refusal]:
        return Counter(refused.reason for _, refused in self._refused())

    @property
    def refused(self) -> int:
        """Uploads that the API server refuses, as distinct from those for which it did not answer."""
        return sum(count for reason, count in self._reasons().items() if reason is not Refusal.UNREACHABLE)

    @property
    def written_ago(self) -> float | None:
        """Seconds since the API server last accepted a state; None before the first."""
        return None if self._written_at is None else self._clock() - self._written_at

    @property
    def words(self) -> str:
        """Why most of them could not be written; empty when there are none. One alone is named."""
        if alone := self.alone_words:
            return alone
        most = self._reasons().most_common(1)
        return self._words.get(most[0][0], "") if most else ""

    @property
    def alone_words(self) -> str:
        """Which upload is refused alone, why, and what can be done; empty when none is."""
        found = [(each, refused) for each, refused in self._refused() if refused.is_alone]
        if not found:
            return ""
        first, refused = next((each for each in found if not each[0].is_unrecorded_end), found[0])
        text = fault_event_texts.alone(first.upload.id, refused.reason, refused.words)
        return f"{text} (and {len(found) - 1} more)" if len(found) > 1 else text

    @property
    def disabled(self) -> str:
        """Why nothing can be recorded at present; empty if something can, or if nothing has to be."""
        now = self._clock()
        for verb, since in self._failing_since.items():
            lasts = now - since >= LASTING_SECONDS and bool(self._heap)
            if lasts and self._last[verb] in {Refusal.UNREACHABLE, Refusal.PERMISSION}:
                return self._words[self._last[verb]]
        return ""

    def blocks(self, verb: str) -> bool:
        """Whether a first attempt would probably fail, judging by the last ones."""
        return self._failures[verb] >= IN_A_ROW and bool(self._heap)

    def park(self, tracked: TrackedUpload, verb: str, error: ApiError | None = None) -> None:
        """Try an upload again later. Without an error it was not tried: the last failure stands for it."""
        asked = 0.0
        self._tried.discard(tracked)
        if error is not None:
            self._failures[verb] += 1
            self._failing_since.setdefault(verb, self._clock())
            before, over = tracked.refused, self._clock() if tracked.upload.stage.ended else None
            refused = tracked.refused = failed(before, error, verb, self._written[verb], over)
            self._last[verb], self._words[refused.reason] = refused.reason, str(error)
            # Its answer may be what got lost. But alone, an attempt after the end says so in an annotation.
            told = before is not None and before.over_since is not None
            tracked.maybe_made |= refused.reason is Refusal.UNREACHABLE
            tracked.maybe_made |= refused.reason is Refusal.PROXY and not told
            self._metrics.refused.labels(refused.reason).inc()
            if refused.is_alone:
                self._tell_alone(tracked, refused, first=before is None or not before.is_alone)
            else:
                self._tell(tracked, error)
            asked = error.retry_after if isinstance(error, UnavailableError) else 0.0
        elif tracked.refused is None:
            tracked.refused = Refused(self._last[verb], 1, verb, self._written[verb])
        self._count += 1
        due = self._clock() + max(self._pause(tracked, tracked.refused), asked)
        heapq.heappush(self._heap, (due, self._count, tracked))

    def _pause(self, tracked: TrackedUpload, refused: Refused) -> float:
        away = refused.reason is Refusal.UNREACHABLE
        longest = LONGEST_PAUSE_AWAY_SECONDS if away else LONGEST_PAUSE_SECONDS
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(refused.attempts - 1, 20), longest)
        # Not by chance: a simulated run must be repeatable.
        share = crc32(f"{tracked.name} {refused.attempts}".encode()) / 2**32
        return max(pause, len(self._heap) / PROBES_PER_SECOND) * (0.5 + share / 2)

    def due(self) -> list[TrackedUpload]:
        """Those whose time has come, and which may be tried again."""
        now, found = self._clock(), list[TrackedUpload]()
        if self._tried:
            self._tried = {each for each in self._tried if each.refused is not None and not each.gone}
        while self._heap and self._heap[0][0] <= now:
            tracked = heapq.heappop(self._heap)[2]
            if not tracked.gone:
                found.append(tracked)
        self._tried.update(found)
        return found

    def next_in(self) -> float | None:
        """Seconds until the next one is due."""
        return max(self._heap[0][0] - self._clock(), 0.0) if self._heap else None

    def written(self, tracked: TrackedUpload, verbs: tuple[str, ...]) -> None:
        """A write has succeeded: those that failed for the same reason are tried again at once."""
        self._written_at = self._clock()
        for verb in verbs:
            self._written[verb] += 1
            self._failures.pop(verb, None)
            self._failing_since.pop(verb, None)
        refused, tracked.refused = tracked.refused, None
        self._tried.discard(tracked)
        self._ended.pop(tracked, None)
        if refused is None:
            return
        now, parked = self._clock(), self._heap
        self._heap = [(now if _is_for(e, refused.reason) else at, n, e) for at, n, e in parked if not e.gone]
        heapq.heapify(self._heap)
        if not self._heap and not self._tried and self._said:
            self._said.clear()
            log.info("all uploads are recorded again")

    # -- uploads that end without a resource ------------------------------------------------------

    def in_doubt(self) -> list[TrackedUpload]:
        """Those that have ended, and of which it is not known whether a resource tells otherwise."""
        return [
            tracked
            for tracked in self._entries()
            if tracked.upload.stage.ended
            and tracked.stored is None
            and tracked.maybe_made
            # An attempt without an answer may still arrive, after any look.
            and self._all_arrived(tracked.refused)
        ]

    def unwritable(self) -> list[TrackedUpload]:
        """Those that have ended and are refused alone, and whose messages wait for that."""
        return [
            tracked
            for tracked in self._entries()
            if tracked.refused is not None
            and tracked.refused.is_alone
            and tracked.storable
            and tracked.upload.stage.ended
            and not tracked.is_unrecorded_end
            and self._all_arrived(tracked.refused)
        ]

    def _all_arrived(self, refused: Refused | None) -> bool:
        """Whether no attempt is on its way any more that does not tell the end."""
        if refused is None or refused.reason is Refusal.UNREACHABLE:
            return False
        since = refused.over_since
        return not refused.unanswered or (since is not None and self._clock() - since >= LATE_SECONDS)

    def ended(self, tracked: TrackedUpload) -> None:
        """An upload has ended that has no resource; it is still tried for a while."""
        self._ended.setdefault(tracked, self._clock() + KEPT_AFTER_END_SECONDS)

    def expired(self) -> list[TrackedUpload]:
        """Those that are to be forgotten now."""
        now, found = self._clock(), []
        for tracked, deadline in list(self._ended.items()):
            if deadline > now and len(self._ended) <= MOST_KEPT_AFTER_END:
                break
            del self._ended[tracked]
            if not tracked.gone and tracked.is_unrecorded_end:
                found.append(tracked)
        return found

    def _tell_alone(self, tracked: TrackedUpload, refused: Refused, *, first: bool) -> None:
        text = fault_event_texts.alone(tracked.upload.id, refused.reason, refused.words)
        said = {"upload": tracked.upload.id, "reason": refused.reason}
        level = logging.ERROR if first else logging.DEBUG
        log.log(level, "checkpoint not written, retrying: %s", text, extra=said)
        now = self._clock()
        if first and now - self._named_at >= NAMED_SECONDS:
            self._named_at = now
            self._news(fault_event_texts.upload_not_recorded(text))

    def _tell(self, tracked: TrackedUpload, error: ApiError) -> None:
        now = self._clock()
        if now < self._said.get(error.reason, 0.0):
            log.debug("checkpoint not written, retrying: %s", error, extra={"upload": tracked.upload.id})
            return
        away = error.reason is Refusal.UNREACHABLE
        self._said[error.reason] = now + (LONGEST_PAUSE_AWAY_SECONDS if away else REPEAT_SECONDS)
        log.log(
            logging.WARNING if away else logging.ERROR,
            "checkpoint not written, retrying: %s",
            error,
            extra={"upload": tracked.upload.id, "reason": error.reason},
        )
        if not away:
            self._news(fault_event_texts.uploads_not_recorded(error.reason, error))


def _is_for(tracked: TrackedUpload, reason: Refusal) -> bool:
    return tracked.refused is not None and tracked.refused.reason is reason
