"""What came of an upload that was delivered to a step in a test."""

import json
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any, Self

from uploadpp.core.states import Outcome
from uploadpp.steps.verdict import Verdict


class NotAnsweredError(AssertionError):
    """A verdict was asked for, but the work was given back to the stream without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event that the step has published."""

    type: str
    """`PostprocessingStepFinished`."""
    id: str
    payload: dict[str, Any]
    metadata: dict[str, str]
    body: bytes = field(repr=False)
    """The whole message, as it is in the stream."""

    @classmethod
    def of(cls, body: bytes) -> Self:
        """Read a message."""
        envelope = json.loads(body)
        metadata = envelope["Metadata"]
        return cls(
            type=metadata["eventtype"].removeprefix("events."),
            id=metadata["eventid"],
            payload=json.loads(b64decode(envelope["Payload"])),
            metadata=metadata,
            body=body,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What came of an upload."""

    published: tuple[Event, ...]
    """What is in the stream about it: one event, or none while the work is given back."""
    runs: int
    """How often the function was called."""
    seconds: float
    """How long the last call took, its downloads and its end included."""
    failed: bool
    """Whether it gave no verdict of its own: an exception, a time-out, something that is not a verdict."""
    given_back: bool
    """Whether the work was given back to the stream, so that another process gets it."""
    error: BaseException | None
    """What the function raised the last time, unless it was a verdict."""
    given: Verdict | None = field(repr=False)

    @property
    def verdict(self) -> Verdict:
        """What was published: the verdict of the function, or the retry that counts in its place.

        Raises:
            NotAnsweredError: the work was given back.
        """
        if self.given is None:
            raise NotAnsweredError("the step has not answered: its work was given back to the stream")
        return self.given

    @property
    def outcome(self) -> Outcome:
        """`continue`, `retry`, `abort` or `delete`."""
        return self.verdict.outcome

    @property
    def message(self) -> str:
        """What people are told."""
        return self.verdict.message

    @property
    def event(self) -> Event:
        """The event that was published.

        Raises:
            NotAnsweredError: the work was given back.
        """
        if not self.published:
            raise NotAnsweredError("the step has published nothing: its work was given back to the stream")
        return self.published[-1]
