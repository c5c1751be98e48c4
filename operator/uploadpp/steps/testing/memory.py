"""The stream and the consumer of a step in memory: for tests of a step, and for `--try`.

Messages are nats-py's own. They are acknowledged, given back and delivered again as a server would do
it, with one exception: a message that nobody gives a sign of life for stays where it is.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import MaxPayloadError

from uploadpp.wire.encode import Outgoing
from uploadpp.wire.stream import STREAM

MAX_PAYLOAD = 1 << 20
"""As a NATS has it by default."""
ACK_WAIT_SECONDS = 30.0
UNNOTED = 2
"""Deliveries for which a step notes nothing."""
_NAK = b"-NAK"
_IN_PROGRESS = b"+WPI"


@dataclass(eq=False, slots=True)
class Stored:
    """A message in the stream, and what became of it."""

    sequence: int
    data: bytes = field(repr=False)
    delivered: int = 0
    begun: int = 0
    """How often it was noted that work on it began, and not taken back."""
    acknowledged: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is acknowledged, and when it is given back."""


class MemoryBus:
    """What a step needs of NATS, without one."""

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self.starts = MemoryStarts()
        self.published: dict[str, bytes] = {}
        """The answers in the stream by their id, in order."""
        self.max_payload = max_payload

    @property
    def problem(self) -> str:
        """Why it cannot be used: it always can."""
        return ""

    async def publish(self, answer: Outgoing) -> None:
        """Store an answer, unless one with its id is stored.

        Raises:
            MaxPayloadError: it is larger than may be.
        """
        if len(answer.body) > self.max_payload:
            raise MaxPayloadError
        self.published.setdefault(answer.event_id, answer.body)


class MemoryStarts:
    """The consumer of a step."""

    def __init__(self) -> None:
        self.ack_wait_seconds = ACK_WAIT_SECONDS
        self.bound = False
        self._messages: dict[int, Stored] = {}
        self._waiting: deque[Stored] = deque()
        self._news = asyncio.Event()

    def put(self, data: bytes, delivered: int = 0) -> Stored:
        """Store a message that was delivered so often before, each time to a process that ended then."""
        stored = Stored(len(self._messages) + 1, data, delivered, begun=max(0, delivered - UNNOTED))
        self._messages[stored.sequence] = stored
        self.deliver(stored)
        return stored

    def deliver(self, stored: Stored) -> None:
        """Deliver a message, once more if it was delivered before."""
        self._waiting.append(stored)
        self._news.set()

    def wake(self) -> None:
        """End a fetch that waits."""
        self._news.set()

    async def open(self, max_age_seconds: float | None) -> None:
        """Nothing has to be found."""
        del max_age_seconds
        self.bound = True

    async def fetch(self, batch: int) -> list[Msg]:
        """The next messages, as soon as there are some."""
        if not self._waiting:
            self._news.clear()
            await self._news.wait()
        return [self._message(self._waiting.popleft()) for _ in range(min(batch, len(self._waiting)))]

    async def note_begun(self, sequence: int) -> int | None:
        """Note it; returns how often it was noted before."""
        stored = self._messages[sequence]
        stored.begun += 1
        return stored.begun - 1

    async def take_back(self, sequence: int) -> None:
        """Take a note back."""
        stored = self._messages[sequence]
        stored.begun -= 1

    async def close(self) -> None:
        """Hand out nothing more."""
        self.bound = False

    def _message(self, stored: Stored) -> Msg:
        stored.delivered += 1
        reply = (
            f"$JS.ACK.{STREAM}.memory.{stored.delivered}.{stored.sequence}.{stored.sequence}"
            f".{time.time_ns()}.{len(self._waiting)}"
        )
        return Msg(cast("Client", _Acknowledgements(self, stored)), STREAM, reply, stored.data)


@dataclass(frozen=True, slots=True)
class _Acknowledgements:
    """The client of one message."""

    starts: MemoryStarts
    stored: Stored

    async def publish(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        del subject, headers
        if payload.startswith(_IN_PROGRESS) or self.stored.acknowledged:
            return
        self.stored.acknowledged = not payload.startswith(_NAK)
        if not self.stored.acknowledged:
            self.starts.deliver(self.stored)
        self.stored.changed.set()
