"""Resources as inputs: which of several counts for an upload, and that one never stops the others."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from uploadpp.api.codec import ALL_SHOWN, to_resource, to_status
from uploadpp.core.conditions import Unserved
from uploadpp.core.model import Millis, Origin, Upload
from uploadpp.core.sharding import Shard
from uploadpp.kube.sealing import Opened, SealError
from uploadpp.pipeline.ports import ReadEnds
from uploadpp.pipeline.router import Router
from uploadpp.pipeline.timers import Timers
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.resources.bucket_labels import BucketLabels
from uploadpp.resources.deletions import Vanished
from uploadpp.resources.ended import EndedUploads
from uploadpp.resources.event_handler import Collaborators, ResourceEventHandler
from uploadpp.resources.finished import FinishedUploads
from uploadpp.resources.forgotten import ForgottenResources, told_by
from uploadpp.resources.left_alone import LeftAlone
from uploadpp.resources.past_ends import PastEnds
from uploadpp.resources.ttl import TTLController
from uploadpp.resources.url_secrets import UrlSecretReader
from uploadpp.resources.void_marks import VoidMarks
from uploadpp.testing.builders import ARRIVAL, after
from uploadpp.testing.pipelines import CONFIG, MARKS, NOW, KeptEvents, PipelineBench

VICTIM = "zvictim"


class Open:
    """Seals that are open."""

    def seal(self, origin: Origin, upload_id: str, plan: Mapping[str, str | int]) -> str:
        del origin, upload_id, plan
        return "gAAAA"

    def open(self, sealed: str, upload_id: str) -> Opened:
        del upload_id
        if sealed == "bug":
            raise RuntimeError("not foreseen")
        if sealed == "damaged":
            raise SealError(sealed)
        return Opened(Origin(url=f'"https://{"b" if sealed == "earlier" else "a"}"'))


class Side:
    """The Kubernetes side of one ownership, with everything real but the servers."""

    def __init__(self, shard: Shard | None = None, read: ReadEnds | None = None) -> None:
        self.outbox = KeptEvents()
        me = cast("Any", self)
        bench = PipelineBench(CONFIG, self.outbox, lambda: NOW, lifecycle=me, shard=shard, marks=MARKS)
        self.bench, self.uploads, self.applier, self.acks = bench, bench.uploads, bench.applier, bench.acks
        self.told, self.stored, self.ended = bench.told, bench.turns.storable, bench.turns.ended
        self.forgotten = ForgottenResources()
        self.marks = VoidMarks(bench.faults, me)
        self.left_alone = LeftAlone(bench.faults, cast("Any", bench), self.forgotten, self.marks)
        self.labels = BucketLabels(self.uploads, bench.faults, me)
        self.finished = FinishedUploads(bench.shared, self.uploads)
        self.vanished = Vanished(self.uploads, bench.faults, self.finished, self.forgotten, self.labels, me)
        self.router = Router(bench.shared, self.uploads, None, self.applier, self.vanished, self.finished)
        secrets = UrlSecretReader(bench.shared, self.applier, me, cast("Any", bench))
        others = Collaborators(
            uploads=self.uploads,
            applier=self.applier,
            finished=self.finished,
            vanished=self.vanished,
            forgotten=self.forgotten,
            left_alone=self.left_alone,
            labels=self.labels,
            past_ends=PastEnds(bench.shared, self.applier, secrets, cast("Any", bench), read),
        )
        self.inputs = ResourceEventHandler(bench.shared, Open(), cast("Any", bench), others)

    def on_storable(self, tracked: TrackedUpload) -> None:
        self.stored.append(tracked.name)

    def on_ended(self, tracked: TrackedUpload) -> None:
        self.ended.append(tracked.name)

    def on_forgotten(self, tracked: TrackedUpload) -> None:
        self.forgotten.done_with(tracked)

    def on_overruled(self, tracked: TrackedUpload) -> None:
        self.left_alone.overruled(tracked)

    @property
    def upload(self) -> Upload:
        return self.bench.upload(VICTIM)

    def owner(self, upload_id: str = VICTIM) -> str:
        tracked = self.uploads.by_id(upload_id)
        return tracked.name if tracked else ""


def resource(name: str, upload_id: str = VICTIM, created: int = 10, **spec: object) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "generation": 1,
            "resourceVersion": "5",
            "creationTimestamp": f"2026-11-18T11:06:{created:02d}Z",
        },
        "spec": {"upload": {"id": upload_id}, "steps": [], **spec},
    }


def driven(name: str, upload_id: str = VICTIM, created: int = 20) -> dict[str, Any]:
    """A resource that the operator has written a status of."""
    upload = after(ARRIVAL, upload_id=upload_id, config=CONFIG)
    made = to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="gAAAA")
    made["metadata"] |= resource(name, created=created)["metadata"]
    return {**made, "status": to_status(upload)}


@pytest.mark.parametrize("at", ["list", "watch"])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (driven(VICTIM), resource("aaa-twin")),
        (driven(VICTIM), driven("aaa-twin", created=1)),
        (resource(VICTIM, created=50), resource("aaa-twin", created=1)),
        (resource(VICTIM, created=50), driven("aaa-twin", created=1)),
        (driven("bbb", created=50), resource("aaa-twin", created=1)),
        (resource("bbb", created=1), resource("aaa-twin", created=2)),
    ],
)
def test_s9_a_twin_never_takes_an_upload(
    winner: dict[str, Any], loser: dict[str, Any], order: int, at: str
) -> None:
    side = Side()
    for each in (winner, loser)[::order]:
        (side.inputs.listed if at == "list" else side.inputs.seen)(each)
    assert side.owner() == winner["metadata"]["name"]
    assert side.told == [("aaa-twin", "LeftAlone")]
    for each in (loser, winner, loser):
        side.inputs.seen(each)
    assert side.owner() == winner["metadata"]["name"]
    side.applier.act()
    side.inputs.reconcile_all()
    assert len(side.told) == 1


def touched(status: dict[str, Any] | None, **meta: object) -> Side:
    """The upload's resource as somebody has left it: with this status, and a newer version."""
    side = Side()
    side.inputs.listed(driven(VICTIM))
    side.applier.act()
    side.stored.clear()
    made = driven(VICTIM)
    made["status"] = to_status(side.upload, made["metadata"]["uid"]) if status is None else status
    side.inputs.seen({**made, "metadata": {**made["metadata"], "resourceVersion": "6", **meta}})
    return side


def known_version(side: Side) -> str:
    tracked = side.uploads.by_id(VICTIM)
    assert tracked is not None
    assert tracked.stored is not None
    return tracked.stored.version


@pytest.mark.parametrize("status", [{}, {"uid": "of another"}, {"message": "mine"}])
def test_a_status_that_somebody_writes_is_written_over(status: dict[str, Any]) -> None:
    side = touched(status)
    assert side.stored == [VICTIM]
    assert known_version(side) == "5", "a conflict has to ask whether the shard is ours: it may be an owner's"


def test_what_a_resource_shows_of_services_is_known_and_not_written_over() -> None:
    made, side, upload = driven(VICTIM), Side(), after(ARRIVAL, upload_id=VICTIM, config=CONFIG)
    unserved = Unserved(upload.current_step, NOW)
    made["status"] = to_status(upload, unserved=unserved)
    side.inputs.listed(made)
    side.applier.act()
    tracked = side.uploads.by_id(VICTIM)
    assert tracked is not None
    assert tracked.unserved == unserved
    side.stored.clear()
    status = to_status(tracked.upload, made["metadata"]["uid"], tracked.sealed_with, unserved)
    made["metadata"]["resourceVersion"] = "6"
    side.inputs.seen({**made, "status": status})
    assert side.stored == []
    made["metadata"]["resourceVersion"] = "7"
    side.inputs.seen({**made, "status": to_status(tracked.upload, made["metadata"]["uid"])})
    assert side.stored == [VICTIM]


def test_nobody_fights_over_a_status() -> None:
    """A controller that answers each of our writes with one of its own: half a minute in between."""
    side = touched({"message": "mine"})
    for version in range(7, 20):
        made = driven(VICTIM)
        made["metadata"]["resourceVersion"] = str(version)
        side.inputs.seen({**made, "status": {"message": "mine"}})
    assert side.stored == [VICTIM]
    assert known_version(side) == "5", "so that the next listing finds it"


@pytest.mark.parametrize("meta", [{"labels": {"team": "blue"}}, {"finalizers": ["example.com/keep"]}])
def test_what_is_not_for_us_is_written_over_by_nobody(meta: dict[str, object]) -> None:
    side = touched(None, **meta)
    assert side.stored == []
    assert known_version(side) == "5", "the next write meets a conflict, and asks whether the shard is ours"


@pytest.mark.parametrize("listed", [True, False])
def test_what_the_lease_says_has_ended_does_not_begin(*, listed: bool) -> None:
    side = Side()
    side.applier.act()
    made = resource(VICTIM)
    uid = made["metadata"]["uid"]
    side.forgotten.note(uid, told_by(made))
    (side.inputs.listed if listed else side.inputs.seen)(made)
    assert (side.owner(), side.told) == ("", [(VICTIM, "LeftAlone")])
    side.forgotten.drop_unmet()
    assert uid in side.forgotten.noted
    side.inputs.deleted(made)
    assert uid not in side.forgotten.noted


def test_a_resource_of_ours_that_lost_its_spec_is_ignored_without_a_fault() -> None:
    side = Side()
    side.applier.act()
    bare = {name: part for name, part in driven(VICTIM).items() if name not in {"spec", "status"}}
    side.inputs.seen(bare)
    faults = side.bench.metrics.registry.get_sample_value("uploadpp_upload_faults_total")
    assert (side.owner(), faults) == ("", 0)


def test_b6_a_list_that_is_read_a_second_time_says_nothing_new() -> None:
    side = Side()
    for _ in range(2):
        for name in ("one", "two"):
            side.inputs.listed(driven(name, name))
    assert side.told == []
    assert side.owner("one") == "one"


@pytest.mark.parametrize("loop", ["listed", "seen", "on_reloaded"])
@pytest.mark.parametrize(
    "broken",
    [
        resource("broken", "broken", sealed="bug"),
        {"metadata": {"name": "broken", "uid": "u"}, "spec": []},
        {"metadata": {"name": "broken", "uid": "u", "resourceVersion": "1"}, "spec": {"upload": 5}},
        {"metadata": {"name": "broken"}},
        {"metadata": None},
        {},
    ],
    ids=range(6),
)
def test_s2_one_resource_never_stops_the_others(loop: str, broken: dict[str, Any]) -> None:
    side = Side()
    for each in (resource("a", "a"), broken, broken, resource("b", "b")):
        getattr(side.inputs, loop)(each)
    assert (side.owner("a"), side.owner("b")) == ("a", "b")
    assert len(side.told) == 1, "it is said once, on that one"


def test_s2_one_upload_never_stops_the_reconciling_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side()
    for name in ("a", "b", "c"):
        side.inputs.listed(resource(name, name))
    side.applier.act()
    real, done = side.applier.on_input, []

    def on_input(tracked: TrackedUpload, event: Any) -> None:  # noqa: ANN401 -- any input
        if tracked.name == "b":
            raise IndexError("not foreseen")
        done.append(tracked.name)
        real(tracked, event)

    monkeypatch.setattr(side.applier, "on_input", on_input)
    side.inputs.reconcile_all()
    assert done == ["a", "c"]
    assert side.told == [("b", "LeftAlone")]


async def test_s2_one_timer_never_stops_the_others(caplog: pytest.LogCaptureFixture) -> None:
    timers, done, last = Timers(lambda: NOW), [], asyncio.Event()
    for name in ("a", "b", "c"):
        timers.set(TrackedUpload(name, after(ARRIVAL, upload_id=name)), Millis(NOW - 1))

    def act(tracked: TrackedUpload) -> None:
        if tracked.name == "b":
            raise IndexError("not foreseen")
        done.append(tracked.name)
        if tracked.name == "c":
            last.set()

    running = asyncio.create_task(timers.run(act))
    await asyncio.wait_for(last.wait(), 10)
    running.cancel()
    assert done == ["a", "c"]
    assert "not foreseen" in caplog.text


async def test_s2_one_resource_never_stops_the_removal_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, last = [], asyncio.Event()
    found = [cast("Any", TrackedUpload(name, after(ARRIVAL, upload_id=name))) for name in ("a", "b", "c")]

    class ReloadHandler:
        def overdue(self, *_: object) -> int:
            return len(found)

        def due(self, *_: object) -> list[Any]:
            return [found.pop(0)] if found else []

    async def remove(_: object, each: TrackedUpload) -> None:
        if each.name == "b":
            raise KeyError("not foreseen")
        gone.append(each.name)
        if each.name == "c":
            last.set()

    monkeypatch.setattr("uploadpp.resources.ttl.PERIOD_SECONDS", 0.001)
    monkeypatch.setattr(TTLController, "_remove", remove)
    none = cast("Any", None)
    running = asyncio.create_task(
        TTLController(cast("Any", ReloadHandler()), none, none, EndedUploads(), lambda: NOW, 1).run()
    )
    await asyncio.wait_for(last.wait(), 10)
    running.cancel()
    assert gone == ["a", "c"]


def test_s9_a_status_that_makes_no_sense_is_left_alone() -> None:
    side = Side()
    for number, status in enumerate(
        [
            {"run": 0, "steps": []},
            {"steps": []},
            {"run": -1},
            {"run": "1"},
            {"currentStep": "nowhere"},
            {"conditions": [{"type": "Succeeded", "reason": "Dancing"}]},
            {"steps": [{"name": "a", "state": "Waiting", "attempts": -5}]},
            {"conditions": {}},
        ]
    ):
        made = driven(f"n{number}", f"n{number}")
        side.inputs.listed({**made, "status": made["status"] | cast("dict[str, Any]", status)})
    side.inputs.listed(driven("good", "good"))
    side.applier.act()
    side.inputs.reconcile_all()
    assert side.owner("good") == "good"
    assert [name for name, _ in side.told] == [f"n{number}" for number in range(8)]
