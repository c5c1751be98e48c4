"""The policies of the namespace: listed before the first upload, and listed anew whenever one changes.

While they have never been listed, no shard is taken: an upload that arrived would get the configured steps,
which may be fewer than a policy asks for. What was listed stays in force while the API server is unavailable.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from uploadpp.kube.errors import ApiError
from uploadpp.kube.policy_store import TooManyPoliciesError
from uploadpp.pipeline.ports import Json, Watching
from uploadpp.resources.watch.kopf_handlers import Sink
from uploadpp.resources.watch.watch_filter import IsOwnWrite

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0
RELIST_SECONDS = 300.0
SETTLE_SECONDS = 0.05
"""Several policies that are applied together are listed once."""
UNKNOWN = "the policies have not been read yet"

NewWatch = Callable[[Sink, IsOwnWrite], Watching]


class Policies(Protocol):
    """The policies in the API server (`kube.policy_store.PolicyStore`)."""

    async def list_all(self) -> list[Json]:
        """Every policy."""

    async def get(self, name: str) -> Json | None:
        """One policy; None when it is not there."""

    async def write_status(self, name: str, version: str, status: Json) -> Json:
        """Change the status of the given version of a policy."""


class PolicyWatch:
    """Keeps the policies of one namespace."""

    def __init__(
        self, store: Policies, new_watch: NewWatch, take: Callable[[list[Json]], Awaitable[None]]
    ) -> None:
        """Prepare.

        Args:
            store: where the policies are.
            new_watch: makes a watch on them.
            take: is given all policies when they were listed, and puts them into force. That may take long.
        """
        self._store = store
        self._new_watch = new_watch
        self._take = take
        self._generations: dict[str, tuple[str, int]] = {}
        self._failed = UNKNOWN
        self._watch: Watching | None = None
        self._changed = asyncio.Event()
        self.known = False
        """Whether they were listed once, and are in force."""

    @property
    def problem(self) -> str:
        """Why the policies are not known as they are now, in words; empty when they are."""
        watching = self._watch.problem if self._watch is not None else ""
        if not (self._failed or watching):
            return ""
        consequence = "the last known ones count" if self.known else "no upload starts until they are known"
        return f"cannot read the policies, {consequence}: {self._failed or watching}"

    async def run(self) -> None:
        """List, watch, and list again, until cancelled."""
        await self._list()
        while True:
            watch = self._watch = self._new_watch(self._on_event, self._is_known)
            watch.start()
            try:
                await self._follow(watch)
            finally:
                self._watch = None
                await watch.stop()
            await asyncio.sleep(FIRST_PAUSE_SECONDS)

    async def _follow(self, watch: Watching) -> None:
        """List whenever a policy has changed, until the watch ends."""
        while not watch.ended.done():
            waits = [asyncio.create_task(_set(each)) for each in (watch.opened, self._changed)]
            try:
                await asyncio.wait(
                    [watch.ended, *waits], timeout=RELIST_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for each in waits:
                    each.cancel()
            if watch.ended.done():
                break
            await asyncio.sleep(SETTLE_SECONDS)
            watch.opened.clear()
            self._changed.clear()
            await self._list()
        if (error := watch.ended.exception()) is not None:
            log.warning("the watch on policies has ended and is restarted: %s", error)

    async def _list(self) -> None:
        """List until it succeeds."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                found = await self._store.list_all()
            except (ApiError, TooManyPoliciesError) as error:
                if str(error) != self._failed:
                    log.warning("cannot list the policies: %s", error)
                self._failed = str(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            await self._take(found)
            self._generations = {
                each["metadata"]["uid"]: (each["metadata"]["name"], each["metadata"].get("generation", 1))
                for each in found
            }
            if not self.known or self._failed:
                log.info("the policies are known", extra={"policies": len(found)})
            self._failed, self.known = "", True
            return

    def _on_event(self, kind: str | None, resource: object) -> None:
        del kind, resource  # a list is short, and says how things are now
        self._changed.set()

    def _is_known(self, resource: Json) -> bool:
        """Whether only the status of a policy has changed. Asked in kopf's thread."""
        meta = resource["metadata"]
        return self._generations.get(meta["uid"]) == (meta["name"], meta.get("generation", 1))


async def _set(event: asyncio.Event) -> None:
    await event.wait()
