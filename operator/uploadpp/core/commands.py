"""What the machine wants done, and the identity each command carries on the wire.

A command's event id is a UUID v5 of upload, arrival, run, kind, step and number, so the
same decision made twice, by whomever, has the same id. The `Mark` travels in the event's
metadata and makes our own events readable when they come back through the log.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha1
from typing import NamedTuple
from uuid import UUID

from uploadpp.core.bounds import LAST_MOMENT
from uploadpp.core.model import Millis
from uploadpp.core.states import Outcome, Word

NAMESPACE = UUID("6a7c1f0e-6f0b-5d7c-9b1e-0d5c6f1c7a10")
_NAMESPACE_BYTES = NAMESPACE.bytes
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}

MAX_COUNT = 2**31
"""A resource has 32 bits for runs and attempts, so a mark with a larger number is not ours."""


class Kind(Word):
    """The five events we publish."""

    START = "start"
    FINISH = "finish"
    RETRY = "retry"
    RESTART = "restart"
    RESUME = "resume"


class Mark(NamedTuple):
    """Which decision a published event stands for.

    `detail` is the step's name (START, RETRY, RESTART), the outcome (FINISH) or the token (RESUME);
    `number` counts within the run; `token` is the `spec.restart` token that is answered.
    """

    kind: Kind
    received_at: Millis
    run: int
    number: int
    detail: str = ""
    token: str = ""

    def encode(self) -> str:
        """One line for the event's metadata; `detail` is last because it may hold colons."""
        return f"{self.kind}:{self.received_at}:{self.run}:{self.number}:{self.token}:{self.detail}"

    @classmethod
    def decode(cls, text: str) -> "Mark":
        """Read what `encode` wrote.

        Raises:
            ValueError: the text is not a mark of this version.
        """
        word, received_at, run, number, token, detail = text.split(":", 5)
        kind = Kind(word)
        if kind is Kind.FINISH:
            Outcome(detail)
        if not (0 <= int(run) < MAX_COUNT and 0 < int(number) < MAX_COUNT):
            raise ValueError("a count out of range")
        if not 0 <= int(received_at) <= LAST_MOMENT:
            raise ValueError("a moment that no date can hold")
        return cls(kind, Millis(int(received_at)), int(run), int(number), detail, token)

    def event_id(self, upload_id: str) -> str:
        """The deterministic `eventid` and `Nats-Msg-Id` (invariant 2.1)."""
        name = f"{upload_id}\0{self.received_at}\0{self.run}\0{self.kind}\0{self.detail}\0{self.number}"
        return _uuid5(name)


def _uuid5(name: str) -> str:
    """`str(uuid.uuid5(NAMESPACE, name))` at a fifth of its price (RFC 9562, 5.5)."""
    digest = sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANT[digest[16]]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


@dataclass(frozen=True, slots=True)
class StartStep:
    """Publish StartPostprocessingStep."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class Finish:
    """Publish PostprocessingFinished."""

    mark: Mark
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class RetryNotice:
    """Publish PostprocessingRetry: for the record, nobody acts on it."""

    mark: Mark
    failures: int
    backoff: Millis


@dataclass(frozen=True, slots=True)
class RequestRestart:
    """Publish RestartPostprocessing: asks the storage for BytesReceived with a fresh URL."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class ResumeStep:
    """Publish ResumePostprocessing for a step: all uploads at it continue, in every shard."""

    mark: Mark
    step: str


Command = StartStep | Finish | RetryNotice | RequestRestart | ResumeStep


class NoticeType(StrEnum):
    """The two types of a Kubernetes Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Notice:
    """A Kubernetes Event for people; `reason` is one CamelCase word."""

    type: NoticeType
    reason: str
    message: str
