"""The service we replace must not drive the same stream: two drivers ruin uploads (F14)."""

import asyncio
import logging

from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from uploadpp.runtime.metrics import Metrics
from uploadpp.wire.stream import legacy_members

log = logging.getLogger(__name__)

WAIT_SECONDS = 10.0
LOOK_SECONDS = 30.0
ADVICE = (
    "the postprocessing service of ocis/OpenCloud is still running; switch it off "
    "(OCIS_EXCLUDE_RUN_SERVICES=postprocessing or OC_EXCLUDE_RUN_SERVICES=postprocessing)"
)


class LegacyService:
    """Looks for members of the replaced service."""

    def __init__(self, js: JetStreamContext, metrics: Metrics, look_seconds: float = LOOK_SECONDS) -> None:
        self._js = js
        self._metrics = metrics
        self._look_seconds = look_seconds
        self.problem = ""
        """That it drives the stream beside us, in words; empty when it does not."""

    async def wait(self) -> None:
        """Return when it is gone: before we begin to drive the stream."""
        while await self._is_there():
            log.error("%s; nothing is done until then", ADVICE)
            await asyncio.sleep(WAIT_SECONDS)

    async def run(self) -> None:
        """Report it if it comes back while we drive the stream, until cancelled."""
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                if await self._is_there():
                    log.error("%s; every step runs twice, and an abort may destroy bytes", ADVICE)
            except (NatsError, TimeoutError) as error:
                log.warning("cannot look for the replaced service: %s", type(error).__name__)

    async def _is_there(self) -> bool:
        members = await legacy_members(self._js)
        self._metrics.legacy.set(len(members))
        self.problem = f"the replaced service drives the stream too ({', '.join(members)})" if members else ""
        return bool(members)
