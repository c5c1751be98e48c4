"""A subscription to a subject on which anybody may publish, and as much as the server takes.

The server is told after how many messages it ends, so it stops a flood for us: one client that publishes as
fast as it can would otherwise take all of our time, and then our connection. A new subscription replaces
this one before it ends. After a flood, we wait some seconds before we subscribe again.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import BadSubscriptionError

log = logging.getLogger(__name__)

MOST = 64
"""Maximum number of messages before it ends. At worst, each has a megabyte."""
MOST_A_SECOND = 400
"""A higher rate is a flood: 64 starting replicas send less."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
LONGEST_SECONDS = 60.0
"""It is renewed after this time at the latest, because the client does not report dropped messages."""
QUIET_SECONDS = 60.0


class LimitedSubscription:
    """Listens on a subject, and ends floods."""

    def __init__(
        self,
        client: Client,
        subject: str,
        hear: Callable[[Msg], Awaitable[None]],
        most_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare it; `most_bytes` is what an honest message has, and a longer one counts as a flood."""
        self._client = client
        self._subject = subject
        self._hear = hear
        self._most_bytes = most_bytes
        self._clock = clock
        self._subscription: Subscription | None = None
        self._begun = self._ended = self._pause = 0.0
        self._said_at = float("-inf")
        self.is_flooded = False
        """Whether it is paused at the moment, because of a flood."""

    async def keep(self) -> None:
        """Renew the subscription if necessary; call this about once a second.

        Raises:
            NatsError: the connection is closed.
        """
        now = self._clock()
        if self.is_flooded and now < self._ended + self._pause:
            await self.close()
            return
        fresh = now - self._begun < LONGEST_SECONDS and self._used <= MOST // 2
        if self._subscription is not None and fresh:
            return
        old, self._begun, self.is_flooded = self._subscription, now, False
        self._subscription = await self._client.subscribe(self._subject, cb=self._take)
        await self._subscription.unsubscribe(MOST)
        await self._end(old)

    async def close(self) -> None:
        """Hear nothing more."""
        old, self._subscription = self._subscription, None
        await self._end(old)

    async def _end(self, subscription: Subscription | None) -> None:
        if subscription is not None and not self._client.is_closed:
            with suppress(BadSubscriptionError):  # it has ended by itself
                await subscription.unsubscribe()

    @property
    def _used(self) -> int:
        """How many messages have arrived. The library may drop some of the last ones."""
        return self._subscription._received if self._subscription is not None else 0  # noqa: SLF001 -- nothing else tells

    async def _take(self, message: Msg) -> None:
        if self.is_flooded:
            return
        now = self._clock()
        too_fast = self._used >= MOST and (now - self._begun) * MOST_A_SECOND < MOST
        if too_fast or len(message.data) > self._most_bytes:
            self._stop(now)
        else:
            await self._hear(message)

    def _stop(self, now: float) -> None:
        is_first = now - self._ended > 2 * LONGEST_PAUSE_SECONDS
        self._pause = FIRST_PAUSE_SECONDS if is_first else min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self._ended, self.is_flooded = now, True
        if now - self._said_at > QUIET_SECONDS:
            self._said_at = now
            log.warning(
                "not listening on %s for some seconds: too much is published there; permit only the operator "
                "to publish on it",
                self._subject,
            )
