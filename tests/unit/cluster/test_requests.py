"""How requests of the tests get through to an API server that is just starting."""

import ssl
import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from e2e.cluster.certificates import write_certificates
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.requests import ApiRequests


class Starting(BaseHTTPRequestHandler):
    """Says twice that it is not ready, as while etcd's content is read."""

    times = 0

    def do_GET(self) -> None:
        type(self).times += 1
        status = 404 if self.path == "/missing" else 429 if self.times <= 2 else 200
        body = b"{}" if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiRequests]:
    monkeypatch.setattr(Starting, "times", 0)
    write_certificates(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with HTTPServer(("127.0.0.1", 0), Starting) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url, ca = f"https://127.0.0.1:{server.server_port}", (tmp_path / "ca.crt").read_bytes()
        write_kubeconfig(tmp_path / "kubeconfig", server=url, ca=ca, token="of nobody")
        yield ApiRequests(tmp_path / "kubeconfig")
        server.shutdown()
        thread.join()


def test_one_that_is_to_come_again_comes_again(requests: ApiRequests) -> None:
    assert requests.get("/api") == {}
    assert Starting.times == 3


def test_what_will_not_change_is_raised(requests: ApiRequests) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        requests.get("/missing")
    assert Starting.times == 1
