"""The legacy service, on a real NATS: it drives what it is told of, and remembers nothing we do.

It reads as the real ones do: through the push consumer `postprocessing` with a queue group, acknowledging
before it works, or in newer versions through the pull consumer `postprocessing-pull`.
"""

import asyncio
from types import TracebackType
from typing import Any, Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from e2e.demo.wire import decode, encode

STREAM = "main-queue"


class FakeLegacyService:
    """One process of it, for as long as the context lasts."""

    def __init__(self, url: str, *steps: str, pulls: bool = False) -> None:
        self._url = url
        self._steps = steps
        self._pulls = pulls
        self._client: Client | None = None
        self._pulling: asyncio.Task[None] | None = None
        self._known: dict[str, list[str]] = {}
        self.heard: list[str] = []
        """The uploads whose events it was given, in order."""

    @property
    def durable(self) -> str:
        """The name of its consumer."""
        return "postprocessing-pull" if self._pulls else "postprocessing"

    async def __aenter__(self) -> Self:
        self._client = await nats.connect(self._url)
        js = self._client.jetstream()
        new = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.EXPLICIT)
        if self._pulls:
            subscription = await js.pull_subscribe(STREAM, self.durable, stream=STREAM, config=new)
            self._pulling = asyncio.create_task(self._pull(subscription))
        else:
            queue = self.durable
            await js.subscribe(STREAM, queue, durable=queue, stream=STREAM, cb=self._take, config=new)
        await self._client.flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pulling is not None:
            ended = self._pulling.done()
            self._pulling.cancel()
            await asyncio.wait([self._pulling])
            if ended:
                self._pulling.result()  # raises what ended it
        if self._client is not None:
            await self._client.close()

    async def _pull(self, subscription: nats.js.JetStreamContext.PullSubscription) -> None:
        while True:
            try:
                messages = await subscription.fetch(16, timeout=2)
            except TimeoutError:
                continue
            for message in messages:
                await self._take(message)
                await message.ack()

    async def _take(self, message: Msg) -> None:
        event = decode(message.data)
        if event is None:
            return
        self.heard.append(event.upload_id)
        upload = event.upload_id
        if event.type == "BytesReceived":
            self._known[upload] = list(self._steps)
            await self._go_on(upload)
        elif event.type == "PostprocessingStepFinished" and upload in self._known:
            left = self._known[upload]
            if event.payload["Outcome"] != "continue":
                await self._finish(upload, event.payload["Outcome"])
            elif left and left.pop(0) == event.payload["FinishedStep"]:
                await self._go_on(upload)
        elif event.type == "UploadReady":
            self._known.pop(upload, None)

    async def _go_on(self, upload: str) -> None:
        left = self._known[upload]
        if not left:
            await self._finish(upload, "continue")
            return
        url = f"https://storage.test/data/{upload}"
        await self._say("StartPostprocessingStep", {"UploadID": upload, "URL": url, "StepToStart": left[0]})

    async def _finish(self, upload: str, outcome: str) -> None:
        await self._say("PostprocessingFinished", {"UploadID": upload, "Outcome": outcome})

    async def _say(self, kind: str, payload: dict[str, Any]) -> None:
        assert self._client is not None
        await self._client.jetstream().publish(STREAM, encode(kind, payload))
