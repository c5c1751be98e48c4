"""The durable consumer of a step: one for all processes of the step, which share the work.

Everything of the product travels on one subject, so most messages are not for us and are
acknowledged at once. Starts of our step stay unacknowledged until their answer is stored.
"""

import logging
import time
from datetime import UTC, datetime, timedelta

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from uploadpp.steps.begun import BegunNotes
from uploadpp.wire.client import SafeClient
from uploadpp.wire.consumer_edits import breaks_step, looks_cut_off, paused, slows_step
from uploadpp.wire.creation import explained, no_answers, unusable
from uploadpp.wire.listeners import durable_name
from uploadpp.wire.pulls import Answer, Terms, judge
from uploadpp.wire.stream import STREAM, ensure_stream

log = logging.getLogger(__name__)

FETCH_SECONDS = 1.0
"""Short, because a process that is told to stop first waits for what it has requested."""
CONFLICT = "409"
MOST = 64
"""Messages asked for at once; fewer where the server allows fewer, or takes large ones."""
MOST_BYTES = 32 << 20
"""Maximum bytes requested at once. By default, the server disconnects a client with 64 MiB unread."""
LOOK_SECONDS, LOOK_AGAIN_SECONDS = 10.0, 2.0
"""Interval of checking whether somebody paused or edited our consumer; the server does not report it."""


class StartConsumer:
    """The consumer of one step."""

    def __init__(
        self, client: SafeClient, step: str, since: timedelta | None, ack_wait_seconds: float
    ) -> None:
        """`since` says how old starts may be that the first consumer of the step reads.

        None means any age, zero only new ones.
        """
        self.name = durable_name(step)
        self.ack_wait_seconds = ack_wait_seconds
        self._client = client
        self._begun = BegunNotes(client, self.name)
        self._since = since
        self._last: datetime | None = None
        self._most = MOST
        self._refusal = ""
        self._heard = True
        self._looked_at = float("-inf")
        self._warned = ""
        self._allowed = ""
        self.problem = ""
        """How our consumer was changed in a way that matters, with the remedy; empty if it was not."""
        self._subscription: JetStreamContext.PullSubscription | None = None

    @property
    def bound(self) -> bool:
        """Whether there is a consumer to ask."""
        return self._subscription is not None

    async def open(self, max_age_seconds: float | None) -> None:
        """Find our consumer, or make it; the stream as well.

        Raises:
            nats.errors.Error: JetStream does not answer, or not what we need.
        """
        js = self._client.jetstream()
        await ensure_stream(js, max_age_seconds)
        self.problem = await no_answers(js, STREAM) or unusable((await js.stream_info(STREAM)).config, STREAM)
        if self.problem:  # an answer would be sent again and again, and none is known to be stored
            raise nats.errors.Error(self.problem)
        try:
            info = await js.consumer_info(STREAM, self.name)
        except NotFoundError:
            info = await self._make(js)
        self._judge(info)
        self._last = self._last or self._now()
        self._subscription = await js.pull_subscribe_bind(self.name, stream=STREAM)
        self._listen(self._subscription._sub)  # noqa: SLF001 -- it offers nothing to listen at

    async def _make(self, js: JetStreamContext) -> ConsumerInfo:
        config = ConsumerConfig(
            name=self.name,
            durable_name=self.name,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait_seconds,
            max_deliver=-1,
            description="starts of a postprocessing step",
        )
        # One that was there and is gone, as after a loss of data, goes on where it was.
        since = self._last or (self._now() - self._since if self._since is not None else None)
        if since is None:
            config.deliver_policy = DeliverPolicy.ALL
        elif self._last is None and not self._since:
            config.deliver_policy = DeliverPolicy.NEW  # exact, which a time is not
        else:
            config.deliver_policy, config.opt_start_time = DeliverPolicy.BY_START_TIME, since
        info: ConsumerInfo
        try:
            info = await js.add_consumer(STREAM, config)
        except APIError as error:
            try:
                info = await js.consumer_info(STREAM, self.name)  # another process was faster
            except NotFoundError:
                raise explained(
                    error, STREAM, self.name
                ) from None  # what the server said is the reason, not that there is no consumer
        else:
            log.info("consumer created", extra={"consumer": self.name, "reads": config.deliver_policy})
            self._allowed = slows_step(info.config, MOST)  # nobody has edited it yet
        return info

    def _now(self) -> datetime:
        """The time of NATS, which gives messages theirs. The clock of this machine may be wrong."""
        return datetime.fromtimestamp(self._client.server_time() / 1000, UTC)

    async def fetch(self, batch: int) -> list[Msg]:
        """The next messages; none when there are none for a while.

        Raises:
            nats.errors.Error: the consumer is gone, or the connection is closed.
        """
        if self._subscription is None:
            raise nats.errors.BadSubscriptionError
        if time.monotonic() - self._looked_at >= (LOOK_AGAIN_SECONDS if self.problem else LOOK_SECONDS):
            await self._look()
        self._heard = False
        try:
            found = await self._subscription.fetch(self._at_once(batch), timeout=FETCH_SECONDS)
            messages = [each for each in found if self._is_ours(each)]
        except TimeoutError:
            messages = []
            if not self._heard:  # NATS 2.10 says nothing about a consumer that is gone
                await self._client.jetstream().consumer_info(STREAM, self.name)
        if any(looks_cut_off(each) for each in messages) and (await self._look()).config.headers_only:
            raise nats.errors.Error(self.problem)  # not acknowledged, they come again
        if messages:
            self._last = messages[-1].metadata.timestamp
        elif self._refusal:
            self._adapt(self._refusal)
        self._refusal = ""
        return messages

    def _is_ours(self, message: Msg) -> bool:
        """Whether our consumer has delivered it.

        A client that publishes to our inbox would have us acknowledge at a subject that it names. A push
        consumer that delivers there would have us do old work again.
        """
        inbox = self._subscription._deliver if self._subscription is not None else ""  # noqa: SLF001 -- as below
        return message.subject != inbox and f".{STREAM}.{self.name}." in message.reply

    async def _look(self) -> ConsumerInfo:
        """Check the state of our consumer.

        Raises:
            nats.errors.Error: it is gone, or JetStream does not answer.
        """
        info: ConsumerInfo = await self._client.jetstream().consumer_info(STREAM, self.name)
        self._judge(info)
        return info

    def _judge(self, info: ConsumerInfo) -> None:
        config, self._looked_at = info.config, time.monotonic()
        # Another client may have changed it.
        self.ack_wait_seconds = min([config.ack_wait or self.ack_wait_seconds, *(config.backoff or ())])
        edited, slow = breaks_step(config, STREAM), slows_step(config, MOST)
        remedy = (
            f"to have the step recreate it at the same position, run: nats consumer rm {STREAM} {self.name}"
        )
        self.problem = paused(info, STREAM) or (
            f"somebody edited the consumer {self.name}: {edited}; {remedy}" if edited else ""
        )
        found = self.problem or self._slowed(slow, remedy)
        if found and found != self._warned:
            log.warning(found)
        elif self._warned and not found:
            log.info("the configuration of the consumer is correct again", extra={"consumer": self.name})
        self._warned = found

    def _slowed(self, slow: str, remedy: str) -> str:
        """Who has slowed the step down, and the remedy; nothing when nobody has."""
        if not slow:
            return ""
        if slow == self._allowed:
            return (
                f"NATS allows no more of the consumer {self.name}: {slow}; change this limit of the server, "
                f"of the account, or of the stream (consumer_limits), and then, {remedy}"
            )
        return (
            f"somebody edited the consumer {self.name}, or NATS limited it from the start: {slow}; {remedy}"
        )

    def _at_once(self, batch: int) -> int:
        """How many messages are asked for: even the largest are no more than `MOST_BYTES`, or it is one."""
        return min(batch, self._most, max(1, MOST_BYTES // self._client.max_payload))

    def _adapt(self, refusal: str) -> None:
        """Ask for less if that is what the server wants.

        Raises:
            APIError: the server wants something else, in its words.
        """
        answer, terms = judge(Terms(self._most), CONFLICT, refusal)
        if answer is not Answer.ADAPTED:
            raise APIError(code=int(CONFLICT), description=refusal)
        log.warning("requesting less from NATS at a time: %s", refusal)
        self._most = terms.batch

    def _listen(self, subscription: Subscription) -> None:
        """Keep the refusals of pulls, which the library passes over as if nothing was there."""
        take = subscription.next_msg

        async def next_msg(timeout: float | None = 1.0) -> Msg:  # noqa: ASYNC109 -- the library's
            message = await take(timeout)
            self._heard = True
            headers = message.headers or {}
            if headers.get("Status") == CONFLICT and not message.data:
                self._refusal = str(headers.get("Description", ""))
            return message

        subscription.next_msg = next_msg  # type: ignore[method-assign]

    async def note_begun(self, sequence: int) -> int | None:
        """Note that work on a start begins; returns how often it was noted and not taken back."""
        return await self._begun.add(sequence)

    async def take_back(self, sequence: int) -> None:
        """The work that was noted is given back."""
        await self._begun.take_back(sequence)

    async def close(self) -> None:
        """Ask for nothing more."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._client.is_closed:
            await subscription.unsubscribe()
