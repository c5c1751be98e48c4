"""Whether this process may still publish, checked before every publication (invariant 2.4).

With a valid Lease nobody else can be the owner. Without one (the API server is unavailable, or
we were paused) our consumer answers: a new owner deletes it.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from uploadpp.kube.lease import Lease
from uploadpp.wire.stream import ConsumerPosition, consumer_exists

log = logging.getLogger(__name__)

TRUSTED_SECONDS = 1.0
RETRY_SECONDS = 0.5


class FencedError(Exception):
    """Another owner has taken over; nothing may be published any more."""


class Fence:
    """Stands between decisions and the stream."""

    def __init__(self, lease: Lease, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        self._js: JetStreamContext | None = None
        self._position: ConsumerPosition | None = None
        self._confirmed_at = float("-inf")

    def bind(self, js: JetStreamContext, position: ConsumerPosition) -> None:
        """From now on the consumer at `position` is ours."""
        self._js, self._position = js, position

    async def pass_through(self) -> None:
        """Return when we may publish.

        Raises:
            LeaseLostError, FencedError: we may not, and never will again.
        """
        if self._lease.valid or self._clock() - self._confirmed_at < TRUSTED_SECONDS:
            return
        # The consumer first: an API server that hangs would hold up every single publication.
        while True:
            if await self._still_reading() or await self._renewed():
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _renewed(self) -> bool:
        await self._lease.renew()
        return self._lease.valid

    async def _still_reading(self) -> bool:
        if self._js is None or self._position is None:
            return False
        try:
            exists = await consumer_exists(self._js, self._position)
        except (NatsError, TimeoutError) as error:
            log.warning("cannot verify the Lease or the consumer: %s", error)
            return False
        if not exists:
            raise FencedError(f"the consumer {self._position.consumer} is gone")
        self._confirmed_at = self._clock()
        return True
