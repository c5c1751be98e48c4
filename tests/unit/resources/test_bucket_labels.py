"""Putting labels back that somebody has changed: not a fight, and no fault of one keeps the others."""

import asyncio
from typing import Any, cast

import pytest

from uploadpp.core.sharding import BUCKET_LABEL, bucket_label
from uploadpp.kube.errors import RefusedError
from uploadpp.kube.store import Stored
from uploadpp.resources import bucket_labels
from uploadpp.resources.bucket_labels import BucketLabels
from uploadpp.testing.events import arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench


class Desk:
    """Labels, and the API server that they are written to."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str]] = []
        self.faults: dict[str, Exception] = {}
        self.altered = ""
        self.bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
        self.labels = BucketLabels(self.bench.uploads, self.bench.faults, cast("Any", self))

    async def write_bucket(self, name: str, version: str, bucket: str) -> Stored:
        if name in self.faults:
            raise self.faults[name]
        self.written.append((name, bucket))
        return Stored(f"uid-{name}", str(int(version) + 1), 1, altered=self.altered)

    async def put_back(self) -> None:
        running = asyncio.create_task(self.labels.run())
        async with asyncio.timeout(10):
            while len(self.labels):  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0)
        running.cancel()


def resource(name: str, label: str | None) -> dict[str, Any]:
    labels = {} if label is None else {BUCKET_LABEL: label}
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": "5", "generation": 1, "labels": labels}
    return {"metadata": meta}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_labels, "PAUSE_SECONDS", 0.0001)


@pytest.mark.parametrize(("label", "written"), [("00", True), (None, False), (bucket_label("a"), False)])
async def test_only_a_wrong_label_is_put_back(label: str | None, *, written: bool) -> None:
    desk = Desk()
    desk.labels.check(resource("a", label), "a")
    await desk.put_back()
    assert desk.written == ([("a", bucket_label("a"))] if written else [])


async def test_it_is_put_back_once_in_a_while() -> None:
    desk = Desk()
    for _ in range(3):
        desk.labels.check(resource("a", "00"), "a")
        await desk.put_back()
    assert len(desk.written) == 1


async def test_a_webhook_that_does_not_let_it_be_put_back_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    desk.altered = f"metadata.labels.{BUCKET_LABEL}"
    desk.labels.check(resource("a", "00"), "a")
    await desk.put_back()
    assert [each.message.partition(":")[0] for each in caplog.records] == [
        "cannot restore the label of a resource"
    ]


async def test_one_that_cannot_be_written_keeps_no_other() -> None:
    desk = Desk()
    desk.faults = {"a": RefusedError("403"), "b": KeyError("not foreseen")}
    for name in ("a", "b", "c"):
        desk.labels.check(resource(name, "00"), name)
    await desk.put_back()
    assert [name for name, _ in desk.written] == ["c"]
    assert desk.bench.told == [("b", "OperatorFailed")]


async def test_the_next_write_of_the_upload_compares_with_what_was_written_here() -> None:
    desk = Desk()
    desk.bench.read(1, message("BytesReceived", arrival(UploadID='"a"')))
    tracked = desk.bench.tracked("a")
    for uid, version in (("uid-a", "6"), ("of another", "5")):
        tracked.stored = Stored(uid, "5", 1)
        desk.labels = BucketLabels(desk.bench.uploads, desk.bench.faults, cast("Any", desk))
        desk.labels.check(resource("a", "00"), "a")
        await desk.put_back()
        assert tracked.stored.version == version
