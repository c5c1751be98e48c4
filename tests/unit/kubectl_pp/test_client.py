"""What may answer in the place of an API server, through a real socket."""

import json
import socketserver
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import cast

import pytest

from kubectl_pp import client as module
from kubectl_pp import selection
from kubectl_pp.client import Client, pause
from kubectl_pp.errors import PluginError, UnavailableError
from kubectl_pp.proxy import Proxy
from kubectl_pp.screen import Screen
from kubectl_pp.verbs.logs import pretty

Answer = tuple[int, bytes, dict[str, str]]
EMPTY: Answer = (200, b'{"metadata": {}, "items": []}', {})


class _Socket:
    def __init__(self, path: str) -> None:
        self._path = path

    def socket(self) -> str:
        return self._path


ASKED: list[str] = []
"""The targets of the requests to the last server."""


@contextmanager
def answering(*answers: Answer) -> Iterator[Client]:
    """A server that gives these answers, one after the other."""
    left = list(answers)
    ASKED.clear()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            ASKED.append(self.path)
            status, body, headers = left.pop(0)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        def address_string(self) -> str:
            return ""

    serve = socketserver.ThreadingUnixStreamServer
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, serve(f"{folder}/s", Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Client(cast("Proxy", _Socket(f"{folder}/s")), 10)
        try:
            yield client
        finally:
            if (connection := getattr(client._local, "connection", None)) is not None:
                connection.close()
            server.shutdown()


@pytest.mark.parametrize(
    "body",
    [b"<html>log in</html>", b"", b"null", b"[]", b"{}", b"[" * 100_000, b"1" * 5_000, b"\xff"],
    ids=range(8),
)
def test_what_is_not_from_an_api_server_is_said(body: bytes) -> None:
    said = pytest.raises(UnavailableError, match="does not come from an API server")
    with answering((200, body, {})) as client, said:
        client.get("/apis")


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b"[]"], ids=range(3))
def test_an_error_of_another_server_is_an_error(body: bytes) -> None:
    with answering((500, body, {})) as client, pytest.raises(PluginError):
        client.get("/apis")


@pytest.mark.parametrize(
    "asked", ["3600", "9" * 5_000, "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "nan", "inf", ""]
)
def test_nobody_waits_longer_than_makes_sense(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with answering((429, b"", {"Retry-After": asked}), EMPTY) as client:
        assert client.get("/apis")["items"] == []
    assert all(0 <= each <= module.MAX_PAUSE_SECONDS for each in waits)


def test_a_value_is_one_condition_whatever_is_in_it() -> None:
    options = Namespace(step="a,metadata.name=b\\", user_id="x=y")
    expected = "status.currentStep=a\\,metadata.name\\=b\\\\,spec.upload.userID=x\\=y"
    assert selection.params(options) == {"fieldSelector": expected}


def test_a_line_of_a_log_ends_in_no_error() -> None:
    line = "[" * 100_000
    assert pretty(line, Screen("never")).startswith("[[[")


EXPIRED: Answer = (410, b'{"kind": "Status", "reason": "Expired", "message": "too old"}', {})


def page(names: str, token: str = "") -> Answer:
    """A page of a list."""
    items = [{"metadata": {"name": name}} for name in names]
    return 200, json.dumps({"metadata": {"continue": token}, "items": items}).encode(), {}


def test_a_list_that_goes_out_of_date_between_two_pages_begins_anew_and_is_read_at_once_in_the_end() -> None:
    first = page("ab", "next")
    with answering(first, EXPIRED, first, EXPIRED, page("abcd")) as client:
        assert "".join(each["metadata"]["name"] for each in client.items("/x", {})) == "abcd"
    assert "limit=500" in ASKED[0]
    assert "continue=next" in ASKED[3]
    assert ASKED[4] == "/x"


def test_an_older_crd_that_lets_nothing_select_costs_one_more_request() -> None:
    lacking = json.dumps({"message": "field label not supported: status.outcome", "reason": "BadRequest"})
    everything = json.dumps(
        {
            "metadata": {},
            "items": [{"status": {"outcome": word}} for word in ("delete", "continue", "delete")],
        }
    )
    selected = {"fieldSelector": "status.outcome=delete"}
    with answering((400, lacking.encode(), {}), *[(200, everything.encode(), {})] * 2) as client:
        assert len(client.items("/x", selected)) == len(client.items("/x", selected)) == 2
    assert ["fieldSelector" in each for each in ASKED] == [True, False, False]


def test_a_field_that_nobody_can_select_by_is_an_error_as_in_kubectl() -> None:
    lacking = json.dumps({"message": "field label not supported: spec.nonsense", "reason": "BadRequest"})
    with (
        answering((400, lacking.encode(), {})) as client,
        pytest.raises(PluginError, match=r"spec\.nonsense"),
    ):
        client.items("/x", {"fieldSelector": "spec.nonsense=1"})


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("1", 1.0),
        ("3600", 5.0),
        ("9" * 5000, 5.0),
        ("-1", 0.2),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.2),
        (None, 0.2),
    ],
)
def test_no_server_makes_us_wait_for_long(asked: str | None, seconds: float) -> None:
    assert pause(asked, 1) == seconds
