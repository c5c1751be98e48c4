"""Answers without an end, and answers that come byte by byte: an error in bounded time, whatever is asked."""

import json
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import pytest

from kubectl_pp import bodies, client
from kubectl_pp.client import Client
from kubectl_pp.errors import ExpiredError, PluginError, UnavailableError
from kubectl_pp.proxy import Proxy
from kubectl_pp.reflector import Reflector
from kubectl_pp.upload import Upload
from tests.unit.kubectl_pp.test_client import _Socket

Send = Callable[[bytes], None]
Talk = Callable[[Send], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def talking(talk: Talk, timeout: float | None = None) -> Iterator[Client]:
    """A server that says this to each request."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            with suppress(OSError):
                talk(self.request.sendall)

    serve = socketserver.ThreadingUnixStreamServer
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, serve(f"{folder}/s", Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = Client(cast("Proxy", _Socket(f"{folder}/s")), timeout)
        try:
            yield made
        finally:
            if (connection := getattr(made._local, "connection", None)) is not None:
                connection.close()
            server.shutdown()


def drips(send: Send) -> None:
    send(OK + b"\r\n")
    while True:
        send(b" ")
        time.sleep(0.02)


def drips_chunks(send: Send) -> None:
    send(CHUNKED)
    while True:
        send(b"1\r\n \r\n" * 20)
        time.sleep(0.02)


def floods(send: Send) -> None:
    send(OK + b"\r\n")
    while True:
        send(b" " * 65536)


def says_nothing(_: Send) -> None:
    time.sleep(3)


@pytest.mark.parametrize("talk", [drips, drips_chunks])
@pytest.mark.parametrize("timeout", [None, 0.3])
def test_s8_who_sends_byte_by_byte_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, talk: Talk, timeout: float | None
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE_SECONDS", 0.3)
    began = time.monotonic()
    with talking(talk, timeout) as made, pytest.raises(UnavailableError, match="takes too long"):
        made.get("/apis")
    assert time.monotonic() - began < 20


def test_s8_an_answer_without_an_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 1 << 20)
    with talking(floods) as made, pytest.raises(UnavailableError, match="does not end"):
        made.get("/apis")


def test_s8_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENT_SECONDS", 0.2)
    with talking(says_nothing) as made, pytest.raises(UnavailableError, match=r"no answer .* within 0\.2 s"):
        made.get("/apis")
    with talking(says_nothing) as made, pytest.raises(ExpiredError, match="no data for"):
        next(made.watch("/apis", {}))


@pytest.mark.parametrize("length", [b"Content-Length: 99", b"Transfer-Encoding: chunked"])
def test_what_is_cut_off_is_no_answer(length: bytes) -> None:
    part = b'{"items": []}' if b"99" in length else b'5\r\n{"ite'

    def cut(send: Send) -> None:
        send(OK + length + b"\r\n\r\n" + part)

    with talking(cut) as made, pytest.raises(UnavailableError, match="IncompleteRead"):
        made.get("/apis")


def test_a_length_that_is_too_small_is_no_answer() -> None:
    with talking(lambda send: send(OK + b'Content-Length: 5\r\n\r\n{"items": []}')) as made:
        for _ in range(2):
            with pytest.raises(UnavailableError, match="does not come from an API server"):
                made.get("/apis")


def test_s8_half_an_event_has_all_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "EVENT_SECONDS", 0.3)

    def half(send: Send) -> None:
        send(CHUNKED + b'9\r\n{"type": \r\n')
        while True:
            send(b"1\r\n \r\n")
            time.sleep(0.02)

    with talking(half) as made, pytest.raises(ExpiredError, match="does not end"):
        next(made.watch("/apis", {}))


def test_events_are_events_however_they_are_cut() -> None:
    told = [{"type": "ADDED", "object": {"metadata": {"name": f"u{n}"}}} for n in range(3)]
    text = b"\n".join(json.dumps(each).encode() for each in told)

    def bytewise(send: Send) -> None:
        send(CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in text) + b"0\r\n\r\n")

    with talking(bytewise) as made:
        assert list(made.watch("/apis", {})) == told


def nested(levels: int, items: int) -> bytes:
    """A list with one resource whose status is nested."""
    item = {"metadata": {"name": "u", "namespace": "ns", "resourceVersion": "1"}}
    listed = json.dumps({"metadata": {"resourceVersion": "7"}, "items": [item] * items, "odd": {}})
    status = '{"log":[' * levels + "1" + "]}" * levels
    odd = '{"metadata": {"name": "odd"}, "status": ' + status + "}"
    return listed.replace("{}", odd).encode()


@pytest.mark.parametrize("levels", [40, 300, 480, 2000, 9000])
@pytest.mark.parametrize("items", [1, 3000])
def test_s2_what_is_nested_without_end_hides_no_other(levels: int, items: int) -> None:
    body = nested(levels, items)
    head = OK + b"Content-Length: %d\r\n\r\n" % len(body)
    with talking(lambda send: send(head + body)) as made:
        found = made.get("/apis")
        assert len(found["items"]) == items
        assert Upload(found["odd"]).name == "odd"


def test_the_error_of_the_first_list_is_told_to_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PATIENCE_SECONDS", 0.2)
    with talking(drips) as made:
        feed = Reflector(made, "/apis", {})
        with pytest.raises(PluginError, match="takes too long"):
            feed.get(30)
        feed.stop()
