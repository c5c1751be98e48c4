"""What is read before the replay, and what not."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from uploadpp.kube.errors import OlderStoreError, RefusedError, UnavailableError
from uploadpp.kube.lease import LeaseLostError
from uploadpp.kube.store import Stored
from uploadpp.pipeline.write_guard import WriteGuard
from uploadpp.resources.relist import NEEDED, Lister

SHARD = "uploadpp.io/bucket notin (01)"


class Shelves:
    """Resources, and everybody who is told of them."""

    def __init__(self, count: int) -> None:
        self.kept = count
        self.refused: Exception | None = None
        self.asked: list[tuple[str, str]] = []
        self.listed: list[str] = []
        self.is_complete = True
        self.stored: list[tuple[str, Stored]] = []
        self.in_memory: list[object] = []
        self.gone: list[str] = []
        self.version = "7"
        self.name = "up-1"
        self.others: dict[str, Any] = {}
        self.read: list[str] = []
        self.at = 10
        self.lost: Exception | None = None
        self.more: dict[str, Any] = {}
        """Further metadata of what is listed."""
        self.are_deleted = True
        self.doubts = 0
        lease = SimpleNamespace(gone_back=LeaseLostError)
        self.check_not_older = WriteGuard(cast("Any", lease)).check_not_older

    def complete(self) -> None:
        self.is_complete = True

    def expect_more(self) -> None:
        self.is_complete = False

    async def count(self) -> int:
        return self.kept

    async def list_all(self, selector: str = "", fields: str = "", newest: int = 0) -> AsyncIterator[Any]:
        if self.at < newest:
            raise OlderStoreError(f"GET: version {self.at}")
        self.asked.append((selector, fields))
        if self.refused is not None and fields:
            raise self.refused
        meta = {"name": self.name, "uid": "the same in each", "resourceVersion": self.version, **self.more}
        yield {"metadata": meta, "spec": {"upload": {"id": "up-1"}}}

    async def get(self, name: str) -> Any:  # noqa: ANN401 -- a resource
        self.read.append(name)
        return self.others.get(name)

    async def confirm_ownership(self) -> None:
        if self.lost is not None:
            raise self.lost

    async def is_deletion(self) -> bool:
        self.doubts += 1
        return self.are_deleted

    def listing(self) -> Lister:
        inputs = SimpleNamespace(
            listed=lambda each: self.listed.append(each["metadata"]["uid"]),
            seen=lambda each: self.listed.append(each["metadata"]["uid"]),
            is_deletion=self.is_deletion,
            gone=lambda name, uid, with_kind: self.gone.append(f"{name} {uid}{' with its kind' * with_kind}"),
        )
        me = cast("Any", self)
        return Lister(me, me, cast("Any", inputs), me, me, SHARD)


async def test_a_few_are_all_read() -> None:
    shelves = Shelves(10)
    await shelves.listing().initial_list(10)
    assert shelves.asked == [(SHARD, "")]
    assert shelves.is_complete


@pytest.mark.parametrize("deleted", [True, False])
@pytest.mark.parametrize("soon_read", [10, 9])
async def test_what_is_being_deleted_is_not_there_unless_it_goes_with_its_kind(
    soon_read: int, *, deleted: bool
) -> None:
    shelves = Shelves(10)
    shelves.more = {"deletionTimestamp": "2026-11-18T11:06:10Z"}
    shelves.name, shelves.are_deleted = "by-hand", deleted
    shelves.others = {"up-1": {"metadata": {"name": "up-1", "uid": "of its own", **shelves.more}}}
    await shelves.listing().initial_list(soon_read)
    kept = ["the same in each", "of its own"][: 2 if soon_read < 10 else 1]
    assert shelves.listed == ([] if deleted else kept)
    assert shelves.doubts == 1


async def test_of_many_only_who_is_not_over_each_once() -> None:
    shelves = Shelves(11)
    await shelves.listing().initial_list(10)
    assert shelves.asked == [(f"{SHARD},{labels}" if labels else SHARD, fields) for labels, fields in NEEDED]
    assert shelves.listed == ["the same in each"]
    assert not shelves.is_complete


@pytest.mark.parametrize("there", [True, False])
async def test_the_resource_of_an_upload_is_read_when_one_of_another_name_is_listed(*, there: bool) -> None:
    """It may be over, and not be listed: the other one would begin."""
    shelves = Shelves(11)
    shelves.name = "mine"
    if there:
        shelves.others = {"up-1": {"metadata": {"uid": "its own"}}}
    await shelves.listing().initial_list(10)
    assert shelves.read == ["up-1"]
    assert shelves.listed == ["the same in each", *["its own"] * there]


async def test_an_older_crd_has_all_read(caplog: pytest.LogCaptureFixture) -> None:
    shelves = Shelves(11)
    shelves.refused = RefusedError("GET: 400 field label not supported: status.completionTime")
    await shelves.listing().initial_list(10)
    assert shelves.asked[-1] == (SHARD, "")
    assert shelves.is_complete
    assert "the CRD is older than this operator" in caplog.text


async def test_what_cannot_be_read_is_no_empty_list() -> None:
    shelves = Shelves(11)
    shelves.refused = UnavailableError("GET: 500")
    with pytest.raises(UnavailableError):
        await shelves.listing().initial_list(10)


@pytest.mark.parametrize("missing", [False, True])
async def test_whoever_was_not_listed_is_known_once_the_watch_has_begun(*, missing: bool) -> None:
    shelves = Shelves(11)
    shelves.stored = [("a", Stored("the same in each", "7", 1)), ("b", Stored("no more", "7", 1))]
    listing, opened = shelves.listing(), asyncio.Event()
    await listing.initial_list(10)
    assert not shelves.is_complete
    watch = SimpleNamespace(opened=opened, take_kind_was_missing=lambda: missing)
    running = asyncio.create_task(listing.run(cast("Any", watch), 3600))
    opened.set()
    await asyncio.sleep(0.01)
    assert (shelves.is_complete, shelves.gone) == (True, ["b no more" + " with its kind" * missing])
    running.cancel()


@pytest.mark.parametrize("shown_by", ["the Lease", "a resource", "the list"])
async def test_what_an_older_copy_of_etcd_does_not_have_is_not_gone(shown_by: str) -> None:
    shelves = Shelves(0)
    shelves.stored = [("a", Stored("the same in each", "8", 1)), ("b", Stored("not in the copy", "9", 1))]
    shelves.version = "7" if shown_by == "a resource" else "8"
    shelves.at = 8 if shown_by == "the list" else 10
    shelves.lost = LeaseLostError("the Lease has gone back") if shown_by == "the Lease" else None
    watch = SimpleNamespace(opened=asyncio.Event(), take_kind_was_missing=lambda: False)
    watch.opened.set()
    with pytest.raises((LeaseLostError, OlderStoreError)):
        await shelves.listing().run(cast("Any", watch), 3600)
    assert shelves.gone == []
