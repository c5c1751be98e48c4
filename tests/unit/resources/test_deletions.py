"""Resources that are not there any more: forgotten when a person has deleted them, else recorded anew."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.resources.test_event_handler import Side, driven, resource
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import CleanUpload, StepFinished
from uploadpp.core.model import Millis
from uploadpp.core.sharding import BUCKET_LABEL, Shard, bucket_label
from uploadpp.core.states import Outcome
from uploadpp.kube.errors import ApiError, OlderStoreError, UnavailableError
from uploadpp.kube.store import Stored
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.resources import bucket_labels, deletions
from uploadpp.wire.decode import Event

HERE, MISSING, AWAY = True, False, UnavailableError("no route")
Answer = bool | ApiError


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths, where a test waits for them to pass."""
    for name in ("PAUSE", "SECOND_LOOK", "UNDECIDED"):
        monkeypatch.setattr(deletions, f"{name}_SECONDS", getattr(deletions, f"{name}_SECONDS") / 100)
    monkeypatch.setattr(bucket_labels, "PAUSE_SECONDS", bucket_labels.PAUSE_SECONDS / 100)


class Cluster(Side):
    """Uploads with resources, and an API server that is asked whether it takes any."""

    def __init__(self, *answers: Answer, shard: Shard | None = None) -> None:
        super().__init__(shard)
        self.answers = list(answers)
        self.there: dict[str, dict[str, Any]] = {}
        self.version = 100
        self.labelled: list[tuple[str, str, str]] = []
        for name in ("a", "b"):
            self.inputs.listed(driven(name, name))
        self.applier.act()
        self.stored.clear()

    async def takes_new(self) -> bool:
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def list_all(self, selector: str = "", fields: str = "", newest: int = 0) -> AsyncIterator[Any]:
        del selector
        if self.version < newest:
            raise OlderStoreError(f"GET: version {self.version}")
        found = self.there.get(fields.removeprefix("metadata.name="))
        if found is not None:
            yield found

    async def write_bucket(self, name: str, version: str, bucket: str) -> Stored:
        self.labelled.append((name, version, bucket))
        return Stored(f"uid-{name}", "6", 1)

    def tracked(self, name: str = "a") -> TrackedUpload | None:
        return self.uploads.by_id(name)

    async def removed(self, *names: str) -> None:
        """These are told to be gone; returns when it is clear what becomes of them."""
        running = [asyncio.create_task(work) for work in (self.vanished.run(self.router), self.labels.run())]
        for name in names:
            self.inputs.gone(name, f"uid-{name}")
        async with asyncio.timeout(10):
            while len(self.vanished) or len(self.labels):  # noqa: ASYNC110 -- nothing tells when both are empty
                await asyncio.sleep(0.001)
        for each in running:
            each.cancel()


def answered(step: str = "virusscan") -> Event:
    return Event("a", StepFinished(step=step, outcome=Outcome.CONTINUE), "id")


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        ((HERE,), False),
        ((MISSING,), True),
        ((HERE, MISSING), True),
        ((AWAY, HERE), False),
        ((AWAY, MISSING), True),
        ((AWAY,), True),
    ],
    ids=str,
)
async def test_it_is_forgotten_only_when_such_resources_are_taken(
    answers: tuple[Answer, ...], *, kept: bool
) -> None:
    cluster = Cluster(*answers)
    tracked = cluster.tracked()
    assert tracked is not None
    tracked.name = "of-a-person"
    await cluster.removed("a", "b")
    assert (cluster.tracked() is tracked) is kept
    assert tracked.gone is not kept
    if kept:
        assert (tracked.stored, tracked.storable, tracked.name) == (None, True, "a")
        assert "a" in cluster.stored
        assert tracked.upload.control.generation == tracked.upload.observed_generation == 1


@pytest.mark.parametrize("answer", [HERE, MISSING])
async def test_what_a_finalizer_holds_is_not_there_any_more(*, answer: bool) -> None:
    """It is forgotten when it is deleted, and not when the finalizer lets it go, perhaps much later."""
    cluster = Cluster(answer)
    tracked = cluster.tracked()
    assert tracked is not None
    held = terminating(driven("a", "a"))
    cluster.there = {"a": held}
    cluster.inputs.seen(held)
    assert len(cluster.vanished) == 1
    cluster.inputs.seen(held)
    await cluster.removed()
    assert (cluster.tracked() is tracked) is (answer is MISSING)
    assert (tracked.stored is None) is (answer is MISSING)
    for show in (cluster.inputs.seen, cluster.inputs.on_reloaded, cluster.inputs.deleted):
        show(held)
    assert (cluster.tracked() is tracked) is (answer is MISSING)
    assert len(cluster.vanished) == 0


async def test_an_upload_that_is_over_is_forgotten_with_its_resource_that_a_finalizer_holds() -> None:
    cluster = Cluster(AWAY)
    tracked = cluster.tracked()
    assert tracked is not None
    cluster.applier.on_input(tracked, CleanUpload())
    tracked.saved, tracked.unpublished = tracked.version, 0
    assert cluster.finished.evict(tracked)
    cluster.inputs.seen(terminating(driven("a", "a")))
    assert cluster.finished.get("a") is None
    assert cluster.tracked() is None


@pytest.mark.parametrize(
    ("answers", "decided"),
    [((HERE,), True), ((HERE, MISSING), False), ((MISSING,), False), ((AWAY,), False), ((HERE, AWAY), False)],
)
async def test_whether_people_have_deleted_them(answers: tuple[Answer, ...], *, decided: bool) -> None:
    assert await Cluster(*answers).inputs.is_deletion() is decided


def test_what_is_being_deleted_does_not_begin() -> None:
    side = Side()
    side.applier.act()
    held = terminating(resource("a", "a"))
    assert not side.inputs.is_own_write(held)
    side.inputs.seen(held)
    side.inputs.on_reloaded(held)
    assert (side.owner("a"), side.told) == ("", [])
    side.inputs.listed(held)  # as when it goes with the CRD or the namespace
    assert (side.owner("a"), side.told) == ("", [("a", "LeftAlone")])
    assert side.outbox.sent == []


def test_what_has_begun_is_listed_while_it_goes_with_its_kind() -> None:
    side = Side()
    side.inputs.listed(terminating(driven("a", "a")))
    assert side.owner("a") == "a"


def terminating(found: dict[str, Any]) -> dict[str, Any]:
    """A resource that was deleted, and that somebody's finalizer holds."""
    meta = {**found["metadata"], "resourceVersion": "9", "generation": 2, "finalizers": ["x.example/keep"]}
    return {**found, "metadata": {**meta, "deletionTimestamp": "2026-11-18T12:00:00Z"}}


async def test_what_an_older_copy_of_etcd_does_not_have_is_not_forgotten() -> None:
    cluster = Cluster(HERE)
    tracked = cluster.tracked()
    assert tracked is not None
    assert tracked.stored is not None
    cluster.version = int(tracked.stored.version) - 1
    cluster.inputs.gone("a", "uid-a")
    with pytest.raises(OlderStoreError):
        await asyncio.wait_for(cluster.vanished.run(cluster.router), 10)
    assert cluster.tracked() is tracked


async def test_what_is_told_after_the_crd_was_missing_has_gone_with_it() -> None:
    """The CRD is back already, and the last of its resources are told of late."""
    cluster = Cluster(MISSING)
    await cluster.removed("a")
    cluster.answers = [HERE]
    cluster.inputs.gone("b", "uid-b")
    assert cluster.tracked("b") is not None
    assert cluster.stored == ["a", "b"]


async def test_what_a_listing_misses_after_the_crd_was_missing_is_kept_unasked() -> None:
    cluster = Cluster(HERE)
    cluster.inputs.gone("a", "uid-a", with_kind=True)
    assert cluster.tracked() is not None
    assert cluster.stored == ["a"]


@pytest.mark.parametrize("answer", [HERE, MISSING])
async def test_messages_wait_until_it_is_clear(*, answer: bool) -> None:
    cluster = Cluster(answer)
    cluster.inputs.gone("a", "uid-a")
    tracked, message, before = cluster.tracked(), PendingMessage(7), len(cluster.outbox.sent)
    assert tracked is not None
    tracked.upload = evolve(tracked.upload, log=evolve(tracked.upload.log, start=1))
    assert cluster.vanished.defer(answered(tracked.upload.current_step), 7, Millis(10), message)
    assert not cluster.vanished.defer(answered()._replace(upload_id="b"), 8, Millis(10), PendingMessage(8))
    assert message.open == 2
    assert not tracked.storable
    await cluster.removed()
    assert (len(cluster.outbox.sent) > before) is (answer is MISSING)


async def test_who_is_over_is_forgotten_at_once() -> None:
    cluster = Cluster(AWAY)
    cluster.inputs.listed(driven("c", "c"))
    tracked = cluster.tracked("c")
    assert tracked is not None
    cluster.applier.on_input(tracked, CleanUpload())
    tracked.saved = tracked.version
    cluster.inputs.gone("c", "uid-c")
    assert cluster.tracked("c") is None


def labelled(name: str, bucket: str) -> dict[str, Any]:
    resource = driven(name, name)
    resource["metadata"]["labels"] = {BUCKET_LABEL: bucket}
    return resource


@pytest.mark.parametrize("wrong", [True, False])
async def test_what_has_another_label_now_is_not_gone(*, wrong: bool) -> None:
    """The watch of its shard says so; the owner of another one may have mended it already."""
    cluster = Cluster(HERE)
    tracked = cluster.tracked()
    assert tracked is not None
    right = bucket_label("a")
    cluster.there = {"a": labelled("a", "63" if wrong else right)}
    await cluster.removed("a", "b")
    assert (cluster.tracked(), tracked.gone, tracked.unpublished) == (tracked, False, 0)
    assert cluster.tracked("b") is None, "that one is gone"
    assert cluster.labelled == ([("a", "5", right)] if wrong else [])
    cluster.uploads.evict(tracked)
    cluster.inputs.on_reloaded(labelled("a", right))
    assert cluster.tracked() is not None, "it is known again when it comes back into memory"


async def test_who_is_told_of_a_resource_of_another_shard_mends_its_label() -> None:
    """Its owner does not see it. Not a fight: once in a while is enough."""
    cluster = Cluster(HERE, shard=Shard(0, 2))
    others = next(f"x{number}" for number in range(99) if not Shard(0, 2).owns(f"x{number}"))
    running = asyncio.create_task(cluster.labels.run())
    for _ in range(3):
        cluster.inputs.seen(labelled(others, "00"))
        await asyncio.sleep(0.01)
    unlabelled = labelled(others, "00")
    unlabelled["metadata"]["labels"] = {}
    cluster.inputs.seen(unlabelled)
    running.cancel()
    assert cluster.labelled == [(others, "5", bucket_label(others))]
    assert cluster.tracked(others) is None
