"""An operator at a cluster of NATS servers, with uploads under way, and how all of it has to end."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import nats
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError, ServiceUnavailableError

from e2e.cluster.http import get
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.natscluster import Member, NatsCluster
from e2e.demo.wire import read_all
from e2e.operator_process import Operator
from tests.driver import Driver, histories, until, until_reasons
from uploadpp.testing.events import STREAM

Result = TypeVar("Result")
STEPS = ["policies", "virusscan"]
PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 150.0


async def make_stream(urls: list[str], replicas: int = 3) -> None:
    """The stream without anything in it; the one of an earlier test is gone."""
    async with await nats.connect(urls) as client:
        js = client.jetstream()
        with suppress(NotFoundError):
            await js.delete_stream(STREAM)
        await js.add_stream(StreamConfig(name=STREAM, subjects=[STREAM], num_replicas=replicas))


def readyz(operator: Operator) -> str:
    """What /readyz says."""
    try:
        return get(f"{operator.url}/readyz").strip()
    except OSError as error:
        body = getattr(error, "read", bytes)()
        return body.decode() if isinstance(body, bytes) else ""


@dataclass
class Installation:
    """Uploads are announced all the time while something else happens: `async with`."""

    servers: NatsCluster
    driver: Driver
    operator: Operator
    kubectl: Kubectl
    prefix: str
    uploads: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """What /readyz has said meanwhile, without repetitions."""
    _tasks: Sequence[asyncio.Task[None]] = ()
    _going: bool = True

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._announce()), asyncio.create_task(self._watch())]
        await self.until_released(3)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._going = False
        announcing, watching = self._tasks
        if error is None:
            await announcing
        for task in (announcing, watching):
            task.cancel()
        if error is None:
            await self._judge()

    async def until_released(self, more: int) -> None:
        """Wait until so many more of the uploads are released that are announced from now on."""
        known = len(self.uploads)

        async def are_released() -> bool:
            return len(self.driver.released.intersection(self.uploads[known:])) >= more

        await until(are_released, PATIENCE_SECONDS)

    async def until_said(self, *words: str) -> None:
        """Wait until /readyz has said this."""

        async def is_said() -> bool:
            return any(all(word in text for word in words) for text in self.said)

        await until(is_said, PATIENCE_SECONDS)

    async def _announce(self) -> None:
        while self._going:
            upload = f"{self.prefix}-{len(self.uploads)}"
            await self.driver.upload(upload, pause=PAUSE_SECONDS)
            self.uploads.append(upload)

    async def _watch(self) -> None:
        while True:
            text = await asyncio.to_thread(readyz, self.operator)
            if text not in self.said:
                self.said.append(text)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _judge(self) -> None:
        """All are released, each once and not before its steps have answered; then the operator is ready."""
        await self.driver.until_released(*self.uploads, timeout=PATIENCE_SECONDS)
        await until_reasons(self.kubectl, dict.fromkeys(self.uploads, "Completed"), PATIENCE_SECONDS)

        async def is_ready() -> bool:
            return await asyncio.to_thread(readyz, self.operator) == "OK"

        await until(is_ready, PATIENCE_SECONDS)
        await judge_stream(self.driver, self.uploads)


async def judge_stream(driver: Driver, uploads: Sequence[str]) -> None:
    """The stream shows each upload once, and its outcome behind the answers of all steps."""
    found = await when_served(lambda: histories(driver.js))
    seen = {upload: (found[upload].steps, found[upload].finished) for upload in uploads}
    assert seen == dict.fromkeys(uploads, (STEPS, ("continue",)))
    answered: dict[str, set[str]] = defaultdict(set)
    for event in await when_served(lambda: read_all(driver.js)):
        if event.type == "PostprocessingStepFinished":
            answered[event.upload_id].add(event.payload["FinishedStep"])
        elif event.type == "PostprocessingFinished":
            assert answered[event.upload_id] == set(STEPS), event.upload_id


async def when_served(read: Callable[[], Awaitable[Result]]) -> Result:
    """What is read of the stream, once it has a leader again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await read()
            except (ServiceUnavailableError, TimeoutError):
                await asyncio.sleep(0.5)


async def moved(servers: NatsCluster, client: str, away: Member) -> None:
    """Wait until a client is connected to another server."""

    async def is_elsewhere() -> bool:
        at = await asyncio.to_thread(servers.connected_to, client)
        return at is not None and at is not away

    await until(is_elsewhere, 60)
