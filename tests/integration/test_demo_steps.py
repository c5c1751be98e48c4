"""The demo's step services, alone with NATS and a storage."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats as nats_client
import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
from e2e.demo.clamav import ClamavUnavailableError, ClamdServer
from e2e.demo.steps.policies import check
from e2e.demo.steps.scanners import Clamd, ScanError, Scanner, StandIn, eicar
from e2e.demo.steps.service import Work, serving
from e2e.demo.steps.virusscan import VirusScan
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
        async with asyncio.timeout(10):
            while True:
                for event in await read_all(self.storage.js):
                    if event.type == "PostprocessingStepFinished" and event.upload_id == upload:
                        return event
                await asyncio.sleep(0.05)


@pytest.fixture
async def bench(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Bench]:
    async with Storage(tmp_path, nats.url) as storage:
        yield Bench(storage, nats.url)


@asynccontextmanager
async def scanning(
    bench: Bench, scanner: Scanner | None = None, faults: Mapping[str, int] | None = None
) -> AsyncIterator[None]:
    work: Work = VirusScan(scanner or StandIn(), faults).check
    async with serving(bench.nats_url, "virusscan", work):
        yield


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


async def test_virusscan_finds_the_test_file_and_nothing_else(bench: Bench) -> None:
    async with scanning(bench):
        clean = await bench.run("virusscan", "report.pdf", b"%PDF-1.7")
        infected = await bench.run("virusscan", "eicar.com", eicar())
    assert clean.payload["Outcome"] == "continue"
    assert clean.payload["Result"]["Infected"] is False
    assert infected.payload["Outcome"] == "delete"
    assert infected.payload["Result"]["Infected"] is True
    assert infected.payload["Result"]["Description"] == "Eicar-Test-Signature"
    assert infected.payload["Result"]["ResourceID"] == {"opaque_id": "n", "space_id": "s"}
    assert infected.payload["Error"] is None


async def test_a_failed_download_is_a_retry_and_never_clean(bench: Bench) -> None:
    async with scanning(bench):
        forbidden = await bench.run("virusscan", "a.txt", b"x", url=bench.storage.gateway.url("a", -3600))
        gone = await bench.run("virusscan", "b.txt", b"x", url=bench.storage.gateway.url("gone", 60))
        refused = await bench.run("virusscan", "c.txt", b"x", url="http://127.0.0.1:9/data/secret")
    assert [event.payload["Outcome"] for event in (forbidden, gone, refused)] == ["retry"] * 3
    assert forbidden.payload["Result"]["ErrorMsg"] == "download answered 403"
    assert gone.payload["Result"]["ErrorMsg"] == "download answered 404"
    assert "secret" not in refused.payload["Result"]["ErrorMsg"]
    assert refused.payload["Result"]["ErrorMsg"]


async def test_a_scanner_that_does_not_know_is_a_retry(bench: Bench, tmp_path: Path) -> None:
    async with scanning(bench, Clamd(tmp_path / "nobody.sock")):
        answer = await bench.run("virusscan", "a.txt", b"x")
    assert answer.payload["Outcome"] == "retry"


async def test_a_fault_fails_as_often_as_it_says(bench: Bench) -> None:
    async with scanning(bench, faults={"photo.jpg": 2}):
        outcomes = [(await bench.run("virusscan", "photo.jpg", b"x")).payload["Outcome"] for _ in range(3)]
        other = await bench.run("virusscan", "other.jpg", b"x")
    assert outcomes == ["retry", "retry", "continue"]
    assert other.payload["Outcome"] == "continue"


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


async def test_real_clamav(bench: Bench, instance: Instance) -> None:
    try:
        clamd = ClamdServer(instance)
    except ClamavUnavailableError as error:
        pytest.skip(f"no clamd here: {error}")
    await asyncio.to_thread(clamd.start)
    async with scanning(bench, Clamd(clamd.socket)):
        clean = await bench.run("virusscan", "report.pdf", b"%PDF-1.7" * 50_000)
        infected = await bench.run("virusscan", "eicar.com", eicar())
    assert clean.payload["Outcome"] == "continue"
    assert infected.payload["Outcome"] == "delete"
    assert infected.payload["Result"]["Description"].startswith("Eicar-Test-Signature")

    async def too_much() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"a" * 1_000_000

    with pytest.raises(ScanError):
        await Clamd(clamd.socket).scan(too_much())
