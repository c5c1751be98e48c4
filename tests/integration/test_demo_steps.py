"""The demo's step `policies`, which does without the kit, alone with NATS and a storage."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats as nats_client
import pytest

from e2e.cluster.nats import NatsServer
from e2e.demo.steps.policies import check
from e2e.demo.steps.service import serving
from e2e.demo.storage import Storage
from e2e.demo.wire import Event, publish, read_all
from uploadpp.testing.events import start_step


class Bench:
    """A storage and a client that plays the operator's part."""

    def __init__(self, storage: Storage, nats_url: str) -> None:
        self.storage = storage
        self.nats_url = nats_url

    async def run(self, step: str, filename: str, content: bytes, *, url: str | None = None) -> Event:
        """Start a step for a new upload and return its answer."""
        upload = await self.storage.upload(filename, content)
        start: dict[str, Any] = {
            "UploadID": upload,
            "URL": url or self.storage.gateway.url(upload, 60),
            "ExecutingUser": {"id": {"opaque_id": "u-1"}},
            "Filename": filename,
            "Filesize": len(content),
            "StepToStart": step,
            "ResourceID": {"opaque_id": "n", "space_id": "s"},
        }
        context = {"initiatorid": "web-1", "extrainfo": "{}"}
        await publish(self.storage.js, "StartPostprocessingStep", start, context)
        async with asyncio.timeout(60):
            while True:
                for event in await read_all(self.storage.js):
                    if event.type == "PostprocessingStepFinished" and event.upload_id == upload:
                        return event
                await asyncio.sleep(0.05)


@pytest.fixture
async def bench(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Bench]:
    async with Storage(tmp_path, nats.url) as storage:
        yield Bench(storage, nats.url)


async def test_policies_answers_its_own_step_only(bench: Bench) -> None:
    async with serving(bench.nats_url, "policies", check):
        await publish(bench.storage.js, "StartPostprocessingStep", start_step("x", "delay"))
        kept = await bench.run("policies", "report.pdf", b"x")
        refused = await bench.run("policies", "setup.exe", b"x")
    assert kept.payload == {
        "UploadID": kept.upload_id,
        "ExecutingUser": {"id": {"opaque_id": "u-1"}},
        "Filename": "report.pdf",
        "FinishedStep": "policies",
        "Result": None,
        "Error": None,
        "Outcome": "continue",
        "Timestamp": None,
    }
    assert kept.context() == {"initiatorid": "web-1", "extrainfo": "{}", "traceparent": ""}
    assert refused.payload["Outcome"] == "delete"
    answers = [event for event in await read_all(bench.storage.js) if event.type.endswith("StepFinished")]
    assert len(answers) == 2


async def test_work_waits_while_the_service_is_down(bench: Bench) -> None:
    async with serving(bench.nats_url, "policies", check):
        pass
    answer = asyncio.create_task(bench.run("policies", "report.pdf", b"x"))
    await asyncio.sleep(0.3)
    assert not answer.done()
    async with serving(bench.nats_url, "policies", check):
        assert (await answer).payload["Outcome"] == "continue"


async def test_junk_on_the_stream_stops_nobody(bench: Bench) -> None:
    async with serving(bench.nats_url, "policies", check):
        client = await nats_client.connect(bench.nats_url)
        await client.jetstream().publish("main-queue", b"\x00 not an event")
        await client.close()
        assert (await bench.run("policies", "report.pdf", b"x")).payload["Outcome"] == "continue"
