"""What the log says about unknown uploads, kept in case an announcement or a resource of them comes late.

The storage publishes from several threads, so UploadReady may stand before BytesReceived. A person may have
made a resource that the watch has not shown yet. Both are waited for, and then the API server is asked
whether there is a resource (`resources.unseen`). The messages are acknowledged only after that, so that a
crash in between loses nothing.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import takewhile

from uploadpp.core.inputs import BytesReceived, Input, Resume
from uploadpp.core.model import Millis, Upload
from uploadpp.core.rules.arrival import precedes_its_announcement
from uploadpp.core.rules.earlier import FACTS
from uploadpp.pipeline.acks import AckTracker, PendingMessage

REMEMBERED = 10_000
REMEMBERED_MS = 600_000
UNACKNOWLEDGED_MS = 5_000
MOST_FACTS = 8
"""Facts about one upload. There are four that matter, and some of them may come twice."""
KEPT = (*FACTS, Resume)
"""What takes effect on an upload that has not begun. A resume counts only where there is a resource: without
one, the storage was asked for an announcement."""


@dataclass(slots=True, eq=False)
class Fact:
    """One message about an unknown upload."""

    upload_id: str
    event: Input
    sequence: int
    at: Millis
    """The stream's time."""
    noted: Millis
    """Our time."""
    message: PendingMessage | None
    """None once it may be acknowledged as far as this fact is concerned."""
    known: bool = False
    """Whether its upload has become known, and the fact has counted."""


@dataclass(slots=True)
class UnknownUploads:
    """Facts about uploads that are not known, the newest of them."""

    acks: AckTracker
    _facts: OrderedDict[str, list[Fact]] = field(default_factory=OrderedDict)
    _held: deque[Fact] = field(default_factory=deque)

    def note(
        self, upload_id: str, event: Input, sequence: int, at: Millis, now: Millis, message: PendingMessage
    ) -> None:
        """Remember a fact about an upload that is not known; `at` is the stream's time, `now` ours."""
        if not isinstance(event, KEPT):
            return
        facts = self._facts.setdefault(upload_id, [])
        if facts and facts[-1].event == event and isinstance(event, Resume):
            fact = facts.pop()
            fact.known = True  # the last of several in a row says all that they say
        if len(facts) >= MOST_FACTS:
            return
        fact = Fact(upload_id, event, sequence, at, now, message)
        facts.append(fact)
        message.open += 1
        self._held.append(fact)

    def recall(
        self, upload_id: str, event: BytesReceived, at: Millis
    ) -> tuple[BytesReceived, list[PendingMessage]]:
        """The announcement with what was said before it, and the messages that have said that."""
        known = self._facts.pop(upload_id, [])
        for fact in known:
            fact.known = True
        facts = [each for each in known if isinstance(each.event, FACTS) and at - each.at <= REMEMBERED_MS]
        if not facts:
            return event, []
        messages = [fact.message for fact in facts if fact.message is not None]
        return replace(event, earlier=tuple(fact.event for fact in facts)), messages

    def count_for(self, upload: Upload) -> list[Fact]:
        """What counts for an upload that becomes known by its resource, in the order of the log.

        What may be acknowledged already was said when there was no resource: it was about an earlier upload
        of this id. All of it stays known, in case the storage announces the upload of its own accord.
        """
        found = [
            each
            for each in self._facts.get(upload.id, ())
            if each.message is not None and not each.known and not precedes_its_announcement(upload, each.at)
        ]
        for fact in found:
            fact.known = True
        return found

    def due(self, now: Millis) -> list[Fact]:
        """What has waited long enough for the announcement.

        After the clock was set back, how long they have waited is not known. Then they count as well: they
        must not hold back the log until the clock has caught up.
        """
        return list(takewhile(lambda fact: abs(now - fact.noted) >= UNACKNOWLEDGED_MS, self._held))

    def settle(self, due: Iterable[Fact]) -> None:
        """Let the messages be acknowledged: the API server has no resource of uploads that are still unknown.

        `due` are the facts that the method of this name has returned last.
        """
        for fact in due:
            self._held.popleft()
            if fact.message is not None:
                self.acks.release(fact.message)
                fact.message = None
        while len(self._facts) > REMEMBERED and self._is_settled(next(iter(self._facts))):
            self._facts.popitem(last=False)

    def _is_settled(self, upload_id: str) -> bool:
        return all(fact.message is None for fact in self._facts[upload_id])
