"""Reading a long list: what expires in the middle is read again, and large resources come few at a time."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from uploadpp.kube.errors import ExpiredError, OlderStoreError
from uploadpp.kube.pages import PAGE_BYTES
from uploadpp.kube.store import PAGE, Store

METADATA: dict[str, Callable[[str], dict[str, Any]]] = {
    "annotations": lambda text: {"annotations": {"a": text}},
    "labels": lambda text: {"labels": {text: ""}},
    "finalizers": lambda text: {"finalizers": [text]},
    "managedFields": lambda text: {"managedFields": [{"fieldsV1": {f"f:{text}": {}}}]},
    "ownerReferences": lambda text: {"ownerReferences": [{"name": text}]},
}
"""Where somebody who may edit a resource can put as much as it holds."""


class Pages:
    """Answers lists, and says from time to time that the rest is not available any more."""

    def __init__(
        self, count: int, size: int, expiries: int = 0, where: str = "annotations", version: str = ""
    ) -> None:
        self._count, self._size, self._expiries = count, size, expiries
        self._metadata = METADATA[where]("x" * size)
        self._version = version
        self.limits: list[int] = []

    async def request(self, method: str, path: str, params: dict[str, str]) -> dict[str, Any]:
        del method, path
        start, limit = int(params.get("continue", 0)), int(params["limit"])
        if start and self._expiries:
            self._expiries -= 1
            raise ExpiredError("GET: 410 The provided continue parameter is too old")
        self.limits.append(limit)
        end = min(start + limit, self._count)
        items = [{"metadata": {"name": str(n), **self._metadata}} for n in range(start, end)]
        token = str(end) if end < self._count else ""
        return {"items": items, "metadata": {"continue": token, "resourceVersion": self._version}}


async def names(pages: Pages) -> list[str]:
    return [each["metadata"]["name"] async for each in Store(cast("Any", pages), "ocis").list_all()]


@pytest.mark.parametrize("expiries", [0, 1, 2])
async def test_b6_a_list_that_expires_is_read_from_the_start(expiries: int) -> None:
    found = await names(Pages(1600, 10, expiries))
    assert set(found) == {str(n) for n in range(1600)}


async def test_b6_a_list_that_always_expires_fails() -> None:
    with pytest.raises(ExpiredError):
        await names(Pages(1600, 10, 99))


@pytest.mark.parametrize("where", METADATA)
@pytest.mark.parametrize("size", [0, 10, 255_000, 20_000_000])
async def test_s6_pages_are_as_small_as_their_resources_are_large(size: int, where: str) -> None:
    pages = Pages(3 if size > PAGE_BYTES else 120, size, where=where)
    assert len(await names(pages)) in {3, 120}
    assert all(1 <= limit <= PAGE for limit in pages.limits)
    assert all(limit * size <= max(PAGE_BYTES, size) for limit in pages.limits[1:])


@pytest.mark.parametrize(
    "spec", [5, True, "x", ["x"], None, {}, {"sealed": 5}, {"sealed": ["x"]}, {"sealed": None}]
)
async def test_s2_a_resource_of_a_crd_that_takes_all_stops_no_list(spec: object) -> None:
    """Its size was asked for as if it were ours, and no start came further than that."""

    class Odd(Pages):
        async def request(self, method: str, path: str, params: dict[str, str]) -> dict[str, Any]:
            page = await super().request(method, path, params)
            page["items"][0]["spec"] = spec
            return page

    assert len(await names(Odd(200, 10))) == 200


@pytest.mark.parametrize(("version", "newest"), [("7", 0), ("7", 7), ("", 9), ("opaque", 9)])
async def test_a_list_from_after_what_is_known_is_read(version: str, newest: int) -> None:
    store = Store(cast("Any", Pages(2, 10, version=version)), "ocis")
    assert len([each async for each in store.list_all(newest=newest)]) == 2


async def test_a_list_from_before_a_write_is_not_read() -> None:
    store = Store(cast("Any", Pages(2, 10, version="7")), "ocis")
    with pytest.raises(OlderStoreError, match="version 7 is older than our write, 8"):
        _ = [each async for each in store.list_all(newest=8)]
