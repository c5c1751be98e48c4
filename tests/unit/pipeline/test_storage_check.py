"""The question to the storage: one byte, no redirect, and the URL gets nowhere else."""

import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from uploadpp.pipeline.lost_uploads import _result
from uploadpp.pipeline.storage_check import StorageCheck, open_check
from uploadpp.process.configuration import ConfigurationError
from uploadpp.process.setting_types import StorageChecks
from uploadpp.process.settings import Settings
from uploadpp.storage.sources import Source


class Gateway:
    """Answers what it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[tuple[str, str, str]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path, request.headers.get("Range", "")))
        headers = {"Location": "/elsewhere"} if self.status in {301, 302, 307} else {}
        return web.Response(status=self.status, headers=headers)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/data/secret-token"
    yield made
    await runner.cleanup()


@pytest.fixture
async def check() -> AsyncIterator[StorageCheck]:
    made = open_check(Settings())
    assert made is not None
    yield made
    await made.close()


@pytest.mark.parametrize("status", [200, 206, 302, 307, 401, 403, 404, 410, 425, 500, 503])
async def test_it_asks_once_for_one_byte_and_follows_nothing(
    gateway: Gateway, check: StorageCheck, status: int
) -> None:
    gateway.status = status
    assert await check.ask(gateway.url) == status
    assert gateway.asked == [("GET", "/data/secret-token", "bytes=0-0")]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/secret-token",
        "http://user:secret-token@127.0.0.1:1/",
        "/data/secret-token",
        "",
        "http://[::secret-token",
        "http://127.0.0.1:99999999/secret-token",
        "http://secret-token.invalid./",
    ],
)
async def test_what_proves_nothing(check: StorageCheck, url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "uploadpp")
    assert await check.ask(url) is None
    assert "secret-token" not in caplog.text


async def test_a_refused_connection_proves_nothing_and_is_said_once(
    check: StorageCheck, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/data/secret-token"
        assert [await check.ask(url), await check.ask(url)] == [None, None]
    assert caplog.text.count("cannot check whether the storage still has") == 1
    assert "secret-token" not in caplog.text


async def test_it_asks_only_where_it_may_and_follows_redirects_there(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """By the rules of the steps' downloads: one client for both."""
    place = gateway.url.removesuffix("/data/secret-token")
    check = open_check(
        Settings(storage_from=(Source.parse(f"{place}/data"), Source.parse(f"{place}/elsewhere")))
    )
    assert check is not None
    gateway.status = 404
    assert await check.ask(gateway.url) == 404
    assert await check.ask(f"{place}/database/secret-token") is None
    assert await check.ask(gateway.url.replace("127.0.0.1", "localhost")) is None
    gateway.status = 302
    assert await check.ask(gateway.url) is None  # in a circle
    asked = [path for _, path, _ in gateway.asked]
    assert asked == ["/data/secret-token"] * 2 + ["/elsewhere"] * 4
    assert "the URL is not used: it is not among those that are allowed" in caplog.text
    assert "secret-token" not in caplog.text
    await check.close()


def test_it_can_be_switched_off() -> None:
    assert open_check(Settings(storage_check=StorageChecks.OFF)) is None


def test_a_wrong_authority_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"UPLOADPP_STORAGE_CA_FILE=.*absent"):
        open_check(Settings(storage_ca_file=tmp_path / "absent"))
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(ConfigurationError, match="UPLOADPP_STORAGE_CA_FILE"):
        open_check(Settings(storage_ca_file=empty))


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (None, "unreachable"),
        (404, "absent"),
        (410, "absent"),
        (206, "present"),
        (200, "present"),
        (403, "unclear"),
    ],
)
def test_results(status: int | None, result: str) -> None:
    assert _result(status) == result
