"""Ends that are noted in the Lease because their resources cannot be written (docs/adr/0063)."""

import logging
from typing import Any, cast

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import CleanUpload
from uploadpp.core.states import Stage
from uploadpp.kube.errors import Refusal, RefusedError, UnavailableError
from uploadpp.kube.leasenotes import ENDS_ANNOTATION, EndsInLease
from uploadpp.kube.leaseobject import MAX_ANNOTATION
from uploadpp.kube.store import Stored
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.refusals import KEPT_AFTER_END_SECONDS, Refusals
from uploadpp.pipeline.tracked_upload import SEVERAL, SEVERAL_ALONE, Refused, TrackedUpload
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.resources import noted_ends
from uploadpp.resources.forgotten import ForgottenResources, told_by
from uploadpp.resources.noted_ends import NotedEnds, read, written
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.builders import PASSED, after
from uploadpp.wire.marks import Marks

MARKS = Marks([b"k" * 32])
NO = RefusedError("422 no", Refusal.SCHEMA)


class Desk:
    """Uploads that have ended, resources that cannot be written, and a Lease."""

    def __init__(self) -> None:
        self.ends, self.annotations = EndsInLease(), dict[str, str]()
        self.renewals, self.away = 0, False
        self.resources: dict[str, dict[str, Any]] = {}
        self.failure: Exception | None = None
        self.told: list[tuple[str, str, str]] = []
        self.acks = AckTracker()
        self.acks.start("s", 0)
        self.now = 0.0
        self.refusals = Refusals(Metrics(), lambda: self.now, lambda _: None)
        self.queue = WriteQueue(self.acks, self.refusals)
        self.own()

    def own(self) -> None:
        """Another ownership begins."""
        self.forgotten = ForgottenResources()
        self.noted = NotedEnds(
            self.queue, cast("Any", self), cast("Any", self), self.forgotten, cast("Any", self), MARKS
        )
        self.noted.begin()

    async def get(self, name: str) -> dict[str, Any] | None:
        if self.failure is not None:
            raise self.failure
        return self.resources.get(name)

    async def renew(self) -> None:
        self.renewals += 1
        if not self.away:
            self.ends.say(self.annotations)
            self.ends.written({"metadata": {"annotations": self.annotations}})

    def post(self, name: str, uid: str, notice: Any) -> None:  # noqa: ANN401 -- a notice
        self.told.append((name, uid, notice.message))

    def ended(self, name: str = "u1", *, alone: bool = True) -> TrackedUpload:
        """An upload that has ended, of which somebody has made the resource, and one message waits."""
        self.resources.setdefault(name, made(name))
        tracked = TrackedUpload(name, after(*PASSED[:1], CleanUpload(), upload_id=name), version=1)
        message = self.acks.add(self.acks.ack_floor + len(self.acks) + 1, 1)
        tracked.defer_ack(message)
        self.acks.release(message)
        self.refusals.park(tracked, "create", NO)
        if alone:
            tracked.refused = Refused(Refusal.SCHEMA, SEVERAL, "create", alone=SEVERAL_ALONE, words="422 no")
        return tracked

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.noted._look()


def made(name: str, upload_id: str = "", **status: object) -> dict[str, Any]:
    resource = {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"upload": {"id": upload_id or name}},
    }
    return {**resource, "status": status} if status else resource


async def test_an_end_is_noted_before_its_messages_go() -> None:
    desk = Desk()
    tracked = desk.ended()
    desk.away = True
    await desk.look(3)
    assert (desk.acks.ack_floor, tracked.noted, desk.renewals) == (0, False, 3)
    desk.away = False
    await desk.look(3)
    assert (desk.acks.ack_floor, tracked.noted, desk.renewals) == (1, True, 4)
    assert read(desk.annotations[ENDS_ANNOTATION], MARKS) == {"uid-u1": ""}
    assert [each[:2] for each in desk.told] == [("u1", "uid-u1")]
    assert "correct or delete it: 422 no" in desk.told[0][2]


async def test_all_that_are_found_at_once_cost_one_write() -> None:
    desk = Desk()
    for number in range(3):
        desk.ended(f"u{number}")
    await desk.look()
    assert (desk.renewals, desk.acks.ack_floor, len(desk.forgotten.noted)) == (1, 3, 3)


async def test_one_that_is_refused_like_all_others_waits() -> None:
    desk = Desk()
    desk.ended(alone=False)
    await desk.look()
    assert (desk.renewals, desk.acks.ack_floor) == (0, 0)


async def test_the_next_owner_leaves_the_resource_alone_as_long_as_it_tells_the_same() -> None:
    desk = Desk()
    desk.resources["u1"] = made("u1", run=1)
    desk.ended()
    await desk.look()
    desk.own()
    assert desk.forgotten.has_ended(made("u1", run=1))
    assert not desk.forgotten.has_ended(made("u1"))
    assert not desk.forgotten.has_ended(made("u1", run=2)), "we have written that after all"
    assert not desk.forgotten.has_ended(made("u2", run=1))
    desk.noted.listed()
    assert set(desk.forgotten.noted) == {"uid-u1"}


async def test_what_is_not_there_any_more_is_not_noted_any_more() -> None:
    desk = Desk()
    desk.ended()
    await desk.look()
    desk.own()
    desk.noted.listed()
    await desk.look()
    assert (desk.renewals, desk.annotations) == (2, {})


async def test_the_last_messages_are_read_once_more_and_hold_nothing() -> None:
    """The position in the Lease lags behind, and no other upload need come."""
    desk = Desk()
    again = desk.ended(alone=False)
    desk.ended("u2", alone=False)
    await desk.look()
    assert (again.noted, desk.renewals) == (False, 0)
    desk.forgotten.note("uid-u1", "")
    await desk.look()
    assert (again.noted, desk.acks.ack_floor) == (True, 1)


async def test_an_upload_that_goes_on_or_is_recorded_is_not_noted_any_more() -> None:
    desk = Desk()
    recorded, on, gone = desk.ended("u1"), desk.ended("u2"), desk.ended("u3")
    await desk.look()
    recorded.refused = None
    on.upload = evolve(on.upload, stage=Stage.RUNNING)
    gone.gone = True
    await desk.look()
    assert set(desk.forgotten.noted) == {"uid-u3"}
    desk.queue.put(on)
    assert not on.noted


@pytest.mark.parametrize("change", ["gone", "goes on", "tried again"])
async def test_what_changes_while_it_is_noted_is_looked_at_again(change: str) -> None:
    desk = Desk()
    tracked = desk.ended()
    renew = desk.renew

    async def changes() -> None:
        await renew()
        if change == "gone":
            tracked.gone = True
        elif change == "goes on":
            tracked.upload = evolve(tracked.upload, stage=Stage.RUNNING)
        else:
            tracked.refused = Refused(Refusal.SCHEMA, SEVERAL, "create", alone=SEVERAL_ALONE)

    desk.renew = changes  # type: ignore[method-assign]
    await desk.look()
    assert (tracked.noted, desk.acks.ack_floor) == (False, 0)


@pytest.mark.parametrize("found", [None, made("u1", "another"), made("u2", "u1")])
async def test_only_the_resource_of_the_upload_is_noted(found: dict[str, Any] | None) -> None:
    desk = Desk()
    tracked = desk.ended()
    tracked.stored = Stored("uid-u1", "1", 1)
    desk.resources = {} if found is None else {"u1": found}
    await desk.look()
    assert desk.renewals == 0


async def test_what_is_not_answered_is_asked_again() -> None:
    desk = Desk()
    desk.ended()
    desk.failure = UnavailableError("500")
    await desk.look()
    desk.failure = None
    await desk.look()
    assert desk.acks.ack_floor == 1


async def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noted_ends, "MOST", 2)
    desk = Desk()
    for number in range(3):
        desk.ended(f"u{number}")
        await desk.look(2)
    assert (len(desk.forgotten.noted), desk.acks.ack_floor) == (2, 2)
    names = {f"{number:036}": "f" * 12 for number in range(48)}
    assert len(written(names, MARKS)) < MAX_ANNOTATION


async def test_a_uid_that_is_too_long_for_the_note_is_not_noted() -> None:
    desk = Desk()
    desk.resources["u1"] = made("u1")
    desk.resources["u1"]["metadata"]["uid"] = "x" * MAX_ANNOTATION
    desk.ended()
    await desk.look()
    assert (desk.renewals, desk.acks.ack_floor) == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"told":1,"signature":2}',
        '{"told":"{}","signature":"of nobody"}',
        written({"uid": ""}, Marks([b"x" * 32])),
        written({"uid": "x" * MAX_ANNOTATION}, MARKS),
    ],
)
def test_what_others_have_written_into_the_lease_is_not_believed(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert read(text, MARKS) == {}
    assert "ignoring the ends noted in the Lease" in caplog.text


def test_a_status_is_told_by_what_it_says() -> None:
    assert told_by(made("u1")) == told_by({**made("u1"), "status": {}}) == ""
    assert told_by({"status": {"a": 1, "b": 2}}) == told_by({"status": {"b": 2, "a": 1}})


async def test_it_goes_on_being_tried_for_a_while() -> None:
    desk = Desk()
    tracked = desk.ended()
    await desk.look()
    assert desk.refusals.expired() == []
    desk.now += KEPT_AFTER_END_SECONDS
    assert desk.refusals.expired() == [tracked]
