"""Probes and metrics over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import aiohttp
import pytest

from e2e.cluster.ports import free_port
from uploadpp.process import connections, health
from uploadpp.process.connections import MAX_CONNECTIONS, Stage
from uploadpp.process.health import Details, HealthServer
from uploadpp.telemetry.metrics import Metrics


class Answers:
    """What the probes are told."""

    unhealthy = ""
    unready = ""
    report: ClassVar[list[str]] = ["[+]nats ok", "[-]shard-0/record failed: 403"]


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, Answers]]:
    answers, port = Answers(), free_port()
    server = HealthServer(
        f"127.0.0.1:{port}",
        "t0ken",
        Metrics(),
        lambda: answers.unhealthy,
        lambda: answers.unready,
        Details(lambda: answers.report),
    )
    await server.start()
    yield f"http://127.0.0.1:{port}", answers
    await server.stop()


async def fetch(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text()


async def test_probes(served: tuple[str, Answers]) -> None:
    url, answers = served
    assert await fetch(f"{url}/healthz") == (200, "OK\n")
    answers.unready = "replaying the log"
    assert await fetch(f"{url}/readyz") == (503, "replaying the log\n")
    assert (await fetch(f"{url}/healthz"))[0] == 200
    answers.unhealthy = "stuck"
    assert await fetch(f"{url}/healthz") == (503, "stuck\n")


@pytest.mark.parametrize("query", ["verbose", "verbose=true", "a=1&verbose"])
async def test_a_verbose_probe_lists_what_is_looked_at(served: tuple[str, Answers], query: str) -> None:
    url, answers = served
    lines = "\n".join(answers.report)
    assert await fetch(f"{url}/readyz?{query}") == (200, f"{lines}\nreadyz check passed\n")
    answers.unready = "cannot record: 403"
    assert await fetch(f"{url}/readyz?{query}") == (503, f"{lines}\nreadyz check failed\n")
    assert await fetch(f"{url}/readyz?other") == (503, "cannot record: 403\n")
    assert await fetch(f"{url}/healthz?{query}") == (200, "OK\n")


async def test_metrics_ask_for_the_token(served: tuple[str, Answers]) -> None:
    url, _ = served
    assert (await fetch(f"{url}/metrics"))[0] == 401
    assert (await fetch(f"{url}/metrics", Authorization="Bearer wrong"))[0] == 401
    assert (await fetch(f"{url}/metrics", Authorization="Bearer t\u00f6ken"))[0] == 401
    status, text = await fetch(f"{url}/metrics", Authorization="Bearer t0ken")
    assert status == 200
    assert "uploadpp_build_info" in text


async def test_address_in_use(served: tuple[str, Answers]) -> None:
    address = served[0].removeprefix("http://")
    second = HealthServer(address, "", Metrics(), str, str)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.stop()


async def raw(url: str, request: bytes) -> bytes:
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nAuthorization: Bearer \xff\r\n\r\n", b"401"),
        (b"GET /metrics HTTP/1.1\r\nAuthorization: Bearer \0\r\n\r\n", b"401"),
        (b"GET /metrics HTTP/1.1\r\nAuthorization: \r\n\r\n", b"401"),
        (b"GET /metrics HTTP/1.1\r\nAuthorization: Basic t0ken\r\n\r\n", b"401"),
        (b"GET /metrics HTTP/1.1\r\nAuthorization: Bearer t0ken\r\nAuthorization: x\r\n\r\n", b"401"),
        (b"GET /metrics HTTP/1.1\r\nauthorization:bearer  t0ken \r\n\r\n", b"200"),
        (b"GET http://host/healthz?verbose HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /\0 HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /healthz\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 9\r\n\r\nsomething", b"405"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"x" * 1_000_000, b"431"),
        (b"\r\n\r\n", b""),
        (b"\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n", b"200"),
        (b"\r\n\r\n" * 3000 + b"GET /healthz HTTP/1.1\r\n\r\n", b"431"),
        (b"GET /healthz HTTP/1.1\r\n", b""),
        (b"", b""),
    ],
)
async def test_odd_requests_get_an_answer_and_no_traceback(
    served: tuple[str, Answers], caplog: pytest.LogCaptureFixture, request_: bytes, status: bytes
) -> None:
    answer = await raw(served[0], request_)
    assert answer[9:12] == status
    assert not caplog.records
    assert (await fetch(f"{served[0]}/healthz"))[0] == 200


async def test_head_has_no_body_and_a_second_request_no_answer(served: tuple[str, Answers]) -> None:
    head = await raw(served[0], b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")
    piped = await raw(served[0], b"GET /healthz HTTP/1.1\r\n\r\n" * 3)
    assert piped.count(b"HTTP/1.1") == 1


async def test_a_fault_of_ours_is_a_500(
    served: tuple[str, Answers], caplog: pytest.LogCaptureFixture
) -> None:
    served[1].unready = type("Broken", (str,), {"__format__": lambda *_: 1 / 0})("x")
    assert (await fetch(f"{served[0]}/readyz"))[0] == 500
    assert "report it" in caplog.text


async def test_idle_connections_do_not_keep_a_probe_out(served: tuple[str, Answers]) -> None:
    host, _, port = served[0].removeprefix("http://").rpartition(":")
    idle = [(await asyncio.open_connection(host, int(port)))[1] for _ in range(2 * MAX_CONNECTIONS)]
    for each in idle[::2]:
        each.write(b"GET /healthz HTTP/1.1\r\nX: ")
    assert await fetch(f"{served[0]}/healthz") == (200, "OK\n")
    for each in idle:
        each.close()


async def test_a_request_that_does_not_end_is_cut_off(
    served: tuple[str, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.SECONDS, Stage.WAITING, 0.05)
    host, _, port = served[0].removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HTTP/1.1\r\n")
    assert await reader.read() == b""
    writer.close()


async def test_clients_that_have_their_answer_and_stay_do_not_keep_a_probe_out(
    served: tuple[str, Answers],
) -> None:
    host, _, port = served[0].removeprefix("http://").rpartition(":")
    staying = []
    for _ in range(2 * MAX_CONNECTIONS):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        staying.append(writer)
    assert await fetch(f"{served[0]}/healthz") == (200, "OK\n")
    for each in staying:
        each.close()


async def test_clients_that_do_not_take_their_answer_do_not_keep_a_probe_out() -> None:
    answers, port = Answers(), free_port()
    long = type("Long", (), {"text": lambda _: b"# long\n" * 3_000_000})()
    server = HealthServer(f"127.0.0.1:{port}", "", long, lambda: answers.unhealthy, str)
    await server.start()
    stuck = []
    for _ in range(MAX_CONNECTIONS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n")
        stuck.append(writer)
    assert await fetch(f"http://127.0.0.1:{port}/healthz") == (200, "OK\n")
    for each in stuck:
        each.transport.abort()
    await server.stop()


async def test_empty_lines_may_come_before_a_request(served: tuple[str, Answers]) -> None:
    for before in (b"\r\n", b"\r\n\r\n", b"\r\n" * 5):
        assert (await raw(served[0], before + b"GET /healthz HTTP/1.1\r\n\r\n"))[9:12] == b"200"


async def test_what_is_wrong_is_said_on_one_line_in_which_nothing_acts(served: tuple[str, Answers]) -> None:
    served[1].unready = "no \x1b[2J\r\nX: \u202e" + "long " * 10_000
    text = (await raw(served[0], b"GET /readyz HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")[2].decode()
    assert text.startswith("no \\x1b[2J\\r\\nX: \\u202elong ")
    assert text[:-1].isprintable()
    assert len(text) < 5000


async def test_scrapes_without_end_take_a_part_of_the_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that took a second to make is served for five, one that took nothing is always new."""
    now = 100.0
    made: list[float] = []
    monkeypatch.setattr(health, "monotonic", lambda: now)

    class Slow:
        def text(self) -> bytes:
            nonlocal now
            now += seconds
            made.append(now)
            return b""

    server = HealthServer("127.0.0.1:0", "", Slow(), str, str)
    seconds = 1.0
    for _ in range(40):
        server.respond(b"GET /metrics HTTP/1.1")
        now += 0.25
    assert len(made) == 2
    now, seconds = 200.0, 0.0
    for _ in range(3):
        server.respond(b"GET /metrics HTTP/1.1")
    assert len(made) == 5


async def test_a_token_from_a_file_with_a_line_end_counts() -> None:
    server = HealthServer("127.0.0.1:0", "t0ken\n", Metrics(), str, str)
    assert b" 200 " in server.respond(b"GET /metrics HTTP/1.1\r\nAuthorization: Bearer t0ken")
