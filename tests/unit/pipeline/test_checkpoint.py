"""What one writer makes of one upload, on an API server that is a dictionary."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from uploadpp.api.codec import ALL_SHOWN, control_of
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import SpecChanged
from uploadpp.core.model import Origin
from uploadpp.core.naming import ENDED_ANNOTATION, resource_name
from uploadpp.core.states import Outcome
from uploadpp.kube.errors import (
    ApiError,
    ConflictError,
    NotFoundError,
    Refusal,
    RefusedError,
    UnavailableError,
)
from uploadpp.kube.lease import LeaseLostError
from uploadpp.kube.sealing import Opened
from uploadpp.kube.store import Stored
from uploadpp.pipeline.checkpoint import Checkpoint, Records
from uploadpp.pipeline.record_limit import RecordLimit
from uploadpp.pipeline.refusals import Refusals
from uploadpp.pipeline.resource_encoder import ResourceEncoder
from uploadpp.pipeline.tracked_upload import Refused, TrackedUpload
from uploadpp.pipeline.write_guard import WriteGuard
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench

NAME = resource_name(UPLOAD)
Json = dict[str, Any]


class Seals:
    def __init__(self) -> None:
        self.plan: Mapping[str, str | int] = {}

    def seal(self, origin: Origin, upload_id: str, plan: Mapping[str, str | int]) -> str:
        del origin
        self.plan = plan
        return f"gAAAA-{upload_id}"

    def open(self, sealed: str, upload_id: str) -> Opened:
        del sealed, upload_id
        return Opened(Origin(), self.plan)


class Server:
    """Resources with optimistic concurrency; `faults` are raised by the next requests of a kind."""

    def __init__(self) -> None:
        self.resources: dict[str, Json] = {}
        self.requests: list[str] = []
        self.faults: dict[str, list[ApiError]] = {}
        self.gate: asyncio.Event | None = None
        self.adds: Json = {}
        """What a webhook adds to the spec of what is created."""

    async def _ask(self, verb: str) -> None:
        self.requests.append(verb)
        if self.gate is not None:
            await self.gate.wait()
        if self.faults.get(verb):
            raise self.faults[verb].pop(0)

    def change(self, name: str, **members: object) -> Stored:
        found = self.resources[name]
        version = str(int(found["metadata"]["resourceVersion"]) + 1)
        self.resources[name] = {
            **found,
            **members,
            "metadata": {**found["metadata"], "resourceVersion": version},
        }
        return Stored(found["metadata"]["uid"], version, found["metadata"]["generation"])

    async def create(self, resource: Json) -> Stored:
        await self._ask("create")
        name = resource["metadata"]["name"]
        if name in self.resources:
            raise ConflictError(name)
        meta = {**resource["metadata"], "uid": f"uid-{name}", "resourceVersion": "1", "generation": 1}
        spec = {**resource["spec"], **self.adds}
        self.resources[name] = {**resource, "metadata": meta, "spec": spec}
        return Stored(f"uid-{name}", "1", 1, asks=self.resources[name] if self.adds else None)

    async def get(self, name: str) -> Json | None:
        await self._ask("get")
        return self.resources.get(name)

    async def write_status(self, name: str, version: str, status: Json) -> Stored:
        await self._ask("status")
        if name not in self.resources:
            raise NotFoundError(name)
        if self.resources[name]["metadata"]["resourceVersion"] != version:
            raise ConflictError(name)
        return self.change(name, status=status)

    async def write_sealed(self, name: str, version: str, sealed: str) -> Stored:
        await self._ask("sealed")
        if self.resources[name]["metadata"]["resourceVersion"] != version:
            raise ConflictError(name)
        return self.change(name, spec={**self.resources[name]["spec"], "sealed": sealed})

    async def delete(self, name: str, uid: str, version: str = "") -> None:
        del uid, version
        await self._ask("delete")
        del self.resources[name]


class Desk:
    """A checkpoint with one upload that is running and published; what it is told is kept."""

    def __init__(self) -> None:
        self.server, self.posted = Server(), list[str]()
        self.seen_: list[str] = []
        self.asked: list[str] = []
        self.bus = KeptEvents()
        self.bench = PipelineBench(CONFIG, self.bus, lambda: NOW, lifecycle=cast("Any", self))
        self.refusals = Refusals(self.bench.metrics, asyncio.get_running_loop().time, lambda _: None)
        self.queue = WriteQueue(self.bench.acks, self.refusals)
        me = cast("Any", self)
        records = Records(
            resources=cast("Any", self.server),
            notices=me,
            encoder=ResourceEncoder(Seals(), "ocis", ALL_SHOWN),
            guard=me,
            limit=RecordLimit(100, self.bench.uploads, []),
            refusals=self.refusals,
        )
        self.checkpoint = Checkpoint(self.bench.shared, self.bench.uploads, self.queue, records, me)
        self.bench.act()
        self.bench.read(1, message("BytesReceived", arrival()))
        self.bus.on_stored[0](2)

    def post(self, name: str, uid: str, notice: Any) -> None:  # noqa: ANN401 -- any notice
        del name, uid
        self.posted.append(notice.reason)

    async def confirm_ownership(self) -> None:
        self.asked.append("confirm")

    def check_not_older(self, known: Stored | None, now: Stored) -> None:
        WriteGuard(cast("Any", self)).check_not_older(known, now)

    async def may_write(self) -> None:
        self.asked.append("write")

    def seen(self, resource: Json) -> None:
        self.seen_.append(f"seen {resource['metadata']['uid']}")

    def claimed(self, tracked: TrackedUpload, resource: Json) -> None:
        self.seen_.append(f"claimed {tracked.name}")
        control = control_of(resource)
        if control != tracked.upload.control:
            self.bench.applier.on_input(tracked, SpecChanged(control))

    def vanished(self, tracked: TrackedUpload) -> None:
        self.seen_.append(f"vanished {tracked.name}")
        self.bench.uploads.forget(tracked)

    def on_storable(self, tracked: TrackedUpload) -> None:
        self.queue.put(tracked)

    def on_ended(self, tracked: TrackedUpload) -> None: ...

    def on_forgotten(self, tracked: TrackedUpload) -> None: ...

    def on_overruled(self, tracked: TrackedUpload) -> None: ...

    @property
    def tracked(self) -> TrackedUpload:
        return self.bench.tracked(UPLOAD)

    def answer(self, sequence: int) -> None:
        """The first step answers, and the stream has what comes of it."""
        body = f'{{"UploadID":"{UPLOAD}","FinishedStep":"a","Outcome":"continue"}}'
        self.bench.read(sequence, message("PostprocessingStepFinished", body))
        self.bus.on_stored[-1](sequence + 1)

    async def until(self, *, idle: bool = True, requests: int = 0) -> None:
        """Let one writer work until it is idle, or until there were so many requests."""
        running = [
            asyncio.create_task(self.checkpoint.run(lambda _: 1)),
            asyncio.create_task(self.checkpoint.write()),
        ]
        async with asyncio.timeout(10):
            while (idle and not self.checkpoint.idle) or len(self.server.requests) < requests:  # noqa: ASYNC110
                await asyncio.sleep(0)
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_new_upload_is_created_and_then_told_how_it_stands() -> None:
    desk = Desk()
    assert desk.bench.acks.ack_floor == 0
    await desk.until()
    assert desk.server.requests == ["create", "status"]
    assert desk.asked == ["write"]
    assert desk.server.resources[NAME]["status"]["currentStep"] == "a"
    assert (desk.tracked.dirty, desk.tracked.queued, desk.bench.acks.ack_floor) == (False, False, 1)


async def test_what_a_webhook_asks_for_at_the_creation_is_heard() -> None:
    """The watch shows it with the generation of our own creation. The first status does not say it is heard:
    the next owner looks at it if we are killed here.
    """
    desk = Desk()
    desk.server.adds = {"desiredState": "Cancelled"}
    await desk.until()
    assert desk.seen_ == [f"claimed {NAME}"]
    assert (desk.tracked.upload.outcome, desk.tracked.unpublished) == (Outcome.ABORT, 1)
    status = desk.server.resources[NAME]["status"]
    assert (status["currentStep"], "observedGeneration" in status) == ("a", False)
    desk.bus.on_stored[-1](3)
    await desk.until()
    status = desk.server.resources[NAME]["status"]
    assert (status["outcome"], status["observedGeneration"]) == ("abort", 1)
    assert desk.tracked.stored is not None
    assert desk.tracked.stored.asks is None


async def test_what_happens_during_a_write_goes_into_the_next_one() -> None:
    desk = Desk()
    desk.server.gate = asyncio.Event()
    running = asyncio.create_task(desk.until(requests=3))
    while not desk.server.requests:  # noqa: ASYNC110 -- nothing tells
        await asyncio.sleep(0)
    desk.answer(3)
    desk.server.gate.set()
    await running
    assert desk.server.requests == ["create", "status", "status"]
    assert desk.server.resources[NAME]["status"]["currentStep"] == "b"


async def test_from_its_creation_on_the_resource_tells_the_plan() -> None:
    desk = Desk()
    fixed = [desk.tracked.upload.plan_fixed]
    await desk.until()
    assert [*fixed, desk.tracked.upload.plan_fixed] == [False, True]
    assert "plan" not in desk.server.resources[NAME]["status"]


async def test_an_upload_that_began_by_another_plan_while_it_was_created_says_so() -> None:
    """A start of the owner before us was read meanwhile: after a restart the spec would be wrong."""
    desk = Desk()
    desk.server.gate = asyncio.Event()
    running = asyncio.create_task(desk.until())
    while not desk.server.requests:  # noqa: ASYNC110 -- nothing tells
        await asyncio.sleep(0)
    desk.tracked.upload = evolve(desk.tracked.upload, plan=desk.tracked.upload.plan[::-1])
    desk.tracked.version += 1
    desk.server.gate.set()
    await running
    status = desk.server.resources[NAME]["status"]
    assert [each["name"] for each in status["plan"]] == ["b", "a"]
    assert [each["name"] for each in status["steps"]] == ["b", "a"]


@pytest.mark.parametrize(
    ("error", "refused", "asks"),
    [
        (RefusedError("422", Refusal.POLICY), Refusal.POLICY, ["get"]),
        (UnavailableError("no route"), Refusal.UNREACHABLE, []),
    ],
)
async def test_what_cannot_be_written_is_parked_and_tried_again(
    error: ApiError, refused: Refusal, asks: list[str]
) -> None:
    desk = Desk()
    desk.server.faults["create"] = [error]
    await desk.until()
    parked = desk.tracked.refused
    assert parked is not None
    assert (parked.reason, desk.tracked.queued, len(desk.refusals)) == (refused, True, 1)
    assert desk.bench.acks.ack_floor == 0
    await desk.until(requests=3 + len(asks))
    assert desk.server.requests == ["create", *asks, "create", "status"]
    assert (desk.tracked.refused, desk.bench.acks.ack_floor) == (None, 1)


@pytest.mark.parametrize("over", [False, True])
async def test_a_resource_that_was_there_before_is_claimed_with_what_we_know(*, over: bool) -> None:
    """An answer of ours got lost, or a person was faster. One made after the end lacks its status only."""
    desk = Desk()
    resource = ResourceEncoder(Seals(), "ocis", ALL_SHOWN).resource(desk.tracked.upload)
    if over:  # made by an owner with other steps
        resource["metadata"]["annotations"] = {ENDED_ANNOTATION: "Cleaned"}
        desk.bench.read(3, message("CleanUpload", f'{{"UploadID":"{UPLOAD}"}}'))
    resource["spec"] |= {"steps": [{"name": "another"}]} if over else {"sealed": ""}
    await desk.server.create(resource)
    desk.server.requests.clear()
    await desk.until()
    assert desk.server.requests == ["create", "get", "sealed", "status"]
    assert (desk.asked, desk.seen_) == (["write", "confirm"], [f"claimed {NAME}"])
    assert desk.server.resources[NAME]["status"].get("currentStep") == (None if over else "a")


async def test_a_resource_of_another_upload_is_not_touched() -> None:
    desk = Desk()
    resource = ResourceEncoder(Seals(), "ocis", ALL_SHOWN).resource(desk.tracked.upload)
    resource["spec"]["upload"] = {**resource["spec"]["upload"], "id": "of another"}
    await desk.server.create(resource)
    await desk.until()
    assert desk.tracked.refused is not None
    assert desk.tracked.refused.reason is Refusal.NAME
    assert "status" not in desk.server.resources[NAME]


async def test_after_a_conflict_the_shard_is_ours_and_the_resource_is_looked_at() -> None:
    desk = Desk()
    await desk.until()
    desk.server.change(NAME)
    desk.asked.clear()
    desk.answer(3)
    await desk.until()
    assert (desk.asked, desk.seen_) == (["write", "confirm", "write"], [f"seen uid-{NAME}"])
    assert desk.server.resources[NAME]["status"]["currentStep"] == "b"


async def test_no_status_is_written_before_the_shard_is_known_to_be_ours() -> None:
    """Not even the first one of a resource that another owner has made, to which nobody else has written."""
    desk = Desk()
    await desk.until()
    desk.asked.clear()
    desk.answer(3)
    await desk.until()
    assert desk.asked == ["write"]


def test_a_resource_of_an_older_copy_of_etcd_ends_the_ownership() -> None:
    guard = WriteGuard(cast("Any", SimpleNamespace(gone_back=LeaseLostError)))
    with pytest.raises(LeaseLostError, match="older copy"):
        guard.check_not_older(Stored("uid", "12", 1), Stored("uid", "9", 1))
    for known in (None, Stored("uid", "9", 1), Stored("other", "12", 1), Stored("uid", "word", 1)):
        guard.check_not_older(known, Stored("uid", "9", 1))


async def test_a_conflict_that_changes_nothing_is_a_refusal() -> None:
    desk = Desk()
    await desk.until()
    desk.server.faults["status"] = [ConflictError("it only looks like one")]
    desk.answer(3)
    await desk.until()
    assert desk.tracked.refused is not None
    assert desk.seen_ == []


async def test_a_resource_that_is_gone_is_told() -> None:
    desk = Desk()
    await desk.until()
    del desk.server.resources[NAME]
    desk.answer(3)
    await desk.until()
    assert desk.seen_ == [f"vanished {NAME}"]
    assert NAME not in desk.server.resources


async def test_notices_follow_the_record_and_are_said_once() -> None:
    desk = Desk()
    desk.server.faults["create"] = [UnavailableError("no route")]
    desk.tracked.notices = (cast("Any", type("N", (), {"reason": "Said"})()),)
    await desk.until()
    assert desk.posted == []
    await desk.until(requests=3)
    assert desk.posted == ["Said"]
    assert not desk.tracked.notices


async def test_a_fault_of_ours_is_parked_like_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()

    def broken(*_: object) -> None:
        raise KeyError("not foreseen")

    monkeypatch.setattr("uploadpp.pipeline.checkpoint.to_status", broken)
    await desk.until()
    assert desk.tracked.refused is not None
    assert desk.tracked.refused.reason is Refusal.UNENCODABLE
    assert desk.bench.metrics.registry.get_sample_value("uploadpp_upload_faults_total") == 1


async def test_behind_a_proxy_that_refuses_its_creation_the_resource_of_an_upload_is_claimed() -> None:
    """Somebody has made it, or one of our requests was carried out and answered by another."""
    desk = Desk()
    resource = ResourceEncoder(Seals(), "ocis", ALL_SHOWN).resource(desk.tracked.upload)
    await desk.server.create({**resource, "spec": {**resource["spec"], "sealed": ""}})
    desk.server.requests.clear()
    desk.server.faults["create"] = [UnavailableError("403 <html>", answered=True)]
    desk.tracked.refused = Refused(Refusal.PROXY, 3)
    await desk.until()
    assert desk.server.requests == ["create", "get", "sealed", "status"]
    assert desk.server.resources[NAME]["status"]["currentStep"] == "a"
