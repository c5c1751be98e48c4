"""URLs of hand-made resources, read from Secrets before the upload begins."""

import asyncio

import pytest

from tests.unit.resources.test_event_handler import Side, resource
from uploadpp.core.states import Stage
from uploadpp.kube.errors import ApiError, ForbiddenError, NotFoundError

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

    async def read(self, *names: str) -> None:
        reader = self.inputs._secrets
        for name in names:
            made = resource(name, name, steps=[{"name": "a"}], urlSecretRef={"name": name})
            self.inputs.seen(made)
            assert reader.is_waiting(self.bench.tracked(name))
        running = asyncio.create_task(reader.run())
        async with asyncio.timeout(10):
            while any(reader.is_waiting(self.bench.tracked(each)) for each in names):  # noqa: ASYNC110
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()


async def test_an_upload_begins_once_its_url_is_read() -> None:
    cluster = Cluster()
    cluster.secrets = {"a": URL}
    await cluster.read("a")
    upload = cluster.bench.upload("a")
    assert (upload.stage, upload.origin.url) == (Stage.RUNNING, f'"{URL}"')
    assert cluster.asked == [("a", "url")]


@pytest.mark.parametrize("error", [NotFoundError("404"), ForbiddenError("403")], ids=str)
async def test_without_one_the_storage_is_asked_and_the_resource_says_why(error: ApiError) -> None:
    cluster = Cluster()
    cluster.secrets = {"a": error}
    await cluster.read("a")
    assert cluster.bench.upload("a").stage is Stage.AWAITING_URL
    assert cluster.told == [("a", "URLSecretUnreadable")]


async def test_one_fault_keeps_no_other_url_from_being_read() -> None:
    cluster = Cluster()
    cluster.secrets = {"a": KeyError("not foreseen"), "b": URL}
    await cluster.read("a", "b")
    assert cluster.bench.upload("b").stage is Stage.RUNNING
    assert ("a", "OperatorFailed") in cluster.told


async def test_a_resource_without_a_secret_waits_for_nothing() -> None:
    cluster = Cluster()
    cluster.inputs.seen(resource("a", "a"))
    assert not cluster.inputs._secrets.is_waiting(cluster.bench.tracked("a"))
    assert cluster.asked == []
