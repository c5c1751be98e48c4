"""Servers that never come to the point, for all who use the HTTP client of the standard library (S6, S8)."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from kubectl_pp import metrics, pages
from kubectl_pp.client import Client
from kubectl_pp.errors import PluginError
from uploadpp.http import heads
from uploadpp.process.otlp import BoundedSession

CONTINUE = b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n"
BODY = b'{"metadata":{}}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + BODY
AT_ONCE = 500


@contextmanager
def serving(server: socket.socket, answer: bytes, forever: bytes, pause: float = 0) -> Iterator[None]:
    """One connection after another is answered so, and then told something else for as long as it lasts."""

    def run() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(answer)
                    while forever:
                        connection.sendall(forever)
                        time.sleep(pause)
                except OSError:
                    pass

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


class Proxy:
    """Where the plugin finds the API server."""

    def __init__(self, path: str) -> None:
        self._path = path

    def socket(self) -> str:
        return self._path


def collector(server: socket.socket) -> object:
    with BoundedSession() as session:
        return session.post(f"http://127.0.0.1:{server.getsockname()[1]}/", data=b"x", timeout=5).content


def metrics_url(server: socket.socket) -> object:
    url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    return metrics.read(cast("Client", None), "ocis", "", url).encode()


def api_server(server: socket.socket) -> object:
    client = Client(cast("Any", Proxy(server.getsockname())), 5)
    try:
        return client.probe("/version")[1]
    finally:
        if client._local.connection is not None:
            client._local.connection.close()


WHO = [collector, metrics_url, api_server]


@pytest.fixture
def server(who: Callable[..., object], tmp_path: Path) -> socket.socket:
    if who is not api_server:
        return socket.create_server(("127.0.0.1", 0))
    found = socket.socket(socket.AF_UNIX)
    found.bind(str(tmp_path / "s"))
    found.listen()
    return found


@pytest.mark.parametrize("who", WHO)
def test_a_few_answers_before_the_answer_are_passed_over(
    who: Callable[[socket.socket], object], server: socket.socket
) -> None:
    with serving(server, CONTINUE * 3 + OK, b""):
        assert who(server) == BODY


@pytest.mark.parametrize("who", WHO)
def test_s8_answers_before_the_answer_are_counted_there_too(
    who: Callable[[socket.socket], object], server: socket.socket
) -> None:
    began = time.monotonic()
    with (
        serving(server, b"", CONTINUE * AT_ONCE),
        pytest.raises((PluginError, requests.ConnectionError), match="more answers than one request has"),
    ):
        who(server)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nA: "])
@pytest.mark.parametrize("who", WHO)
def test_s8_a_head_that_comes_byte_by_byte_is_not_waited_for(
    who: Callable[[socket.socket], object],
    server: socket.socket,
    begun: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heads, "HEAD_SECONDS", 0.3)
    with (
        serving(server, begun, b"H", 0.02),
        pytest.raises((PluginError, requests.ConnectionError), match="does not end"),
    ):
        who(server)


def test_a_body_is_not_bounded_by_the_time_of_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "HEAD_SECONDS", 1.5)
    server = socket.create_server(("127.0.0.1", 0))
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
    with serving(server, head, b"x", 0.1):
        assert collector(server) == b"x" * 20


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_s6_the_body_of_a_redirect_is_not_read_without_an_end(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_BYTES", 1 << 20)
    server = socket.create_server(("127.0.0.1", 0))
    head = b"HTTP/1.1 %d X\r\nLocation: /elsewhere\r\n\r\n" % code
    with serving(server, head, b"x" * 65536), pytest.raises(PluginError, match="too large"):
        metrics_url(server)


def test_what_an_error_says_is_not_read_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SECONDS", 0.3)
    server = socket.create_server(("127.0.0.1", 0))
    head = b"HTTP/1.1 503 X\r\n\r\n"
    with serving(server, head, b"x", 0.02), pytest.raises(PluginError, match="too large"):
        metrics_url(server)
