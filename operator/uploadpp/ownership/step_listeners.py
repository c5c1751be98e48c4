"""Finds steps without a service, within seconds of a start instead of when the first upload stalls."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from uploadpp.core.model import DELAY_STEP
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire.listeners import SERVICES, durable_name, unserved
from uploadpp.wire.stream import list_consumers

log = logging.getLogger(__name__)

FIRST_LOOKS_SECONDS = 2.0
LOOK_SECONDS = 15.0
ABSENT_LOOKS = 3
"""A service is missing if this many looks in a row do not find it: it may be between two requests."""
ANSWERED_SECONDS = 600.0
"""A step that has answered within this time is served, by whatever means."""


class Listeners:
    """Looks for the services of the configured steps."""

    def __init__(
        self,
        js: JetStreamContext,
        steps: Sequence[str],
        metrics: Metrics,
        look_seconds: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._js = js
        self._steps = [step for step in steps if step != DELAY_STEP]
        self._metrics = metrics
        self._look_seconds = look_seconds
        self._clock = clock
        self._absent = dict.fromkeys(self._steps, 0)
        metrics.watch_answers(self._steps)
        self._looks = 0
        self.missing: list[str] = []
        """Steps without a service, in the configured order."""

    @property
    def unserved(self) -> frozenset[str] | None:
        """Steps without a service; None before enough looks."""
        return frozenset(self.missing) if self._looks >= ABSENT_LOOKS else None

    async def run(self) -> None:
        """Look until cancelled; at first more often, so that a mistake is named within seconds."""
        if not self._steps:
            return
        looks = 0
        while True:
            try:
                await self._look()
            except (NatsError, TimeoutError) as error:
                log.debug("cannot check for step services: %s", error)
            looks += 1
            await asyncio.sleep(
                min(FIRST_LOOKS_SECONDS, self._look_seconds) if looks < ABSENT_LOOKS else self._look_seconds
            )

    async def _look(self) -> None:
        absent = set(unserved(self._steps, await list_consumers(self._js)))
        oldest = self._clock() - ANSWERED_SECONDS
        for step in self._steps:
            answered = self._metrics.answered_at[step] >= oldest
            self._absent[step] = self._absent[step] + 1 if step in absent and not answered else 0
        missing = [step for step in self._steps if self._absent[step] >= ABSENT_LOOKS]
        for step in self._steps:
            self._metrics.listeners.labels(step).set(step not in missing)
        for step in missing:
            if step not in self.missing:
                log.warning("%s", advice(step), extra={"step": step})
        for step in self.missing:
            if step not in missing:
                log.info("a service listens for step %s", step, extra={"step": step})
        self.missing = missing
        self._looks += 1


def advice(step: str) -> str:
    """The remedy for a step without a service."""
    service = SERVICES.get(step)
    wanted = f"the service {service}" if service else "a service"
    return (
        f"no service listens for step {step}: its uploads will wait until {wanted} (consumer "
        f"{service or durable_name(step)}) runs on this NATS; removing the step from POSTPROCESSING_STEPS "
        "helps only later uploads"
    )
