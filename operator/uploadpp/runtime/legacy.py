"""Who else drives the stream: the service we replace, or another installation of ours (F14)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

from uploadpp.runtime.metrics import Metrics
from uploadpp.wire.stream import legacy_members, list_consumers, strangers

log = logging.getLogger(__name__)

WAIT_SECONDS = 10.0
LOOK_SECONDS = 30.0
IDLE_SECONDS = 30.0
"""A place of another installation at which nobody reads for so long is taken over: it has moved or gone."""
ADVICE = (
    "the postprocessing service of ocis/OpenCloud is still running; switch it off "
    "(OCIS_EXCLUDE_RUN_SERVICES=postprocessing or OC_EXCLUDE_RUN_SERVICES=postprocessing)"
)
OTHERS = "another installation of the operator reads this stream ({}); switch one of the two off"
Check = Callable[[list[ConsumerInfo]], Awaitable[str]]


async def _nothing(consumers: list[ConsumerInfo]) -> str:
    del consumers
    return ""


class LegacyService:
    """Looks for members of the replaced service, and for other installations."""

    def __init__(
        self,
        js: JetStreamContext,
        metrics: Metrics,
        look_seconds: float = LOOK_SECONDS,
        owner: str = "",
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._js = js
        self._metrics = metrics
        self._look_seconds = look_seconds
        self._owner = owner
        self._idle_seconds = idle_seconds
        self._positions: dict[str, tuple[int, int]] = {}
        self.check: Check = _nothing
        """What else is to be looked at in the list of consumers, while we drive the stream."""
        self.problem = ""
        """That somebody drives the stream beside us, in words; empty when nobody does."""

    async def wait(self) -> None:
        """Return when nobody is there: before we begin to drive the stream."""
        loop = asyncio.get_running_loop()
        quiet_since, told = loop.time(), ""
        while True:
            consumers = await list_consumers(self._js)
            members, others = legacy_members(consumers), strangers(consumers, self._owner)
            alive = self._alive(others)
            self._judge(members, alive)
            if alive:
                quiet_since = loop.time()
            quiet = loop.time() - quiet_since
            if not members and (not others or quiet >= self._idle_seconds):
                if others:
                    log.warning(
                        "going on where another installation has ended", extra={"owners": list(others)}
                    )
                self.problem = ""
                return
            if others and not members and not alive:
                self.problem = f"waiting whether another installation still lives ({', '.join(others)})"
            if members or self.problem != told:
                told = self.problem
                log.error("%s; nothing is done until then", ADVICE if members else self.problem)
            await asyncio.sleep(WAIT_SECONDS if members else min(1.0, self._idle_seconds / 5))

    async def run(self) -> None:
        """Report whoever comes while we drive the stream, until cancelled."""
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                consumers = await list_consumers(self._js)
                members, alive = legacy_members(consumers), self._alive(strangers(consumers, self._owner))
                self._judge(members, alive)
                if members:
                    log.error("%s; every step runs twice, and an abort may destroy bytes", ADVICE)
                if found := await self.check(consumers):
                    self.problem = "; ".join(filter(None, [self.problem, found]))
                if self.problem and not members:
                    log.error(self.problem)
            except (NatsError, TimeoutError) as error:
                log.warning("cannot look for the replaced service: %s", type(error).__name__)

    def _judge(self, members: list[str], alive: list[str]) -> None:
        self._metrics.legacy.set(len(members))
        found = [f"the replaced service drives the stream too ({', '.join(members)})"] if members else []
        found += [OTHERS.format(", ".join(alive))] if alive else []
        self.problem = "; ".join(found)

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
