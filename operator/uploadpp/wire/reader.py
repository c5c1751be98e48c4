"""Reading the log through a pull consumer, in order and without gaps.

Pulls overlap, so the server hands a message over when it is stored. Anything unexpected (a gap, silence,
the consumer gone) ends the reader with LogLostError: the owner then starts over where we have acknowledged.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from uploadpp.core.model import Millis
from uploadpp.core.text import clean
from uploadpp.wire.consumer_edits import hinders_owner, looks_cut_off, paused
from uploadpp.wire.creation import unusable
from uploadpp.wire.errors import LogLostError, TailLostError
from uploadpp.wire.positions import acknowledged, still_holds
from uploadpp.wire.pulls import HEARTBEAT_SECONDS, NOBODY, Answer, Terms, count, judge, left_of, words
from uploadpp.wire.reader_callbacks import NO_CALLBACKS, ReaderCallbacks
from uploadpp.wire.stream import ACK_WAIT_SECONDS, STREAM, ConsumerPosition
from uploadpp.wire.stream_message import StreamMessage, parse, reply_at

log = logging.getLogger(__name__)

HEARTBEAT_SLACK_SECONDS = 1
MAX_WORDS = 256
SILENCE_SECONDS = 10
PENDING_BYTES = 1 << 30


Handler = Callable[[StreamMessage], Awaitable[None]]


class LogReader:
    """Hands every message of a consumer to a handler, one after another."""

    def __init__(
        self,
        client: Client,
        position: ConsumerPosition,
        handler: Handler,
        callbacks: ReaderCallbacks = NO_CALLBACKS,
    ) -> None:
        self._client = client
        self._handler = handler
        self._followers = callbacks
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{position.consumer}"
        self._consumer = position.consumer
        self._from_ours = f".{STREAM}.{position.consumer}."
        self._window = position.window
        self._inbox = client.new_inbox()
        self._credit = 0
        self._terms = Terms()
        self._low = self._terms.credit // 2
        """At this credit or less, it is time to pull again."""
        self._refusal = ""
        self._begun = False
        self._delivered = 0
        self._sequence = position.first - 1
        self._heard = 0.0
        self._last_reply = ""
        self._last_ack = ("", "")
        self._ack_inbox = client.new_inbox()
        self.acknowledged = position.first - 1
        """What the server has said to be acknowledged, as a sequence."""
        self.processing = 0
        """The sequence of the message that the handler works on; 0 while it works on none."""
        self.asked = position.first - 1
        """What we have asked the server to take as acknowledged."""
        self._idle = False
        self._last_stored_at = 0
        self._reconnects = client.stats["reconnects"]
        self._pending = position.backlog
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._subscription: Subscription | None = None

    @property
    def sequence(self) -> int:
        """The last sequence handed over."""
        return self._sequence

    @property
    def stored_at(self) -> int:
        """When that was stored, in milliseconds; 0 before any came."""
        return self._last_stored_at

    @property
    def unread(self) -> int:
        """How many messages the server still had for us at the last one."""
        return self._pending

    @property
    def delivered(self) -> int:
        """Number of messages received."""
        return self._delivered

    def lag_seconds(self, now: Millis) -> float:
        """The age of the message that was read last, while there are unread ones; otherwise 0."""
        return max(now - self._last_stored_at, 0) / 1000 if self._pending and self._last_stored_at else 0.0

    @property
    def _connected(self) -> bool:
        """Not before the place after a reconnect is known: much may have been stored meanwhile."""
        return self._client.is_connected and self._client.stats["reconnects"] == self._reconnects

    @property
    def caught_up(self) -> bool:
        """Whether, as far as we know, nothing in the log is unread."""
        return self._pending == 0 and self._connected

    @property
    def silent_for(self) -> float:
        """Seconds since the server was last heard on this consumer."""
        return self._loop.time() - self._heard

    @property
    def _hears(self) -> bool:
        """Whether an answer would have reached us by now: not after a pause of ours, before we have read."""
        return self._connected and self.silent_for <= HEARTBEAT_SECONDS + HEARTBEAT_SLACK_SECONDS

    def has_read(self, until: Millis) -> bool:
        """Whether everything that was stored until then has been handed over."""
        return self._hears and (self._pending == 0 or self._last_stored_at >= until)

    @property
    def problem(self) -> str:
        """Why nothing can be read, in words; empty when a message would reach us."""
        if self._refusal or not self._begun or not self._connected:
            return self._refusal
        return "" if self._hears else f"no heartbeat from the consumer for {self.silent_for:.0f} s"

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            LogLostError: the consumer is gone, silent or has a gap.
        """
        loop = self._loop
        self._heard, self._begun = loop.time(), True
        self._subscription = await self._client.subscribe(
            self._inbox,
            cb=self._on_message,
            pending_bytes_limit=PENDING_BYTES,
        )
        confirmations = await self._client.subscribe(f"{self._ack_inbox}.*", cb=self._on_confirmation)
        try:
            await self._pull()
            while not self._lost.done():
                await asyncio.wait([self._lost], timeout=1)
                if self._lost.done():
                    break
                if not self._client.is_connected:
                    self._heard = loop.time()  # silence counts from when it is back
                elif self._client.stats["reconnects"] != self._reconnects:
                    await self._reconnected(self._client.stats["reconnects"])
                elif self.silent_for > SILENCE_SECONDS:
                    self._fail("no heartbeat from the consumer")
                elif self._idle:
                    await self._count_again()
                elif self._credit == 0 and self._subscription is not None:
                    await self._pull()
            self._lost.result()
        finally:
            await self._close()
            if not self._client.is_closed:
                await confirmations.unsubscribe()

    async def _reconnected(self, reconnects: int) -> None:
        """Go on with another connection. Waiting pulls die with one, however short it was unavailable."""
        self._credit = 0
        try:
            last = await self._verify_tail()
        except NotFoundError:
            self._fail("the stream is gone, and the consumer with it")
            return
        except (NatsError, TimeoutError) as error:  # as while the stream has no leader: asked again
            self._refusal = f"cannot get stream info: {error}"
            return
        self._pending = max(last - self._sequence, 0)  # at most: what was removed is not sent any more
        self._reconnects, self._refusal, self._heard = reconnects, "", self._loop.time()
        await self._acknowledge()  # the last may have got lost
        await self._pull()

    async def _count_again(self) -> None:
        """The server is silent although it had messages for us: a limit or a purge may have removed them.

        Or nobody has answered a pull: the consumer may be gone, or its leader.
        """
        self._idle = False
        try:
            info = await self._client.jetstream().consumer_info(STREAM, self._consumer)
        except NotFoundError:
            self._fail("the consumer is gone")
            return
        except (NatsError, TimeoutError):
            return  # asked again at its next sign
        on_their_way = info.delivered is not None and info.delivered.consumer_seq != self._delivered
        if not on_their_way and not self.processing:
            self._pending = info.num_pending or 0
            if not self._pending:
                self._followers.on_drained()

    async def _verify_tail(self) -> int:
        """After a reconnect: is the last message that we read still what the stream has in its place?

        Returns the last sequence of the stream.

        Raises:
            TailLostError: it is gone or another one.
            NatsError, TimeoutError: that cannot be told.
        """
        # Now: what had come before the connection was lost is being handled while we ask.
        sequence, stored_at = self._sequence, self._last_stored_at
        js = self._client.jetstream()
        last = (await js.stream_info(STREAM)).state.last_seq
        if stored_at and (last < sequence or not await still_holds(js, STREAM, sequence, stored_at)):
            raise TailLostError(datetime.fromtimestamp(stored_at / 1000 + 0.001, UTC))
        return last

    async def acknowledge(self, sequence: int, delivered: int) -> None:
        """Acknowledge a message and all before it.

        The subject is that of the last message with the two positions replaced: keeping every
        message's own would be a third of the memory of an upload in flight.
        """
        self.asked = max(self.asked, sequence)
        self._last_ack = (reply_at(self._last_reply, sequence, delivered), f"{self._ack_inbox}.{sequence}")
        await self._acknowledge()

    async def overtaken(self, consumers: list[ConsumerInfo]) -> str:
        """That others have acknowledged what we have not, or paused or edited what we read, in words.

        Purging the stream looks like an acknowledgement, and is none. An edited consumer ends the reading:
        the next owner makes one as it has to be.
        """
        asked = self.asked
        mine = next((each for each in consumers if each.name == self._consumer), None)
        if mine is not None:
            self._check_edits(mine)
            if pause := paused(mine, STREAM):
                return pause
        info = await self._client.jetstream().stream_info(STREAM)
        floor = acknowledged(mine) if mine is not None else None
        if not isinstance(floor, int) or floor <= asked:
            return unusable(info.config, STREAM)
        first = info.state.first_seq
        if floor <= max(self.asked, first - 1):
            return ""
        return (
            f"another client acknowledged messages {max(asked + 1, first)} to {floor} for the consumer "
            f"{self._consumer}: uploads may be lost at the next start; "
            f"permit only the operator to publish to $JS.ACK.{STREAM}.{self._consumer}.>"
        )

    def _check_edits(self, mine: ConsumerInfo) -> None:
        if edited := hinders_owner(mine.config, STREAM, self._window, ACK_WAIT_SECONDS):
            self._fail(f"somebody edited the consumer {self._consumer}: {edited}")

    async def _acknowledge(self) -> None:
        subject, reply = self._last_ack
        if subject:
            await self._client.publish(subject, b"+ACK", reply=reply)

    async def _on_confirmation(self, message: Msg) -> None:
        """The server answers an acknowledgement under the sequence it was about."""
        if not (message.headers or {}).get("Status"):  # nobody there: it is repeated after a reconnect
            told = count(message.subject.rpartition(".")[2])
            self.acknowledged = max(self.acknowledged, min(told, self.asked))  # no more than we asked for

    def waits(self) -> None:
        """Messages wait for the handler: it is not the server that is silent."""
        self._heard = self._loop.time()

    async def stop(self) -> None:
        """Hand over nothing more; the connection stays usable."""
        await self._close()

    async def _close(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._client.is_closed:
            await subscription.unsubscribe()

    def _agree(self, terms: Terms) -> None:
        """Use these terms for pulls from now on."""
        self._terms, self._low = terms, terms.credit // 2

    async def _pull(self) -> None:
        terms = self._terms
        while self._credit < terms.credit:
            batch = min(terms.batch, terms.credit - self._credit)
            request = terms.request(batch, self._client.max_payload)
            self._credit += batch
            await self._client.publish(self._next_subject, orjson.dumps(request), reply=self._inbox)

    async def _on_message(self, message: Msg) -> None:
        if self._lost.done():
            return
        if not message.reply.startswith("$JS.ACK."):
            await self._on_status(message)
            return
        self._heard = self._loop.time()
        # What is handed over has the stream's subject, or a client has sent it. And a push consumer that
        # somebody makes may deliver to any inbox: what lies between would count as removed.
        if message.subject == self._inbox or self._from_ours not in message.reply:
            return
        try:
            raw = parse(message)
        except ValueError:
            self._fail(f"unreadable reply subject {message.reply}")
            return
        self._last_reply = message.reply
        self._credit -= 1
        self._refusal = ""
        if raw.delivered > self._delivered + 1:
            self._fail(
                f"a gap before sequence {raw.sequence}: the connection has lost messages, or another client "
                f"pulls from the consumer {self._consumer}, which only the operator should be permitted to"
            )
            return
        self._delivered = max(self._delivered, raw.delivered)
        skipped = raw.sequence > self._sequence + 1
        if (skipped or looks_cut_off(message)) and await self._is_edited():
            return
        if raw.sequence <= self._sequence:
            return  # delivered again because it waits for its acknowledgement for long
        if skipped:
            self._followers.on_missed(self._sequence + 1, raw.sequence - 1)
        self._sequence = raw.sequence
        self._last_stored_at = raw.timestamp
        self._pending = raw.pending
        if self._credit <= self._low:
            await self._pull()
        self.processing = raw.sequence
        try:
            await self._handler(raw)
        except Exception:
            log.exception(
                "cannot handle a message; this is a bug, please report it", extra={"sequence": raw.sequence}
            )
            self._fail("the handler failed")
        self.processing = 0

    async def _is_edited(self) -> bool:
        """Whether the server leaves out what we need; the next owner is given all of it."""
        try:
            self._check_edits(await self._client.jetstream().consumer_info(STREAM, self._consumer))
        except (NatsError, TimeoutError) as error:
            self._fail(f"cannot get consumer info: {error}")
        return self._lost.done()

    async def _on_status(self, message: Msg) -> None:
        headers = message.headers or {}
        status = headers.get("Status", "")
        if status != NOBODY:
            self._heard = self._loop.time()
        if status == "100":
            self._refusal = ""
            # What was on its way when a connection died is not sent again before the ack wait is over.
            if count(headers.get("Nats-Last-Consumer", "")) > self._delivered:
                self._fail("messages were lost in transit")
            self._idle = self._pending > 0
            return
        if (left := left_of(headers)) is not None:
            await self._ended(*left)
            return
        status, description = clean(status, 16), clean(headers.get("Description", "").strip(), MAX_WORDS)
        answer, terms = judge(self._terms, status, description)
        if answer is Answer.OVER:
            self._fail(words(status, description))
            return
        self._credit = 0  # a leader change, a shutdown or a limit: what was asked for is not there any more
        if answer is Answer.AGAIN:  # at the next check
            self._refusal = words(status, description)
            self._idle = self._idle or status == NOBODY
        elif terms != self._terms:
            log.warning("requesting less from NATS at a time: %s", description)
            self._agree(terms)
            await self._pull()

    async def _ended(self, messages: int, size: int) -> None:
        """A pull has ended. If all of its bytes are left, the next message needs a larger pull."""
        self._credit = max(self._credit - messages, 0)
        if size >= self._terms.bytes_of_a_pull(self._client.max_payload):
            self._agree(self._terms.larger)
        if self._credit <= self._low:
            await self._pull()

    def _fail(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_exception(LogLostError(why))
