"""Strangers at the port for probes: a probe gets its answer, whatever else is connected and however much."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic

import pytest

from uploadpp.process import connections
from uploadpp.process.connections import MAX_CONNECTIONS, MAX_HEAD_BYTES, Connections, head_of

REQUEST = b"GET /healthz HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
MANY = 1000
SECONDS = 5.0
"""What the kubelet waits for, by the chart."""


@pytest.fixture
async def served() -> AsyncIterator[Connections]:
    found = Connections("127.0.0.1:0", lambda head, _: ANSWER if head else b"too long")
    found.start()
    yield found
    found.stop()


def strangers(port: int, number: int, said: bytes = b"") -> list[socket.socket]:
    """Connections that are made while the server does something else."""
    made = []
    for _ in range(number):
        made.append(socket.create_connection(("127.0.0.1", port), timeout=SECONDS))
        if said:
            made[-1].send(said)
    return made


async def answer_to(sock: socket.socket) -> bytes:
    sock.settimeout(0)
    async with asyncio.timeout(SECONDS):
        return await asyncio.get_running_loop().sock_recv(sock, 1000)


def close(*socks: socket.socket) -> None:
    for each in socks:
        each.close()


@pytest.mark.parametrize("said", [b"", b"G", b"GET /healthz HTTP/1.1\r\nX: x", REQUEST])
async def test_a_probe_between_a_thousand_connections_is_answered(served: Connections, said: bytes) -> None:
    before = strangers(served.port, MANY, said)
    probe = socket.create_connection(("127.0.0.1", served.port), timeout=SECONDS)
    probe.send(REQUEST)
    after = strangers(served.port, MANY, said)
    try:
        assert await answer_to(probe) == ANSWER
    finally:
        close(probe, *before, *after)


async def test_who_has_one_connection_keeps_it(served: Connections) -> None:
    slow = socket.create_connection(
        ("127.0.0.1", served.port), timeout=SECONDS, source_address=("127.0.0.2", 0)
    )
    await asyncio.sleep(0.05)
    after = strangers(served.port, 3 * MAX_CONNECTIONS)
    await asyncio.sleep(0.05)
    slow.send(REQUEST)
    try:
        assert await answer_to(slow) == ANSWER
    finally:
        close(slow, *after)


async def test_no_more_are_open_than_have_a_place(
    served: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.SECONDS, connections.Stage.WAITING, 300)  # longer than this takes
    made = strangers(served.port, 10 * MAX_CONNECTIONS, b"GET ")
    for each in made:
        each.settimeout(0)
    async with asyncio.timeout(60):
        while sum(map(is_open, made)) > MAX_CONNECTIONS:  # noqa: ASYNC110 -- until the server has met all
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    assert sum(map(is_open, made)) == MAX_CONNECTIONS
    close(*made)


def is_open(sock: socket.socket) -> bool:
    try:
        return sock.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


async def test_who_sends_a_byte_now_and_then_is_cut_off_all_the_same(
    served: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.SECONDS, connections.Stage.WAITING, 0.3)
    (slow,) = strangers(served.port, 1)
    began = monotonic()
    with suppress(BrokenPipeError, ConnectionResetError):
        while monotonic() - began < 10:
            slow.send(b"x")
            await asyncio.sleep(0.05)
    slow.close()
    assert monotonic() - began < 5


async def test_without_descriptors_a_probe_waits_and_the_loop_does_other_things(
    served: Connections, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "PAUSE_SECONDS", 0.1)
    loop = asyncio.get_running_loop()
    waiting = socket.socket()
    waiting.settimeout(0)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, limits[1]))
    spare = []
    try:
        while True:  # descriptors below that were closed before
            try:
                spare.append(socket.socket())
            except OSError:
                break
        await loop.sock_connect(waiting, ("127.0.0.1", served.port))
        await loop.sock_sendall(waiting, REQUEST)
        began, seen = monotonic(), len(caplog.records)
        async with asyncio.timeout(60):
            while len(caplog.records) < seen + 3:  # noqa: ASYNC110 -- the loop does this meanwhile
                await asyncio.sleep(0.01)
        assert monotonic() - began > 0.15, "it tries again and again"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        close(*spare)
    assert "Too many open files" in caplog.text
    assert await answer_to(waiting) == ANSWER
    waiting.close()


@pytest.mark.parametrize(
    ("received", "head"),
    [
        (b"", None),
        (b"GET / HTTP/1.1\r\nA: b\r\n", None),
        (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", b"GET / HTTP/1.1\r\nA: b"),
        (b"\r\n\r\nGET /\r\n\r\nGET /2", b"GET /"),
        (b"\r\n" * 8, None),
        (b"\r\n" * 9, b""),
        (b"x" * MAX_HEAD_BYTES, None),
        (b"x" * (MAX_HEAD_BYTES + 1), b""),
        (b"x" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n", b""),
    ],
)
def test_a_head_is_short(received: bytes, head: bytes | None) -> None:
    assert head_of(bytearray(received)) == head
