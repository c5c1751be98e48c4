"""URLs of hand-made resources, read from Secrets before the upload begins."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.resources.test_event_handler import Side, resource
from uploadpp.core.inputs import BytesReceived, CleanUpload
from uploadpp.core.model import FileInfo, Origin
from uploadpp.core.states import Stage
from uploadpp.kube.errors import ApiError, ForbiddenError, NotFoundError, RefusedError, UnavailableError
from uploadpp.resources import url_secrets

URL = "https://storage.example/data/1"


class Cluster(Side):
    """Secrets, by name; a URL or why it cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, str | ApiError | Exception] = {}
        self.asked: list[tuple[str, str]] = []
        self.applier.act()

    async def secret(self, name: str, key: str) -> str:
        self.asked.append((name, key))
        found = self.secrets[name]
        if isinstance(found, Exception):
            raise found
        return found

    def make(self, *names: str, state: str = "Active") -> None:
        """People make resources that name Secrets of the same names."""
        for name in names:
            spec = {"steps": [{"name": "a"}], "urlSecretRef": {"name": name}, "desiredState": state}
            made = resource(name, name)
            self.inputs.seen(made | {"spec": made["spec"] | spec})
            assert self.waits(name)

    def waits(self, name: str) -> bool:
        return self.inputs._past_ends._secrets.is_waiting(self.bench.tracked(name))

    async def read(self, *names: str) -> None:
        self.make(*names)
        async with self.reading():
            await until(lambda: not any(map(self.waits, names)))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.inputs._past_ends._secrets.run())
        try:
            yield
            await asyncio.sleep(0)
        finally:
            running.cancel()


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 -- nobody says when
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_secrets, "PAUSE_SECONDS", (0.001, 0.004))
    monkeypatch.setattr(url_secrets, "LOOK_AGAIN_SECONDS", (0.002, 0.004))


async def test_an_upload_begins_once_its_url_is_read() -> None:
    cluster = Cluster()
    cluster.secrets = {"a": URL}
    await cluster.read("a")
    upload = cluster.bench.upload("a")
    assert (upload.stage, upload.origin.url) == (Stage.RUNNING, f'"{URL}"')
    assert cluster.asked == [("a", "url")]


DECIDED = [NotFoundError("404 no such Secret"), ForbiddenError("403 s3cr3t"), RefusedError("422 s3cr3t")]


@pytest.mark.parametrize("error", DECIDED, ids=str)
async def test_without_one_the_storage_is_asked_and_the_resource_says_why(error: ApiError) -> None:
    cluster = Cluster()
    cluster.secrets = {"a": error}
    await cluster.read("a")
    assert cluster.bench.upload("a").stage is Stage.AWAITING_URL
    assert cluster.told == [("a", "URLSecretUnreadable")]


@pytest.mark.parametrize("error", DECIDED, ids=str)
async def test_a_secret_that_can_be_read_later_is_found(error: ApiError) -> None:
    cluster = Cluster()
    cluster.secrets = {"a": error}
    cluster.make("a")
    async with cluster.reading():
        await until(lambda: len(cluster.asked) > 3)
        assert cluster.bench.upload("a").stage is Stage.AWAITING_URL
        cluster.secrets = {"a": URL}
        await until(lambda: cluster.bench.upload("a").stage is Stage.RUNNING)
        asked = len(cluster.asked)
        await asyncio.sleep(0.03)
        assert len(cluster.asked) == asked
    assert cluster.bench.upload("a").origin.url == f'"{URL}"'
    assert cluster.told == [("a", "URLSecretUnreadable")]


async def test_while_the_api_server_does_not_answer_the_upload_waits() -> None:
    cluster = Cluster()
    cluster.secrets = {"a": UnavailableError("503 upstream connect error"), "b": URL}
    cluster.make("a", "b")
    async with cluster.reading():
        await until(lambda: len(cluster.asked) > 4)
        assert cluster.waits("a")
        assert cluster.bench.upload("a").stage is Stage.PENDING
        assert cluster.bench.upload("b").stage is Stage.RUNNING
        cluster.secrets = {"a": URL}
        await until(lambda: cluster.bench.upload("a").stage is Stage.RUNNING)
    assert cluster.bench.upload("a").origin.url == f'"{URL}"'
    assert cluster.told == []


async def test_it_does_not_wait_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_secrets, "UNAVAILABLE_SECONDS", 0.5)
    cluster = Cluster()
    cluster.secrets = {"a": UnavailableError("503 s3cr3t")}
    cluster.make("a")
    async with cluster.reading():
        await until(lambda: not cluster.waits("a"))
        assert len(cluster.asked) > 2
        assert cluster.bench.upload("a").stage is Stage.AWAITING_URL
        cluster.secrets = {"a": URL}
        await until(lambda: cluster.bench.upload("a").stage is Stage.RUNNING)
    assert cluster.told == [("a", "URLSecretUnreadable")]


async def test_a_url_that_comes_before_it_is_needed_is_kept() -> None:
    cluster = Cluster()
    cluster.secrets = {"a": NotFoundError("404")}
    cluster.make("a", state="Suspended")
    async with cluster.reading():
        await until(lambda: cluster.bench.upload("a").stage is Stage.SUSPENDED)
        cluster.secrets = {"a": URL}
        await until(lambda: cluster.bench.upload("a").origin.has_url)
    assert cluster.bench.upload("a").stage is Stage.SUSPENDED


@pytest.mark.parametrize("how", ["forgotten", "url", "ended"])
async def test_what_needs_no_url_is_not_looked_at(how: str) -> None:
    cluster = Cluster()
    cluster.secrets = {"a": NotFoundError("404")}
    cluster.make("a")
    tracked = cluster.bench.tracked("a")
    async with cluster.reading():
        await until(lambda: tracked.upload.stage is Stage.AWAITING_URL)
        if how == "forgotten":
            cluster.uploads.forget(tracked)
        elif how == "url":
            cluster.applier.on_input(tracked, BytesReceived(Origin(url='"https://b"'), FileInfo()))
            assert tracked.upload.stage is Stage.RUNNING
        else:
            cluster.applier.on_input(tracked, CleanUpload())
            assert tracked.upload.stage.ended
        cluster.secrets = {"a": URL}
        await asyncio.sleep(0.02)
        asked = len(cluster.asked)
        await asyncio.sleep(0.02)
    assert len(cluster.asked) == asked
    assert tracked.upload.origin.url != f'"{URL}"'


async def test_a_pause_gets_longer_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    cluster = Cluster()
    cluster.secrets = {"a": UnavailableError("503")}
    cluster.make("a")
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def noted(delay: float, *words: Any) -> asyncio.TimerHandle:  # noqa: ANN401 -- a callback and what it gets
        waited.append(delay)
        return call_later(delay, *words)

    monkeypatch.setattr(url_secrets, "PAUSE_SECONDS", (0.0001, 0.0003))
    async with cluster.reading():
        monkeypatch.setattr(loop, "call_later", noted)
        await until(lambda: len(cluster.asked) > 4)
    assert [each for each in waited if each < 0.001][:4] == [0.0001, 0.0002, 0.0003, 0.0003]


async def test_one_fault_keeps_no_other_url_from_being_read() -> None:
    cluster = Cluster()
    cluster.secrets = {"a": KeyError("not foreseen"), "b": URL}
    await cluster.read("a", "b")
    assert cluster.bench.upload("b").stage is Stage.RUNNING
    assert ("a", "OperatorFailed") in cluster.told


async def test_a_resource_without_a_secret_waits_for_nothing() -> None:
    cluster = Cluster()
    cluster.inputs.seen(resource("a", "a"))
    assert not cluster.inputs._past_ends.is_waiting(cluster.bench.tracked("a"))
    assert cluster.asked == []
