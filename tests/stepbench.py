"""What tests of steps need: a stream, a storage that serves bytes, and step processes."""

import asyncio
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import nats
from nats.aio.client import Client

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
from e2e.cluster.service import Service
from e2e.demo.gateway import DataGateway
from e2e.demo.wire import Event, ensure_stream, read_all
from e2e.operator_process import plain_environment
from uploadpp.testing.events import message, start_step

LIMIT_SECONDS = 60
USER = {"id": {"idp": "https://idp.test", "opaque_id": "u-1", "type": 1}, "username": "einstein"}
STEP = """\
import asyncio, os, pathlib, time
from uploadpp.steps import Continue, Delete, Upload, Verdict, VirusscanResult, step

runs = pathlib.Path(os.environ["RUNS"])

@step("mine", concurrency={concurrency}, timeout=60)
async def work(upload: Upload) -> Verdict:
    with runs.open("a") as file:
        file.write(upload.id + "\\n")
{body}

if __name__ == "__main__":
    work.run()
"""
"""A step of an author, which keeps book of what it is asked to do."""
UNTIL_TOLD = """\
while not runs.with_suffix(".told").exists():
    await asyncio.sleep(0.02)
return Continue()"""
RESOURCE = {"storage_id": "st", "opaque_id": "n-1", "space_id": "s-1"}
CONTEXT = {"initiatorid": "web-1", "extrainfo": '{"a":["b"]}', "traceparent": f"00-{'4b' * 16}-{'0f' * 8}-01"}


class StepProcess(Service):
    """A step as a process of its own."""

    def __init__(
        self,
        instance: Instance,
        server: NatsServer,
        argv: Sequence[str],
        *,
        name: str = "step",
        environment: Mapping[str, str] | None = None,
        python: Path | str = sys.executable,
    ) -> None:
        super().__init__(instance, name)
        self._argv = [str(python), *argv]
        self._settings = {
            "OCIS_EVENTS_ENDPOINT": server.address,
            "UPLOADPP_STEP_DEBUG_ADDR": f"127.0.0.1:{self.port()}",
            "UPLOADPP_LOG_FORMAT": "text",
            **(environment or {}),
        }

    def argv(self) -> list[str]:
        return self._argv

    def environment(self) -> Mapping[str, str]:
        return {**plain_environment(), **self._settings}

    def ready(self) -> bool:
        get(f"{self.url}/readyz")
        return True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port()}"

    def metric(self, line: str) -> float:
        """The value of a line of the metrics, by its beginning."""
        text = get(f"{self.url}/metrics", timeout=60)
        return float(next((each.split()[-1] for each in text.splitlines() if each.startswith(line)), "0"))


class StepBench:
    """Plays operator and storage, and makes processes of steps."""

    def __init__(self, instance: Instance, server: NatsServer, folder: Path) -> None:
        self.server = server
        self.gateway = DataGateway(folder / "uploads")
        self.gateway.uploads.mkdir()
        self._instance = instance
        self._folder = folder
        self._runs = folder / "runs"
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        await self.gateway.start()
        self._client = await nats.connect(self.server.url, max_reconnect_attempts=-1)
        await ensure_stream(self._client.jetstream())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()
        await self.gateway.stop()

    @property
    def client(self) -> Client:
        if self._client is None:
            raise RuntimeError("the bench is not started")
        return self._client

    def step(
        self, body: str, *, process: str = "step", concurrency: int = 4, **environment: str
    ) -> StepProcess:
        """A step named `mine`, from the body of its function."""
        script = self._folder / f"{process}.py"
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        script.write_text(STEP.format(concurrency=concurrency, body=lines))
        return self.process([str(script)], process=process, **environment)

    def process(
        self,
        argv: Sequence[str],
        *,
        process: str = "step",
        python: Path | str = sys.executable,
        **environment: str,
    ) -> StepProcess:
        """Any process of a step."""
        variables = {"RUNS": str(self._runs), "UPLOADPP_STEP_ACK_WAIT": "1s", **environment}
        return StepProcess(
            self._instance, self.server, argv, name=process, environment=variables, python=python
        )

    def tell(self) -> None:
        """Let work end that goes on until it is told to."""
        self._runs.with_suffix(".told").touch()

    def runs(self) -> list[str]:
        """The uploads that processes of `step` worked on, in order."""
        return self._runs.read_text().split() if self._runs.exists() else []

    async def until_begun(self, count: int = 1) -> None:
        """Wait until so many pieces of work were begun."""
        await until(lambda: len(self.runs()) >= count)

    async def start(
        self,
        step: str,
        content: bytes = b"x",
        *,
        upload: str = "",
        event_id: str = "",
        url: str = "",
        **members: Any,  # noqa: ANN401 -- members of the event
    ) -> str:
        """Publish a start of a step, and serve its bytes; returns the upload's id."""
        upload = upload or str(uuid.uuid4())
        await asyncio.to_thread((self.gateway.uploads / upload).write_bytes, content)
        about: dict[str, Any] = {
            "URL": url or self.gateway.url(upload, 60),
            "ExecutingUser": USER,
            "Filename": "plan.pdf",
            "Filesize": len(content),
            "Token": "",
            "ResourceID": RESOURCE,
            "RevaToken": "",
            "Timestamp": None,
            "ImpersonatingUser": None,
        }
        payload = start_step(upload, step, **about | members)
        metadata = {**CONTEXT, "eventid": event_id or str(uuid.uuid4())}
        body = message("StartPostprocessingStep", payload, **metadata)
        await self.client.jetstream().publish("main-queue", body)
        return upload

    async def answers(self, upload: str = "") -> list[Event]:
        """All answers that are in the stream."""
        events = await read_all(self.client.jetstream())
        return [
            event
            for event in events
            if event.type == "PostprocessingStepFinished" and upload in ("", event.upload_id)
        ]

    async def answer(self, upload: str) -> Event:
        """The answer about an upload, once it is there."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                if found := await self.answers(upload):
                    return found[0]
                await asyncio.sleep(0.05)

    async def settled(self, step: str = "mine") -> None:
        """Wait until nothing of a step is unread or unacknowledged."""
        js = self.client.jetstream()
        last = (await js.stream_info("main-queue")).state.last_seq
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                info = await js.consumer_info("main-queue", f"uploadpp-step-{step}")
                # NATS counts what waits for a consumer a moment after it has confirmed that it is stored.
                handed_over = info.delivered is not None and info.delivered.stream_seq >= last
                if handed_over and not info.num_pending and not info.num_ack_pending:
                    return
                await asyncio.sleep(0.05)


async def until(check: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            if check():
                return
            await asyncio.sleep(0.02)
