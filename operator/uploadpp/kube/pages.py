"""Lists of the API server, read page by page: as large as memory and the bound of an answer allow."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NamedTuple

from uploadpp.kube.api import Api, Json
from uploadpp.kube.errors import ExpiredError, TooLargeAnswerError

PAGE_BYTES = 4_000_000
"""Maximum bytes of a page. Anybody who may create resources can make each of them a megabyte."""
ATTEMPTS = 3


class Page(NamedTuple):
    """A part of a list."""

    items: list[Json]
    version: str
    """The version of the whole list; empty if the API server does not say it."""
    is_first: bool
    """Whether the list begins here. It may begin a second time: what came before is then to be forgotten."""


@dataclass(frozen=True, slots=True)
class PageSizes:
    """How many objects to ask for at a time."""

    first: int
    """In the first page, while their size is unknown."""
    most: int
    size_of: Callable[[Json], int]
    """About how many bytes an object has."""


async def pages(api: Api, path: str, params: dict[str, str], sizes: PageSizes) -> AsyncIterator[Page]:
    """The pages of a list, each of them as small as the objects before are large.

    An answer that is longer than we read is asked for again with fewer objects.

    Args:
        api: where to ask.
        path: of the list.
        params: selectors; those that are empty are left out.
        sizes: of the pages.

    Raises:
        TooLargeAnswerError: a single object is longer than we read.
        ExpiredError: the rest of the list has expired again and again.
        ApiError: it cannot be read.
    """
    token, limit, attempts = "", sizes.first, 1
    while True:
        asked = {"limit": str(limit), **params, "continue": token}
        try:
            answer = await api.request("GET", path, params={k: v for k, v in asked.items() if v})
        except ExpiredError:
            if not token or attempts >= ATTEMPTS:
                raise
            token, attempts = "", attempts + 1
            continue
        except TooLargeAnswerError:
            if limit == 1:
                raise
            limit = max(1, limit // 4)
            continue
        meta = answer.get("metadata", {})
        items: list[Json] = answer.pop("items", None) or []
        if items:
            limit = max(1, min(sizes.most, PAGE_BYTES * len(items) // sum(map(sizes.size_of, items))))
        is_first, token = not token, meta.get("continue") or ""
        yield Page(items, meta.get("resourceVersion") or "", is_first)
        if not token:
            return
