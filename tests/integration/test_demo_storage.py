"""The storage that the demo and other tests rely on does what the real one does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import nats as nats_client
import pytest
from nats.js import JetStreamContext

from e2e.cluster.nats import NatsServer
from e2e.demo.sessions import Place
from e2e.demo.storage import Storage
from e2e.demo.wire import Event, publish, read_all
from uploadpp.testing.events import finished

USER = {"id": {"idp": "https://idp.example.test", "opaque_id": "u-1", "type": 1}, "username": "mary"}
CONTENT = b"%PDF-1.7 hello"


@pytest.fixture
async def storage(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Storage]:
    async with Storage(tmp_path, nats.url) as running:
        yield running


@pytest.fixture
async def js(nats: NatsServer) -> AsyncIterator[JetStreamContext]:
    client = await nats_client.connect(nats.url)
    yield client.jetstream()
    await client.close()


async def events(js: JetStreamContext, kind: str) -> list[Event]:
    return [event for event in await read_all(js) if event.type == kind]


async def eventually(check: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not check():  # noqa: ASYNC110  # what the storage keeps are plain lists
            await asyncio.sleep(0.02)


async def finish(js: JetStreamContext, storage: Storage, upload_id: str, outcome: str) -> str:
    """Send PostprocessingFinished and return what the storage did with it."""
    before = len(storage.actions(upload_id))
    finished: dict[str, Any] = {
        "UploadID": upload_id,
        "Filename": "plan.pdf",
        "ExecutingUser": USER,
        "ImpersonatingUser": None,
        "Outcome": outcome,
    }
    await publish(js, "PostprocessingFinished", finished)
    await eventually(lambda: len(storage.actions(upload_id)) > before)
    return storage.actions(upload_id)[-1]


async def get(url: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return response.status, await response.read()


async def test_bytes_received_has_the_fields_of_the_contract(storage: Storage, js: JetStreamContext) -> None:
    upload = await storage.upload("plan.pdf", CONTENT, user=USER, initiator="web-1")
    [event] = await events(js, "BytesReceived")
    assert list(event.payload) == [
        "UploadID",
        "SpaceOwner",
        "ExecutingUser",
        "ResourceID",
        "Filename",
        "Filesize",
        "URL",
        "Timestamp",
        "ImpersonatingUser",
    ]
    assert event.upload_id == upload
    assert event.payload["ExecutingUser"] == USER
    assert event.payload["SpaceOwner"] == USER["id"]
    assert set(event.payload["ResourceID"]) == {"storage_id", "opaque_id", "space_id"}
    assert event.payload["Filesize"] == len(CONTENT)
    assert event.metadata["initiatorid"] == "web-1"
    assert await get(event.payload["URL"]) == (200, CONTENT)
    assert storage.sessions.processing(upload)


async def test_download_needs_a_valid_token_and_a_living_upload(
    storage: Storage, js: JetStreamContext
) -> None:
    upload = await storage.upload("plan.pdf", CONTENT, user=USER)
    url = str((await events(js, "BytesReceived"))[0].payload["URL"])
    assert (await get(url[:-4] + "abcd"))[0] == 403
    assert (await get(storage.gateway.url(upload, -3600)))[0] == 403
    await finish(js, storage, upload, "continue")
    assert (await get(url))[0] == 404
    assert storage.gateway.downloads == [("", 403), ("", 403), (upload, 404)]


async def test_empty_file_is_released_without_postprocessing(storage: Storage, js: JetStreamContext) -> None:
    upload = await storage.upload("empty.txt", b"", user=USER)
    assert storage.sessions.place(upload) is Place.RELEASED
    assert await read_all(js) == []


@pytest.mark.parametrize(
    ("outcome", "action", "place", "failed"),
    [
        ("continue", "released", Place.RELEASED, False),
        ("delete", "removed", Place.GONE, True),
        ("abort", "aborted, bytes kept", Place.UPLOADS, True),
        ("retry", "aborted, bytes kept", Place.UPLOADS, True),
    ],
)
async def test_outcomes(
    storage: Storage,
    js: JetStreamContext,
    outcome: str,
    action: str,
    place: Place,
    *,
    failed: bool,
) -> None:
    upload = await storage.upload("plan.pdf", CONTENT, user=USER, initiator="web-1")
    assert await finish(js, storage, upload, outcome) == action
    assert storage.sessions.place(upload) is place
    assert not storage.sessions.processing(upload)
    [ready] = await events(js, "UploadReady")
    assert (ready.upload_id, ready.payload["Failed"]) == (upload, failed)
    assert ready.payload["ExecutingUser"] == USER
    assert ready.payload["FileRef"]["path"] == "./plan.pdf"
    assert ready.metadata["initiatorid"] == "web-1"


@pytest.mark.parametrize("outcome", ["continue", "delete"])
async def test_a_second_release_or_delete_is_harmless(
    storage: Storage, js: JetStreamContext, outcome: str
) -> None:
    upload = await storage.upload("plan.pdf", CONTENT, user=USER)
    await finish(js, storage, upload, outcome)
    before = storage.sessions.place(upload)
    assert await finish(js, storage, upload, outcome) == "failed to get upload"
    assert storage.sessions.place(upload) is before
    assert len(await events(js, "UploadReady")) == 1


@pytest.mark.parametrize("second", ["abort", "continue"])
async def test_anything_after_an_abort_destroys_the_kept_bytes(
    storage: Storage, js: JetStreamContext, second: str
) -> None:
    upload = await storage.upload("plan.pdf", CONTENT, user=USER)
    await finish(js, storage, upload, "abort")
    assert await finish(js, storage, upload, second) == "node gone, bytes removed"
    assert storage.sessions.place(upload) is Place.GONE
    assert len(await events(js, "UploadReady")) == 1


async def test_unknown_upload_gets_no_answer(storage: Storage, js: JetStreamContext) -> None:
    assert await finish(js, storage, "nobody", "continue") == "failed to get upload"
    assert await events(js, "UploadReady") == []


async def test_a_failed_release_keeps_everything(storage: Storage, js: JetStreamContext) -> None:
    storage.faults.failing_releases = 1
    upload = await storage.upload("plan.pdf", CONTENT, user=USER)
    assert await finish(js, storage, upload, "continue") == "release failed"
    assert storage.sessions.processing(upload)
    assert await finish(js, storage, upload, "continue") == "released"
    assert [ready.payload["Failed"] for ready in await events(js, "UploadReady")] == [True, False]


async def test_a_lost_event_gets_no_answer(storage: Storage, js: JetStreamContext) -> None:
    storage.faults.lost_events = 1
    upload = await storage.upload("plan.pdf", CONTENT, user=USER)
    assert await finish(js, storage, upload, "continue") == "lost"
    assert await events(js, "UploadReady") == []
    assert storage.sessions.processing(upload)


async def test_restart_sends_a_fresh_url_and_forgets_the_user(storage: Storage, js: JetStreamContext) -> None:
    upload = await storage.upload("plan.pdf", CONTENT, user=USER, initiator="web-1")
    await publish(js, "RestartPostprocessing", {"UploadID": upload, "Timestamp": None})
    await eventually(lambda: storage.actions(upload) == ["sent a fresh URL"])
    first, again = await events(js, "BytesReceived")
    assert again.payload["URL"] != first.payload["URL"]
    assert again.payload["ExecutingUser"] == {"id": {"opaque_id": "postprocessing-restart"}}
    assert "storage_id" not in again.payload["ResourceID"]
    assert again.metadata["initiatorid"] == ""
    assert await get(again.payload["URL"]) == (200, CONTENT)


async def test_events_wait_while_the_storage_is_down(
    nats: NatsServer, js: JetStreamContext, tmp_path: Path
) -> None:
    async with Storage(tmp_path, nats.url) as first:
        upload = await first.upload("plan.pdf", CONTENT, user=USER)
    await publish(js, "PostprocessingFinished", finished(upload, "continue"))
    async with Storage(tmp_path, nats.url) as second:
        await eventually(lambda: second.actions(upload) == ["released"])


async def test_scan_results_are_remembered(storage: Storage, js: JetStreamContext) -> None:
    result = {"Infected": True, "Description": "Eicar", "Scandate": "2026-10-02T08:15:31.5Z", "ErrorMsg": ""}
    step = {"UploadID": "a", "FinishedStep": "virusscan", "Result": result, "Outcome": "delete"}
    await publish(js, "PostprocessingStepFinished", step)
    await eventually(lambda: storage.scans == {"a": "Eicar"})
