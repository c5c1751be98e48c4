"""Which resources the API server is asked for because of messages about unknown uploads, and how often."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from uploadpp.api.codec import ALL_SHOWN, to_resource, to_status
from uploadpp.core.inputs import CleanUpload, UploadReady
from uploadpp.core.model import Millis, Upload
from uploadpp.core.naming import resource_name
from uploadpp.core.states import DesiredState, Stage
from uploadpp.kube.errors import ForbiddenError, Refusal, RefusedError, UnavailableError
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.ports import Json
from uploadpp.pipeline.refusals import Refusals
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.unknown_uploads import UNACKNOWLEDGED_MS, UnknownUploads
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.resources import unseen
from uploadpp.resources.unseen import WITHOUT_STATUS, UnseenResources
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.apiserver import _selected
from uploadpp.testing.builders import PASSED, after, begun

READY = UploadReady(failed=False)


class Shelves:
    """The API server with resources without a status, and the watch that would show them."""

    def __init__(self, *upload_ids: str) -> None:
        self.there = upload_ids
        self.names: dict[str, str] = {}
        self.unmarked: set[str] = set()
        self.terminating: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.read: list[str] = []
        self.shown: list[str] = []
        self.failures: list[Exception] = []
        self.now = Millis(1_000_000)
        self.acks = AckTracker()
        self.acks.start("s", 0)
        self.unknown = UnknownUploads(self.acks)
        self.refusals = Refusals(Metrics(), lambda: 0.0, lambda _: None)
        self.queue = WriteQueue(self.acks, self.refusals)

    async def list_all(self, selector: str = "", fields: str = "") -> AsyncIterator[Any]:
        self.asked.append((selector, fields))
        if self.failures:
            raise self.failures.pop()
        for each in self.there:
            yield self._resource(each)

    async def get(self, name: str) -> Any:  # noqa: ANN401 -- a resource
        self.read.append(name)
        return self._resource(name) if name in self.there else None

    def _resource(self, upload_id: str) -> dict[str, Any]:
        name = self.names.get(upload_id, resource_name(upload_id))
        meta = {"name": name, "deletionTimestamp": "now" if upload_id in self.terminating else None}
        return {"metadata": meta, "spec": {"upload": {"id": upload_id}}}

    def is_needed(self, upload_id: str) -> bool:
        return upload_id in self.unmarked

    def seen(self, resource: dict[str, Any]) -> None:
        self.shown.append(resource["spec"]["upload"]["id"])

    def says(self, *upload_ids: str) -> None:
        for each in upload_ids:
            sequence = self.acks.ack_floor + len(self.acks) + 1
            message = self.acks.add(sequence, sequence)
            self.unknown.note(each, READY, sequence, self.now, self.now, message)
            self.acks.release(message)

    def refuses(self, upload_id: str) -> TrackedUpload:
        """An upload that has ended, and whose resource a policy refuses."""
        tracked = TrackedUpload(upload_id, after(*PASSED[:1], CleanUpload(), upload_id=upload_id), version=1)
        message = self.acks.add(self.acks.ack_floor + 1, self.acks.ack_floor + 1)
        tracked.defer_ack(message)
        self.acks.release(message)
        self.refusals.park(tracked, "create", RefusedError("no", Refusal.POLICY))
        return tracked

    async def looks(self, times: int = 1) -> None:
        """So many looks, after the facts have waited."""
        self.now = Millis(self.now + UNACKNOWLEDGED_MS)
        me = cast("Any", self)
        looking = UnseenResources(self.unknown, self.queue, me, me, "a shard", lambda: self.now)
        task = asyncio.create_task(looking.run())
        for _ in range(20 * times):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(unseen, name, 0)


async def test_one_request_is_for_all_that_are_unknown() -> None:
    shelves = Shelves("up-2", "of nobody")
    shelves.says("up-1", "up-2", "up-3", "up-1")
    await shelves.looks()
    assert shelves.asked == [("a shard", WITHOUT_STATUS)]
    assert shelves.shown == ["up-2"]
    assert shelves.acks.ack_floor == 4


def listed(upload: Upload, status: Json) -> bool:
    """Whether the request is for a resource with this status."""
    resource = to_resource(upload, namespace="uploads", shown=ALL_SHOWN, sealed="")
    return _selected(resource | ({"status": status} if status else {}), WITHOUT_STATUS)


def test_uploads_that_have_ended_are_not_listed() -> None:
    """There may be a hundred thousand of them until they expire, and the request is repeated."""
    completed = begun("a")
    completed.answers("continue")
    completed.ready()
    cancelled = begun("a")
    cancelled.wanted(DesiredState.CANCELLED)
    cancelled.ready(failed=True)
    running = begun("a")
    stages = [story.upload.stage for story in (completed, cancelled, running)]
    assert stages == [Stage.COMPLETED, Stage.CANCELLED, Stage.RUNNING]
    for story in (completed, cancelled, running):
        assert not listed(story.upload, to_status(story.upload, "uid"))
        assert listed(story.upload, {})


async def test_nothing_is_asked_without_a_reason() -> None:
    shelves = Shelves()
    await shelves.looks()
    shelves.says("up-1")
    [fact] = shelves.unknown.due(Millis(shelves.now + UNACKNOWLEDGED_MS))
    fact.known = True  # as when it was announced
    await shelves.looks()
    assert (shelves.asked, shelves.acks.ack_floor) == ([], 1)


async def test_an_older_crd_has_each_asked_for_by_its_name() -> None:
    shelves = Shelves("up-2")
    shelves.failures = [RefusedError("GET: 400 field label not supported")]
    shelves.says("up-2", "up-1", "up-2")
    await shelves.looks()
    assert (shelves.read, shelves.shown) == (["up-1", "up-2"], ["up-2"])
    assert shelves.acks.ack_floor == 3


async def test_no_answer_is_waited_for() -> None:
    shelves = Shelves()
    shelves.failures = [UnavailableError("GET: 500")] * 2
    shelves.says("up-1")
    await shelves.looks(3)
    assert len(shelves.asked) == 3
    assert shelves.acks.ack_floor == 1


async def test_an_error_that_lasts_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    shelves = Shelves()
    shelves.failures = [UnavailableError("GET: 500"), *[ForbiddenError("GET: 403")] * 3]
    shelves.says("up-1")
    await shelves.looks(5)
    assert [each.getMessage().rpartition(": ")[-1] for each in caplog.records] == ["403", "500"]
    shelves.failures = [UnavailableError("GET: 500")]
    shelves.says("up-2")
    await shelves.looks()
    assert len(caplog.records) == 3


async def test_an_upload_that_has_ended_unrecorded_is_let_go_once_it_has_no_resource() -> None:
    shelves = Shelves("of nobody")
    ended = shelves.refuses("up-1")
    assert shelves.acks.ack_floor == 0
    await shelves.looks()
    assert ended.is_unrecorded_end
    assert (len(shelves.asked), shelves.acks.ack_floor) == (1, 1), "and it is not asked for again"


async def test_an_upload_whose_resource_a_person_has_made_is_not_let_go() -> None:
    shelves = Shelves("up-1")
    ended = shelves.refuses("up-1")
    await shelves.looks()
    assert not ended.is_unrecorded_end
    assert shelves.acks.ack_floor == 0
    assert shelves.shown[0] == "up-1", "which of two resources counts is for the handler to say"


async def test_a_resource_that_is_being_deleted_keeps_no_message() -> None:
    shelves = Shelves("up-1")
    shelves.terminating.add("up-1")
    ended = shelves.refuses("up-1")
    await shelves.looks()
    assert ended.is_unrecorded_end
    assert shelves.acks.ack_floor == 1


async def test_a_resource_that_is_left_alone_keeps_no_message_once_it_says_so() -> None:
    shelves = Shelves("up-1")
    shelves.names["up-1"] = "of-a-person"
    shelves.unmarked.add("up-1")
    shelves.refuses("up-1")
    await shelves.looks()
    assert (shelves.shown[0], shelves.acks.ack_floor) == ("up-1", 0)
    shelves.unmarked.clear()
    await shelves.looks()
    assert shelves.acks.ack_floor == 1


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_clock_that_is_set_back_holds_no_message(hours: int) -> None:
    shelves = Shelves()
    read = shelves.acks.add(1, 1)
    shelves.unknown.note("up-1", READY, 1, shelves.now, shelves.now, read)
    shelves.acks.release(read)
    due = shelves.unknown.due(Millis(shelves.now + hours * 3_600_000 + 10))
    assert len(due) == abs(hours)
    shelves.unknown.settle(due)
    assert shelves.acks.ack_floor == abs(hours)
