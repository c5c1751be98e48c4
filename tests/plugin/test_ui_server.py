"""Who may ask the server of `kubectl pp ui`, and what anybody else gets."""

import json
import socket
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode

import pytest

from kubectl_pp.ui.answers import Answers
from kubectl_pp.ui.commands import Commands
from kubectl_pp.ui.demo import Demo
from kubectl_pp.ui.fiction import HOSTILE
from kubectl_pp.ui.server import FILES, HEADERS, STRANGERS, STREAMS, Server
from tests.plugin.test_foreign_text import FORBIDDEN


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """With made-up uploads that stand still."""
    demo = Demo(40, moving=False)
    demo.start()
    made = Server(Answers(demo, Commands(Namespace(), "ocis"), {"demo": True, "namespace": "ocis"}))
    threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def ask(
    server: Server, path: str, method: str = "GET", /, body: bytes | None = None, **headers: str
) -> tuple[HTTPResponse, bytes]:
    """One request with the token, unless the path begins with a slash."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        target = path if path.startswith("/") else f"/{server.token}/{path}"
        connection.request(
            method, target, body, {key.replace("_", "-"): value for key, value in headers.items()}
        )
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def raw(server: Server, text: str) -> bytes:
    """What comes back for these very bytes."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as line:
        line.sendall(text.replace("\n", "\r\n").encode())
        found = b""
        while chunk := line.recv(65536):
            found += chunk
    return found


@pytest.mark.parametrize("name", FILES)
def test_the_page_is_served(server: Server, name: str) -> None:
    answer, content = ask(server, name)
    assert answer.status == 200
    assert len(content) > 100
    head, nothing = ask(server, name, "HEAD")
    assert (head.status, nothing) == (200, b"")
    assert head.headers["Content-Length"] == str(len(content))


def test_it_listens_on_loopback_only(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 32


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("", "GET"),
        ("live", "HEAD"),
        ("upload?open=ocis/none", "GET"),
        ("none", "GET"),
        ("/", "GET"),
        ("/wrong/app.js", "GET"),
        ("app.js", "POST"),
    ],
)
def test_every_answer_has_all_headers(server: Server, path: str, method: str) -> None:
    answer, _ = ask(server, path, method)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "Access-Control-Allow-Origin" not in answer.headers
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("path", ["", "live", "app.js", "upload?open=ocis/x", "none"])
@pytest.mark.parametrize("token", ["", "x", "é", "TOKEN ", "T" * 32, "..", "%00"])
def test_without_the_token_everything_is_missing(server: Server, path: str, token: str) -> None:
    wrong = token.replace("TOKEN", server.token[:-1])
    found = raw(
        server, f"GET /{wrong}/{path} HTTP/1.1\nHost: 127.0.0.1:{server.server_port}\nConnection: close\n\n"
    )
    assert found.split(b" ", 2)[1] in {b"404", b"400"}
    assert b"uploads" not in found.lower()


@pytest.mark.parametrize("target", ["http://[/TOKEN/", "http://[::1/TOKEN/", "//[/TOKEN/", "http://]/"])
def test_what_is_not_an_address_gets_an_answer(server: Server, target: str) -> None:
    asked = target.replace("TOKEN", server.token)
    found = raw(server, f"GET {asked} HTTP/1.1\nHost: 127.0.0.1:{server.server_port}\nConnection: close\n\n")
    assert found.split(b" ", 2)[1] in {b"404", b"400"}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:PORT",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:PORT",
        "127.0.0.1.nip.io:PORT",
        "0.0.0.0:PORT",
        "[::1]:PORT",
        "user@127.0.0.1:PORT",
        "",
    ],
)
def test_another_name_for_this_machine_is_refused(server: Server, host: str) -> None:
    """DNS rebinding: a page of another site is at a name that leads here."""
    for path in ("", "live", "upload?open=ocis/x", "app.js"):
        answer, content = ask(server, path, Host=host.replace("PORT", str(server.server_port)))
        assert answer.status == 421
        assert content == b"Misdirected Request\n"


def test_hosts_that_contradict_each_other_are_refused(server: Server) -> None:
    good = f"Host: 127.0.0.1:{server.server_port}"
    for lines in (f"{good}\nHost: evil.example", "Host: evil.example\n" + good, "X: y"):
        found = raw(server, f"GET /{server.token}/ HTTP/1.1\n{lines}\nConnection: close\n\n")
        assert b" 421 " in found.split(b"\r\n")[0]
    found = raw(server, f"GET http://evil.example/{server.token}/ HTTP/1.1\n{good}\nConnection: close\n\n")
    assert b" 404 " in found.split(b"\r\n")[0]
    answer, _ = ask(server, "", Host=f"localhost:{server.server_port}")
    assert answer.status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none such"])
@pytest.mark.parametrize("path", ["live", "upload?open=ocis/x", "app.js", "style.css", ""])
def test_requests_that_another_page_makes_are_refused(server: Server, site: str, path: str) -> None:
    answer, _ = ask(server, path, Sec_Fetch_Site=site, Sec_Fetch_Dest="script")
    assert answer.status == 403
    answer, _ = ask(server, path, Sec_Fetch_Site=site, Sec_Fetch_Dest="iframe")
    assert answer.status == 403


def test_a_person_may_follow_a_link_to_the_page_but_not_to_data(server: Server) -> None:
    def follow(path: str) -> tuple[HTTPResponse, bytes]:
        return ask(server, path, Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document")

    answer, content = follow("")
    assert answer.status == 200
    assert b"ocis" not in content, "the page itself holds no data"
    for path in ("live", "upload?open=ocis/x"):
        answer, _ = follow(path)
        assert answer.status == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:PORT", "http://localhost:1"]
)
def test_another_origin_is_refused(server: Server, origin: str) -> None:
    answer, _ = ask(server, "live", Origin=origin.replace("PORT", str(server.server_port)))
    assert answer.status == 403
    answer, _ = ask(server, "", "HEAD", Origin=f"http://127.0.0.1:{server.server_port}")
    assert answer.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_it_only_reads(server: Server, method: str) -> None:
    answer, content = ask(server, "live", method, body=b"x" * 100)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert content == b"this page is read-only\n"


def test_a_body_is_not_taken_for_the_next_request(server: Server) -> None:
    inner = f"GET /{server.token}/app.js HTTP/1.1\nHost: 127.0.0.1:{server.server_port}\n\n"
    head = f"GET /{server.token}/icon.svg HTTP/1.1\nHost: 127.0.0.1:{server.server_port}\n"
    found = raw(server, f"{head}Content-Length: {len(inner)}\n\n{inner}")
    assert found.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "path",
    [
        "../server.py",
        "..%2f..%2fserver.py",
        "page/app.js",
        "%2e%2e/",
        "app.js%00",
        "APP.JS",
        "index.html",
        "live/x",
        "//app.js",
    ],
)
def test_no_other_file_is_served(server: Server, path: str) -> None:
    answer, _ = ask(server, path)
    assert answer.status == 404


@pytest.mark.parametrize(
    "name", ["", "ocis", "ocis/", "/x", "ocis/../x", "ocis/x?watch=1", "ocis/%2e%2e", "o c/x", "OCIS/X"]
)
def test_what_is_not_a_name_reaches_no_cluster(server: Server, name: str) -> None:
    answer, content = ask(server, "upload?" + urlencode({"open": name}))
    assert answer.status == 404
    assert json.loads(content)["error"] == "no upload is given"


def test_only_what_the_page_shows_is_read_from_the_cluster(server: Server) -> None:
    answer, content = ask(server, "upload?open=kube-system/x")
    assert answer.status == 404
    assert json.loads(content)["error"] == "upload x is not among those shown"


def test_an_address_that_is_too_long_is_refused(server: Server) -> None:
    answer, _ = ask(server, "live?text=" + "x" * 5000)
    assert answer.status == 414
    answer, _ = ask(server, "upload?" + "&".join(f"a{n}=1" for n in range(50)))
    assert answer.status == 404


def test_pages_are_bounded_and_given_back(server: Server) -> None:
    lines = []
    for _ in range(STREAMS):
        line = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        line.request("GET", f"/{server.token}/live")
        answer = line.getresponse()
        assert answer.readline() == b"event: hello\n"
        lines.append((line, answer))
    answer, _ = ask(server, "live")
    assert answer.status == 503
    for line, opened in lines:
        opened.close()
        line.close()
    deadline = time.monotonic() + 10
    while ask(server, "live", "HEAD")[0].status == 503:  # although nothing is new, and nothing is written
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_s6_who_never_ends_a_request_makes_room(server: Server) -> None:
    slow = [
        socket.create_connection(("127.0.0.1", server.server_port), timeout=10) for _ in range(STRANGERS + 1)
    ]
    try:
        for line in slow[1:]:
            line.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert slow[0].recv(1) == b"", "well before its time is over"
        answer, _ = ask(server, "")
        assert answer.status == 200
    finally:
        for line in slow:
            line.close()


def test_names_that_attack_come_out_harmless(server: Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(
        "GET", f"/{server.token}/live?" + urlencode({"text": ".", "view": "all", "status": "Queued"})
    )
    answer = connection.getresponse()
    rows: list[list[str]] = []
    while not rows:
        line = answer.readline().decode()
        assert not FORBIDDEN.search(line), line
        if line == "event: rows\n":
            rows = json.loads(answer.readline().decode().removeprefix("data: "))
    connection.close()
    files = {row[3] for row in rows}
    assert HOSTILE[0] in files, "markup is text, and stays as it is"
    assert "invoice\\u202efdp.exe" in files
    for row in rows:
        _, content = ask(server, "upload?" + urlencode({"open": f"{row[1]}/{row[2]}"}))
        found = json.loads(content)
        assert not FORBIDDEN.search(content.decode().replace(found["yaml"], "")), content
        assert not FORBIDDEN.search(found["yaml"])
