"""All consumers of a stream, however many and however large others have made them.

The server puts 256 consumers into one answer, each with up to a megabyte of settings. It cuts a client off
for which 64 MiB wait, and again when that asks again. So where the list is large, the names are listed, and
only those consumers are asked for that may matter.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from typing import TypeVar

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

from uploadpp.wire.consumers import parse_name
from uploadpp.wire.jetstream import SafeJetStream
from uploadpp.wire.listeners import OTHERS, OURS, SERVICES
from uploadpp.wire.workers import for_each

log = logging.getLogger(__name__)

MOST_CONSUMERS = 100_000
LARGE_BYTES = 8 << 20
"""Of one answer with 256 consumers at most. One of ours has half a kilobyte."""
LARGE_SECONDS = 600.0
"""How long only names are listed after the list was large."""
MOST_UNKNOWN = 64
"""Maximum number of consumers of unknown services that are asked for. Each may be that of a step."""
ATTEMPTS = 3
MOST_TEXT, MOST_ITEMS = 4096, 64
_LEGACY = "postprocessing"
_KNOWN = OTHERS | {*SERVICES.values()}
T = TypeVar("T")


class ListMemory:
    """What a client has learned of the size of the list."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._was_cut_off = False

    @property
    def is_large(self) -> bool:
        """Whether only names are to be listed."""
        return self._clock() < self._until

    def large(self) -> None:
        """The list is large."""
        log.warning(
            "the list of consumers is large, so only their names are listed for %.0f minutes; permit only "
            "those who need it to create consumers on the stream",
            LARGE_SECONDS / 60,
        )
        self._was_cut_off, self._until = False, self._clock() + LARGE_SECONDS

    def cut_off(self) -> bool:
        """The connection was lost while we waited for the list; returns whether that has happened before."""
        again, self._was_cut_off = self._was_cut_off, True
        return again

    def fine(self) -> None:
        """The list has come."""
        self._was_cut_off = False


class _LargeListError(Exception):
    """The answer is so large that the next one may be too large."""


class _EndlessListError(NatsError):
    """A page has nothing new: consumers were made or removed while we read, or somebody else answers."""

    def __str__(self) -> str:
        return "nats: the list of consumers does not end; is it the server that responds?"


class LeaderlessError(NatsError):
    """JetStream cannot tell where a consumer stands. Without it, another owner would seem to be the first."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self._names = ", ".join(names)

    def __str__(self) -> str:
        return (
            f"nats: no leader answers for the consumers {self._names}; is a server of the cluster down, or "
            "is a new leader being elected?"
        )


async def consumers_of(js: JetStreamContext, stream: str) -> list[ConsumerInfo]:
    """All consumers of a stream, including strangers'; of a very large list only those that may matter.

    Raises:
        NatsError, TimeoutError: JetStream does not answer, or not about one that says where to begin; or the
            pages have no end, as when somebody else than the server answers.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(_EndlessListError):
            return await _consumers_of(js, stream)
    return await _consumers_of(js, stream)


async def _consumers_of(js: JetStreamContext, stream: str) -> list[ConsumerInfo]:
    if not isinstance(js, SafeJetStream) or js.lists is None:
        return await _listed(js, stream)
    if js.lists.is_large:
        return await _by_name(js, stream)
    connections = js.connections
    try:
        found = await _listed(js, stream)
    except _LargeListError:
        pass
    except (NatsError, TimeoutError):
        if js.connections == connections or not js.lists.cut_off():
            raise
    else:
        js.lists.fine()
        return found
    js.lists.large()
    return await _by_name(js, stream)


async def _read_pages(
    page_at: Callable[[int], Awaitable[list[T]]], name_of: Callable[[T], str], take: Callable[[list[T]], None]
) -> None:
    """Hand each page of a list of consumers to `take`.

    Args:
        page_at: returns the page that begins after so many entries; an empty one is the end.
        name_of: the name of the consumer that an entry is about.
        take: called once for each page, in order.

    Raises:
        _EndlessListError: a page has nothing new, or the list is too long.
    """
    names: set[str] = set()
    offset = 0
    while page := await page_at(offset):
        known = len(names)
        names.update(map(name_of, page))
        offset += len(page)
        if len(names) == known or len(names) > MOST_CONSUMERS:
            raise _EndlessListError
        take(page)


async def _listed(js: JetStreamContext, stream: str) -> list[ConsumerInfo]:
    found: list[ConsumerInfo] = []

    def take(page: list[ConsumerInfo]) -> None:
        if isinstance(js, SafeJetStream) and js.largest > LARGE_BYTES and js.lists is not None:
            raise _LargeListError
        found.extend(map(shortened, page))

    left_out: set[str] = set()

    async def page_at(offset: int) -> list[ConsumerInfo]:
        if not isinstance(js, SafeJetStream):
            return await js.consumers_info(stream, offset=offset)
        while True:
            page, silent = await js.consumer_page(stream, offset + len(left_out))
            if needed := [name for name in silent if _says_where_to_begin(name)]:
                raise LeaderlessError(needed)
            if page or left_out.issuperset(silent):
                left_out.update(silent)
                return page
            left_out.update(silent)

    await _read_pages(page_at, attrgetter("name"), take)
    return found


def _says_where_to_begin(name: str) -> bool:
    """Whether a consumer is one of an owner of a shard, or of the legacy service."""
    return parse_name(name) is not None or name.removesuffix("-pull") == _LEGACY


async def _by_name(js: SafeJetStream, stream: str) -> list[ConsumerInfo]:
    names: dict[str, None] = {}
    await _read_pages(
        lambda offset: js.consumer_names(stream, offset), str, lambda page: names.update(dict.fromkeys(page))
    )
    chosen = [name for name in names if _matters(name)]
    chosen += [name for name in names if not _matters(name)][:MOST_UNKNOWN]
    found: list[ConsumerInfo] = []

    async def look(name: str) -> None:
        found.append(shortened(await js.consumer_info(stream, name)))

    await for_each(chosen, look)
    return found


def _matters(name: str) -> bool:
    """Whether a consumer may be ours, that of a step, or that of a service that we know."""
    return name.startswith(OURS) or name.removesuffix("-pull") in _KNOWN


def shortened(info: ConsumerInfo) -> ConsumerInfo:
    """What is known of a consumer, without texts and lists that are longer than any of ours."""
    config = info.config
    metadata = [(n, t) for n, t in (config.metadata or {}).items() if len(n) + len(t) <= MOST_TEXT]
    shorter = config.evolve(
        metadata=dict(metadata[:MOST_ITEMS]) or None,
        description=(config.description or "")[:MOST_TEXT] or None,
        backoff=config.backoff[:MOST_ITEMS] if config.backoff else config.backoff,
    )
    return replace(info, config=shorter)
