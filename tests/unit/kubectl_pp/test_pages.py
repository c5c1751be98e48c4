"""Metrics and pages of a Pod that somebody else has named, or that is somebody else's (S2, S3)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kubectl_pp import metrics, pages
from kubectl_pp.client import Client
from kubectl_pp.errors import PluginError, UnavailableError
from kubectl_pp.verbs.doctor import OURS


@pytest.mark.parametrize(
    "pod",
    [
        "../../../../api/v1/namespaces/other/secrets/x?",
        "x/../../secrets",
        "x:8080/proxy/delete?",
        "x%2fy",
        "x?y",
        "x#y",
        "",
        ".",
        "..",
        "-x",
        "X",
        "x\r\nHost: y",
        "x\x1b[2J",
        "x" * 300,
    ],
)
def test_s2_the_holder_of_a_lease_never_names_another_request(pod: str) -> None:
    class Unasked:
        def text(self, path: str) -> str:
            raise AssertionError(path)

        probe = text

    with pytest.raises(UnavailableError, match="not the name of a Pod") as raised:
        metrics.read(cast("Client", Unasked()), "ocis", f"{pod}_7f", None)
    assert str(raised.value).isprintable()
    assert [each.verdict for each in metrics.look(cast("Client", Unasked()), "ocis", f"{pod}_7f", None)]


def test_a_pod_is_asked() -> None:
    assert pages.path_of("ocis", "upload-7b.x", "metrics") == (
        "/api/v1/namespaces/ocis/pods/upload-7b.x:9255/proxy/metrics"
    )


SAMPLES = st.sampled_from(
    [
        "uploadpp_log_unread",
        "uploadpp_checkpoint_lag_uploads",
        "uploadpp_bad_messages_total",
        "uploadpp_build_info{",
        "uploadpp_build_info{version",
        'uploadpp_build_info{version="\x1b[2J"}',
        'uploadpp_step_listeners{step="\u202e$(id)"}',
        "uploadpp_step_listeners{",
        'uploadpp_step_slots{step="a"}',
        "# HELP",
    ]
)
VALUES = st.sampled_from(
    ["NaN", "+Inf", "-Inf", "1e308", "-1", "9" * 5000, "words", "", "\u0661", "0x10", "1_0"]
)


@given(
    st.lists(st.tuples(SAMPLES, VALUES), max_size=8).map(
        lambda all_: "\n".join(" ".join(each) for each in all_)
    )
)
@example("uploadpp_log_unread 1e308\nuploadpp_log_unread 1e308")
@example('uploadpp_step_listeners{step="x"} 0\n' * 5)
def test_s3_whatever_stands_in_metrics_is_judged(text: str) -> None:
    found = list(metrics.judge(metrics.parse(text)))
    assert all(each.text.isprintable() and len(each.text) < 10_000 for each in found)
    assert all(abs(value) <= metrics.MOST for value in metrics.by_step(text, "uploadpp_step_slots").values())


def test_s6_steps_by_the_thousand_are_not_all_told() -> None:
    text = "\n".join(f'uploadpp_step_listeners{{step="s{n}"}} 0' for n in range(5000))
    assert len(list(metrics.judge(metrics.parse(text)))) < 200


@pytest.mark.parametrize(
    "name", ["uploadpp-shard-x", "uploadpp-shard-64", "uploadpp-shard-007", "uploadpp-shard-0x"]
)
def test_s6_only_leases_that_an_operator_can_have_are_asked_about(name: str) -> None:
    assert OURS.fullmatch(name) is None
    assert all(OURS.fullmatch(f"uploadpp-shard-{n}") for n in range(64))


@contextmanager
def serving(answer: bytes, *, forever: bytes = b"") -> Iterator[str]:
    """A server that answers so, and then goes on with something for as long as it is listened to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                self.wfile.write(answer)
                while forever:
                    self.wfile.write(forever)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "forever"),
    [
        (OK + b"\r\n", b"x" * 65536),
        (OK + b"Content-Length: 99999999999\r\n\r\n", b"x" * 65536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nabcd\r\n" * 5000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b""),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nwho", b""),
        (OK, b"A: b\r\n" * 1000),
        (OK + b"A: ", b"x" * 65536),
        (b"nonsense\r\n\r\n", b""),
        (b"", b""),
        (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", b""),
    ],
    ids=range(10),
)
def test_s6_a_page_that_does_not_end_or_is_none_is_an_error(
    answer: bytes, forever: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_BYTES", 1 << 20)
    with serving(answer, forever=forever) as url:
        (found,) = metrics.look(cast("Client", None), "ocis", "", url)
        assert "cannot read" in found.text


def test_what_is_not_utf_8_is_read() -> None:
    with serving(OK + b"\r\n\xff\xfe 1\nuploadpp_log_unread 5\n") as url:
        text = metrics.read(cast("Client", None), "ocis", "", url)
    assert metrics.parse(text)["uploadpp_log_unread"] == 5


def test_a_trickle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SECONDS", -1)

    class Trickle:
        def read1(self, n: int) -> bytes:
            del n
            return b"x"

    with pytest.raises(PluginError, match="too large"):
        pages.read(cast("HTTPResponse", Trickle()))
