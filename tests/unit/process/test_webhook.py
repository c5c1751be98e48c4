"""The admission webhook over real TLS: what the API server asks, and what strangers send."""

import asyncio
import logging
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from e2e.cluster.certificates import write_certificates
from uploadpp.process import webhook
from uploadpp.process.webhook import MAX_BODY_BYTES, MAX_CONNECTIONS, Certificate, WebhookServer

REVIEW = {"kind": "AdmissionReview", "request": {"uid": "u"}}


def answered(review: dict[str, Any]) -> dict[str, Any]:
    """What the operator says here."""
    return {"response": {"uid": review["request"]["uid"], "allowed": True}}


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    write_certificates(tmp_path)
    return Certificate(tmp_path / "server.crt", tmp_path / "server.key")


@pytest.fixture
async def server(certificate: Certificate) -> AsyncIterator[WebhookServer]:
    made = WebhookServer("127.0.0.1:0", certificate, answered)
    made.start()
    yield made
    await made.stop()


async def ask(server: WebhookServer, authority: Path, path: str = "/policies/review", **asked: Any) -> Any:  # noqa: ANN401 -- JSON
    context = ssl.create_default_context(cafile=authority)
    url = f"https://127.0.0.1:{server.port}{path}"
    method = asked.pop("method", "POST")
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, ssl=context, **asked) as response,
    ):
        text = await response.text()
        return (response.status, text) if response.status != 200 else await response.json()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110 -- nobody says when
            await asyncio.sleep(0.01)


async def test_a_review_is_answered(server: WebhookServer, tmp_path: Path) -> None:
    said = await ask(server, tmp_path / "ca.crt", json=REVIEW)
    assert said == {"response": {"uid": "u", "allowed": True}}
    longer = await ask(server, tmp_path / "ca.crt", path="/policies/review?timeout=5s", json=REVIEW)
    assert longer == said


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"path": "/", "json": REVIEW}, 404),
        ({"method": "GET"}, 405),
        ({"data": b"<html>"}, 400),
        ({"json": []}, 400),
        ({"json": {"request": 1}}, 400),
        ({"data": b"{" * 100_000}, 400),
        ({"headers": {"Content-Length": str(MAX_BODY_BYTES + 1)}, "data": b"{}"}, 413),
        ({"headers": {"X": "x" * 20_000}, "json": REVIEW}, 431),
    ],
)
async def test_what_is_not_a_review_is_refused(
    server: WebhookServer, tmp_path: Path, asked: dict[str, Any], status: int
) -> None:
    found, said = await ask(server, tmp_path / "ca.crt", **asked)
    assert found == status
    assert said


async def test_a_body_without_a_length_is_refused(server: WebhookServer, tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    assert (await ask(server, tmp_path / "ca.crt", data=pieces()))[0] == 411


async def test_a_failure_is_said_and_logged(
    certificate: Certificate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("x")

    server = WebhookServer("127.0.0.1:0", certificate, broken)
    server.start()
    assert (await ask(server, tmp_path / "ca.crt", json=REVIEW))[0] == 500
    assert "report it" in caplog.text
    await server.stop()


async def test_s8_strangers_that_say_nothing_do_not_keep_the_api_server_out(
    monkeypatch: pytest.MonkeyPatch, server: WebhookServer, tmp_path: Path
) -> None:
    """Nor do those that stop after a half of their request, however long they may take."""
    for limit in ("HANDSHAKE_SECONDS", "CONNECTION_SECONDS"):
        monkeypatch.setattr(webhook, limit, 3600.0)
    monkeypatch.setattr(webhook, "ARRIVAL_SECONDS", 0.5)
    context = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3 * MAX_CONNECTIONS)]
    slow = []
    async with asyncio.timeout(60):
        for _ in range(MAX_CONNECTIONS):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            writer.write(b"POST /policies/review HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
            slow.append(writer)
        said = await ask(server, tmp_path / "ca.crt", json=REVIEW)
    assert said["response"]["allowed"]
    for each in silent:
        each.close()
    for writer in slow:
        writer.close()


async def test_it_stops_in_the_moment_in_which_a_connection_ends(
    monkeypatch: pytest.MonkeyPatch, server: WebhookServer
) -> None:
    """`asyncio.wait_for` of Python 3.11 forgets a cancellation when what it waits for happens with it."""
    monkeypatch.setattr(webhook, "ARRIVAL_SECONDS", 3600.0)
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MAX_CONNECTIONS)]
    await until(lambda: len(server._serving) == MAX_CONNECTIONS)
    await asyncio.sleep(0.05)  # it waits for one of them to end
    server._freed.set()
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await server.stop()
    for each in silent:
        each.close()


async def test_s6_reviews_without_end_take_a_part_of_the_time_only(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate, tmp_path: Path
) -> None:
    """A clock that only reviews and pauses move: of forty reviews, the pauses are four fifths of the time.

    They are more than there are connections, and each is answered.
    """
    now, paused = 100.0, 0.0

    def slow(review: dict[str, Any]) -> dict[str, Any]:
        nonlocal now
        now += 0.5
        return answered(review)

    async def pause(seconds: float) -> None:
        nonlocal now, paused
        if seconds != webhook.ACCEPT_SECONDS:
            now += seconds
            paused += seconds
        await asyncio.sleep(0)

    monkeypatch.setattr(webhook, "ARRIVAL_SECONDS", 3600.0)
    monkeypatch.setattr(webhook, "monotonic", lambda: now)
    monkeypatch.setattr(webhook, "pause", pause)
    server = WebhookServer("127.0.0.1:0", certificate, slow)
    server.start()
    said = await asyncio.gather(*(ask(server, tmp_path / "ca.crt", json=REVIEW) for _ in range(40)))
    await server.stop()
    assert all(each["response"]["allowed"] for each in said)
    assert paused == pytest.approx(39 * 0.5 * 4), "the first one does not wait"


async def test_s8_a_stranger_that_is_slow_is_left(
    monkeypatch: pytest.MonkeyPatch, server: WebhookServer, tmp_path: Path
) -> None:
    monkeypatch.setattr(webhook, "CONNECTION_SECONDS", 0.2)
    context = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    writer.write(b"POST /policies/review HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert await reader.read() == b""
    writer.close()


async def test_a_replaced_certificate_is_used(
    monkeypatch: pytest.MonkeyPatch,
    server: WebhookServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(webhook, "REREAD_SECONDS", 0.01)
    rereading = asyncio.create_task(server.run())
    other = tmp_path / "other"
    other.mkdir()
    write_certificates(other)
    (tmp_path / "server.key").write_bytes((other / "server.key").read_bytes())
    await until(lambda: bool(server.problem))
    assert server.problem == "the new certificate cannot be used: the key is not that of the certificate"
    assert (await ask(server, tmp_path / "ca.crt", json=REVIEW))["response"]["allowed"]

    shutil.copy(other / "server.crt", tmp_path / "server.crt")
    await until(lambda: "has a new certificate" in caplog.text)
    assert server.problem == ""
    assert (await ask(server, other / "ca.crt", json=REVIEW))["response"]["allowed"]
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await ask(server, tmp_path / "ca.crt", json=REVIEW)
    rereading.cancel()


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Certificate(tmp_path / "server.crt", tmp_path / "server.key")
    write_certificates(tmp_path)
    (tmp_path / "server.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(ssl.SSLError, match="damaged"):
        Certificate(tmp_path / "server.crt", tmp_path / "server.key")
