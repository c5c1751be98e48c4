"""Detects who else processes the stream: the legacy service, or another installation of the operator (F14).

Before we begin we wait until nobody does. When the service comes back while we work, the ownership ends:
the next one waits again, and then replays what the service has done meanwhile (docs/adr/0043).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

from uploadpp.core.commands import Notice
from uploadpp.core.inputs import ELSEWHERE
from uploadpp.pipeline import fault_event_texts
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire.consumers import strangers
from uploadpp.wire.legacy_consumers import (
    LOOK_SECONDS,
    ONLY_REPORT,
    LegacyConsumer,
    OnLegacyService,
    Policy,
    Readers,
    advance,
    find,
    is_behind,
    remove,
)
from uploadpp.wire.stream import list_consumers

log = logging.getLogger(__name__)

FULL_SECONDS = 30.0
"""Interval of listing all consumers to find other installations. Each look checks the legacy service."""
REPEAT_SECONDS = 30.0
QUIET_LOOKS = 3
"""A consumer has no reader if this many looks in a row find none: a service may be between two requests."""
MOVE_SECONDS = 10.0
"""Minimum time between two moves of the legacy service's consumer."""
IDLE_SECONDS = 30.0
"""A consumer of another installation without a reader for this long is taken over: it moved or is gone."""
BESIDE = "the legacy service also processes this stream ({})"
HOLDING = (
    "on hold: the legacy service is running ({}); no step is started and no upload is finished until it stops"
)
OTHERS = "another installation of the operator reads this stream ({}); stop one of the two"
Check = Callable[[list[ConsumerInfo]], Awaitable[str]]


class Reader(Protocol):
    """How far we have come ourselves (`wire.reader.LogReader`)."""

    acknowledged: int
    """What is in etcd, as a sequence."""

    @property
    def sequence(self) -> int:
        """What is read."""


class LegacyServiceError(Exception):
    """The legacy service is back: the ownership ends, and the next one waits until it is gone."""

    def __init__(self, members: list[str]) -> None:
        super().__init__(HOLDING.format(", ".join(members)))
        self.members = tuple(members)


class LegacyNews(NamedTuple):
    """What the ownership before has left behind, and who is told what is new."""

    tell: Callable[[Notice], None] | None = None
    waited_for: tuple[str, ...] = ()
    """The consumers of the legacy service because of which the ownership before has ended."""


async def _nothing(consumers: list[ConsumerInfo]) -> str:
    del consumers
    return ""


class LegacyServiceWatch:
    """Looks for members of the legacy service, and for other installations."""

    def __init__(  # noqa: PLR0913 -- what is looked at, how often, and what comes of it
        self,
        js: JetStreamContext,
        metrics: Metrics,
        look_seconds: float = LOOK_SECONDS,
        owner: str = "",
        idle_seconds: float = IDLE_SECONDS,
        *,
        policy: Policy = ONLY_REPORT,
        client: Client | None = None,
        news: LegacyNews = LegacyNews(),  # noqa: B008 -- a tuple
    ) -> None:
        self._js = js
        self._metrics = metrics
        self._look_seconds = look_seconds
        self._owner = owner
        self._idle_seconds = idle_seconds
        self._policy = policy
        self._client = client
        self._readers = Readers()
        self._quiet = 0
        self._moved_at = float("-inf")
        self._positions: dict[str, tuple[int, int]] = {}
        self._beside = self._elsewhere = self._found = ""
        tallies = [(each.__name__, metrics.events.labels(each.__name__)) for each in ELSEWHERE]
        self._seen = [(name, tally, tally.value) for name, tally in tallies]
        self.waited_for = news.waited_for
        """The consumers of the legacy service for which we hold, or have held."""
        self._check: Check = _nothing
        self._reader: Reader | None = None
        self._replayed_to = 0
        self._tell = news.tell

    @property
    def problem(self) -> str:
        """Which other service processes the stream too; empty if none does."""
        return "; ".join(filter(None, [self._beside, self._elsewhere, self._found]))

    async def wait(self) -> None:
        """Return when nobody is there: before we begin to drive the stream."""
        loop = asyncio.get_running_loop()
        quiet_since, told, told_at = loop.time(), "", float("-inf")
        while True:
            consumers = await list_consumers(self._js)
            members, others = self._members(consumers), strangers(consumers, self._owner)
            alive = self._alive(others)
            self._beside = HOLDING.format(", ".join(members)) if members else ""
            self._elsewhere = OTHERS.format(", ".join(alive)) if alive else ""
            if alive:
                quiet_since = loop.time()
            quiet = loop.time() - quiet_since
            gone = not members and (not self.waited_for or self._quiet >= QUIET_LOOKS)
            if gone and (not others or quiet >= self._idle_seconds):
                if others:
                    log.warning(
                        "continuing where another installation stopped", extra={"owners": list(others)}
                    )
                self._elsewhere = ""
                return
            if others and not members and not alive:
                self._elsewhere = (
                    f"checking whether another installation is still running ({', '.join(others)})"
                )
            # Now and then again: the log holds back what the ownership before has said within half a minute.
            if self.problem and (self.problem != told or loop.time() - told_at >= REPEAT_SECONDS):
                told_at = loop.time()
                log.error(
                    "%s; the operator waits until then",
                    fault_event_texts.LEGACY_ADVICE if members else self.problem,
                )
            told = self.problem
            if members and not self.waited_for:
                self.waited_for = tuple(members)
                self._announce(self._beside)
            await asyncio.sleep(min(LOOK_SECONDS, self._look_seconds, self._idle_seconds / 5))

    async def run(self) -> None:
        """Look for such a service while we process the stream, until cancelled.

        Raises:
            LegacyServiceError: the legacy service has come, and we are to hold.
        """
        loop = asyncio.get_running_loop()
        listed_at, told_at = float("-inf"), float("-inf")
        while True:
            await asyncio.sleep(self._look_seconds)
            now = loop.time()
            try:
                consumers = await find(self._js)
                self._judge(self._members(consumers))
                due = now - listed_at >= min(FULL_SECONDS, FULL_SECONDS * self._look_seconds)
                if due or self._found:  # what is wrong is looked at again and again, until it is mended
                    listed_at = now
                    await self._look_at_others(await list_consumers(self._js))
                await self._move(consumers)
            except (NatsError, TimeoutError) as error:
                log.warning("cannot check for the legacy service: %s", type(error).__name__)
                continue
            if self.problem and now - told_at >= REPEAT_SECONDS:
                told_at = now
                if self._beside:
                    log.error(
                        "%s; every step runs twice, and a second abort may delete the bytes of a file",
                        fault_event_texts.LEGACY_ADVICE,
                    )
                else:
                    log.error(self.problem)

    def also_check(self, check: Check) -> None:
        """Something else is to be looked at in the list of consumers, while we drive the stream."""
        self._check = check

    def go_on(self, reader: Reader | None) -> None:
        """The log has been read to its end, and with it what the legacy service has done while we held.

        With a `reader`, this owner looks after that service's consumer, once all of that is in etcd.
        """
        self._reader, self._replayed_to = reader, reader.sequence if reader is not None else 0
        if not self.waited_for:
            return
        done = {name: int(tally.value - before) for name, tally, before in self._seen}
        log.info("the legacy service has stopped; resuming from the event stream", extra=done)

    def _members(self, consumers: list[ConsumerInfo]) -> list[str]:
        """The legacy service's consumers that somebody reads through."""
        members = self._readers.among(consumers)
        self._quiet = 0 if members else self._quiet + 1
        self._metrics.legacy.set(len(members))
        return members

    def _judge(self, members: list[str]) -> None:
        names = ", ".join(members)
        self._beside = BESIDE.format(names) if members else ""
        if members and self._policy.on_return is OnLegacyService.HOLD:
            holding = LegacyServiceError(members)
            self._announce(str(holding))
            raise holding

    def _announce(self, what: str) -> None:
        if self._tell is not None:
            self._tell(fault_event_texts.legacy_service_runs(what))

    async def _look_at_others(self, consumers: list[ConsumerInfo]) -> None:
        alive = self._alive(strangers(consumers, self._owner))
        self._elsewhere = OTHERS.format(", ".join(alive)) if alive else ""
        self._found = await self._check(consumers)

    async def _move(self, consumers: list[ConsumerInfo]) -> None:
        """Have a service that comes back by mistake begin with new events."""
        now, wanted = asyncio.get_running_loop().time(), self._policy.consumer
        removes = wanted is LegacyConsumer.REMOVE
        old = [each.name for each in consumers if removes or is_behind(each)]
        if wanted is LegacyConsumer.KEEP or self._client is None or not old:
            return
        stored = self._reader is not None and self._reader.acknowledged >= self._replayed_to
        if self._quiet < QUIET_LOOKS or now - self._moved_at < MOVE_SECONDS or not stored:
            return
        self._moved_at = now
        for name in old:
            try:
                if removes and await remove(self._client, name):
                    log.info("removed the consumer of the legacy service", extra={"consumer": name})
                elif not removes and (at := await advance(self._client, name)) is not None:
                    log.debug(
                        "moved the consumer of the legacy service", extra={"consumer": name, "position": at}
                    )
            except (NatsError, TimeoutError) as error:
                log.warning("cannot move the consumer of the legacy service: %s", str(error) or "no answer")

    def _alive(self, others: dict[str, list[ConsumerInfo]]) -> list[str]:
        """Those who wait for messages, or have moved since we looked last."""
        before, self._positions = self._positions, {}
        found = set()
        for owner, consumers in others.items():
            for each in consumers:
                read = each.delivered.consumer_seq if each.delivered is not None else 0
                floor = each.ack_floor.stream_seq if each.ack_floor is not None else 0
                self._positions[each.name] = (read, floor)
                moved = before.get(each.name, (read, floor)) != (read, floor)
                if moved or (each.num_waiting or 0) > 0:
                    found.add(owner)
        return sorted(found)
