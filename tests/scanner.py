"""A scanner with so many workers, as a step service against a real NATS.

What it has no worker for waits inside it, first come first served, as in a real scanner.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from e2e.demo.wire import Event, decode, ensure_stream
from uploadpp.testing import events
from uploadpp.testing.events import STREAM, new_message


class Scanner:
    """Plays the step `virusscan` with so many workers, and the storage without delay."""

    def __init__(self, url: str, workers: int, seconds: Callable[[str], float]) -> None:
        self._url = url
        self.workers = workers
        """How many files it scans at once; may be changed while it works."""
        self.opened = asyncio.Event()
        """While it is not set, no file is scanned."""
        self.opened.set()
        self._seconds = seconds
        self._client: Client | None = None
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._busy: set[asyncio.Task[None]] = set()
        self._hiring: asyncio.Task[None] | None = None
        self.began: dict[str, float] = {}
        self.released: dict[str, float] = {}
        """When each upload was announced, and when it was released."""
        self.at_step = self.most = 0
        """How many files are at the scanner, and the most that ever were."""

    async def __aenter__(self) -> Self:
        self._client = await nats.connect(self._url)
        js = self._client.jetstream()
        await ensure_stream(js)
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.NEW)
        await js.subscribe(STREAM, stream=STREAM, cb=self._hear, config=config)
        self._hiring = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in [*self._busy, *filter(None, [self._hiring])]:
            task.cancel()
        await self.client.close()

    @property
    def client(self) -> Client:
        """The connection."""
        assert self._client is not None
        return self._client

    async def upload(self, name: str, user: str, **members: object) -> None:
        """Announce an upload of a user."""
        who = {"id": {"idp": "https://idp.test", "opaque_id": user, "type": 1}, "username": user}
        payload = events.bytes_received(name, ExecutingUser=who, **members)
        self.began[name] = time.monotonic()
        await self._say(new_message("BytesReceived", payload))

    async def until(self, count: int, timeout: float = 600) -> None:  # noqa: ASYNC109 -- of a test
        """Wait until so many are released."""
        async with asyncio.timeout(timeout):
            while len(self.released) < count:  # noqa: ASYNC110 -- a test may poll
                await asyncio.sleep(0.05)

    def waited(self, name: str) -> float:
        """Seconds from the announcement of an upload to its release."""
        return self.released[name] - self.began[name]

    async def _say(self, body: bytes) -> None:
        """Put a message on the stream, and do not wait until it is there: answers come in a flood."""
        await self.client.publish(STREAM, body, headers={"Nats-Msg-Id": str(uuid.uuid4())})

    async def _hear(self, message: Msg) -> None:
        event = decode(message.data)
        if event is None:
            return
        if event.type == "StartPostprocessingStep":
            self.at_step += 1
            self.most = max(self.most, self.at_step)
            self._queue.put_nowait(event)
        elif event.type == "PostprocessingFinished":
            self.released[event.upload_id] = time.monotonic()
            await self._say(new_message("UploadReady", events.upload_ready(event.upload_id)))

    async def _work(self) -> None:
        while True:
            if len(self._busy) >= self.workers:
                await asyncio.wait(self._busy, return_when=asyncio.FIRST_COMPLETED)
            else:
                task = asyncio.create_task(self._scan(await self._queue.get()))
                self._busy.add(task)
                task.add_done_callback(self._busy.discard)

    async def _scan(self, event: Event) -> None:
        await self.opened.wait()
        await asyncio.sleep(self._seconds(event.upload_id))
        step = event.payload["StepToStart"]
        self.at_step -= 1
        await self._say(
            new_message("PostprocessingStepFinished", events.step_finished(event.upload_id, step, "continue"))
        )


def step_settings(**members: int) -> dict[str, str]:
    """The variable with settings of the step `virusscan`."""
    return {"UPLOADPP_STEP_SETTINGS": json.dumps({"virusscan": members})}
