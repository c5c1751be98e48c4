"""Messages about unknown uploads, kept for a while in case the uploads are announced late.

The storage publishes from several threads, so UploadReady may stand before BytesReceived. The
messages are acknowledged a few seconds later than others, so that a crash in between loses nothing.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace

from uploadpp.core.inputs import BytesReceived, Input
from uploadpp.core.model import Millis
from uploadpp.core.rules.earlier import FACTS
from uploadpp.pipeline.acks import AckTracker, PendingMessage

REMEMBERED = 10_000
REMEMBERED_MS = 600_000
UNACKNOWLEDGED_MS = 5_000
MOST_FACTS = 4
"""Facts about one upload. There are three that matter, and one of them may come twice."""


@dataclass(slots=True)
class _Fact:
    event: Input
    at: Millis
    message: PendingMessage | None


@dataclass(slots=True)
class UnknownUploads:
    """Facts about uploads without a resource, the newest of them."""

    acks: AckTracker
    _facts: OrderedDict[str, list[_Fact]] = field(default_factory=OrderedDict)
    _held: deque[tuple[Millis, _Fact]] = field(default_factory=deque)

    def note(
        self, upload_id: str, event: Input, at: Millis, now: Millis, message: PendingMessage | None
    ) -> None:
        """Remember a fact about an upload that is not known; `at` is the stream's time, `now` ours."""
        if not isinstance(event, FACTS):
            return
        facts = self._facts.setdefault(upload_id, [])
        if len(facts) >= MOST_FACTS:
            return
        fact = _Fact(event, at, message)
        facts.append(fact)
        if message is not None:
            message.open += 1
            self._held.append((now, fact))
        if len(self._facts) > REMEMBERED:
            self._facts.popitem(last=False)

    def recall(
        self, upload_id: str, event: BytesReceived, at: Millis
    ) -> tuple[BytesReceived, list[PendingMessage]]:
        """The announcement with what was said before it, and the messages that have said that."""
        known = self._facts.pop(upload_id, None)
        if known is None:
            return event, []
        facts = [fact for fact in known if at - fact.at <= REMEMBERED_MS]
        messages = [fact.message for fact in facts if fact.message is not None]
        return replace(event, earlier=tuple(fact.event for fact in facts)), messages

    def settle(self, now: Millis) -> None:
        """Let messages be acknowledged that have waited long enough."""
        while self._held and now - self._held[0][0] >= UNACKNOWLEDGED_MS:
            fact = self._held.popleft()[1]
            if fact.message is not None:
                self.acks.release(fact.message)
                fact.message = None
