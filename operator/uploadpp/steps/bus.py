"""What a step needs from NATS. Tests of a step use one in memory: see testing/memory.py."""

from typing import Protocol

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from uploadpp.steps.consumer import StartConsumer
from uploadpp.wire.client import trouble
from uploadpp.wire.creation import no_answers
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.stream import STREAM

PUBLISH_SECONDS = 5.0


class Starts(Protocol):
    """The consumer of a step: hands out messages until they are acknowledged."""

    ack_wait_seconds: float

    @property
    def bound(self) -> bool:
        """Whether messages can be fetched."""
        ...

    async def open(self, max_age_seconds: float | None) -> None:
        """Find the consumer, or create it."""
        ...

    async def fetch(self, batch: int) -> list[Msg]:
        """The next messages; none when there are none for a while."""
        ...

    async def note_begun(self, sequence: int) -> int | None:
        """Note that work on a start begins.

        Returns how often that was noted before and not taken back; None where it cannot be noted.
        """
        ...

    async def take_back(self, sequence: int) -> None:
        """The work that was noted is given back."""
        ...

    async def close(self) -> None:
        """Stop fetching."""
        ...


class Bus(Protocol):
    """The stream, as far as a step reads it and writes to it."""

    @property
    def starts(self) -> Starts:
        """Where its work comes from."""
        ...

    @property
    def problem(self) -> str:
        """Why it cannot be used at the moment, in words; empty when it can."""
        ...

    @property
    def max_payload(self) -> int:
        """The most bytes of a message."""
        ...

    async def publish(self, answer: Outgoing) -> None:
        """Store an answer in the stream, which drops one with an id that it has.

        Raises:
            nats.errors.Error, TimeoutError: it is not known to be stored.
        """
        ...


class NatsBus:
    """The stream in a NATS."""

    def __init__(self, client: Client, starts: StartConsumer) -> None:
        self.starts = starts
        self._client = client
        self._no_answers = ""

    @property
    def problem(self) -> str:
        """Why it cannot be used at the moment, in words; empty when it can."""
        return trouble(self._client) or self._no_answers or self.starts.problem

    @property
    def max_payload(self) -> int:
        """The most bytes of a message that this server takes."""
        return self._client.max_payload

    async def publish(self, answer: Outgoing) -> None:
        """Store an answer; its id lets the stream drop repetitions.

        A stream that answers nothing has it, as far as can be told. Nothing is sent to it again before it
        answers: the stream forgets ids after two minutes.

        Raises:
            nats.errors.Error, TimeoutError: it is not known to be stored.
        """
        js = self._client.jetstream(timeout=PUBLISH_SECONDS)
        if self._no_answers:
            await self._look(js)
        try:
            await js.publish(STREAM, answer.body, headers={"Nats-Msg-Id": answer.event_id})
        except TimeoutError:
            await self._look(js)
            raise

    async def _look(self, js: JetStreamContext) -> None:
        """See whether the stream answers what is published.

        Raises:
            nats.errors.Error: it does not, or that cannot be told.
        """
        self._no_answers = await no_answers(js, STREAM)
        if self._no_answers:
            raise nats.errors.Error(self._no_answers)
