"""`logs`: real kubectl, real API server, and a stand-in for the kubelet that has the operator's lines."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from e2e.cluster.local import LocalCluster
from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at

LINES = [
    {
        "time": "2026-11-23 01:00:00,120",
        "level": "INFO",
        "logger": "x",
        "message": "starting",
        "version": "1",
    },
    {"time": "2026-11-23 01:00:01,120", "level": "WARNING", "message": "refused", "upload": "upload-one"},
    {"time": "2026-11-23 01:00:02,120", "level": "INFO", "message": "published", "upload": "upload-two"},
    {"time": "2026-11-23 01:00:03,120", "level": "ERROR", "message": "\x1b[2Joops", "upload": "upload-one"},
]


@pytest.fixture
def pod(cluster: LocalCluster, writer: Writer) -> Iterator[None]:
    """A Pod of the operator on a node whose kubelet is ours."""
    with kubelet(cluster, writer, LINES):
        yield


@contextmanager
def kubelet(cluster: LocalCluster, writer: Writer, lines: list[dict[str, Any]]) -> Iterator[None]:
    """The same, with these lines."""
    data = cluster.apiserver.data

    class Kubelet(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write("".join(json.dumps(line) + "\n" for line in lines).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Kubelet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(data / "server.crt", data / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    name = writer.namespace
    writer.request("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    address = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
    port = {"daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_address[1]}}}
    writer.request("PATCH", f"/api/v1/nodes/{name}/status", {"status": {**address, **port}})
    pods = f"/api/v1/namespaces/{name}/pods"
    labels = {"app.kubernetes.io/name": "upload-postprocessing"}
    spec = {"nodeName": name, "containers": [{"name": "operator", "image": "none"}]}
    writer.request("POST", pods, {"metadata": {"name": "operator", "labels": labels}, "spec": spec})
    writer.request("PATCH", f"{pods}/operator/status", {"status": {"phase": "Running"}})
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("pod")
def test_lines_about_an_upload(pp: Plugin, writer: Writer) -> None:
    writer.put(at("upload-one", ago_minutes=5))
    found = pp("logs", "upload-one")
    assert found.code == 0, found.err
    assert found.out.splitlines() == [
        "2026-11-23 01:00:01,120 WARNING refused  upload=upload-one",
        "2026-11-23 01:00:03,120 ERROR   \\x1b[2Joops  upload=upload-one",
    ]
    raw = pp("logs", "upload-one", "--raw")
    assert [json.loads(line) for line in raw.out.splitlines()] == [LINES[1], LINES[3]]
    assert len(pp("logs").out.splitlines()) == len(LINES)


def test_no_pod(pp: Plugin, writer: Writer) -> None:
    writer.put(at("upload-one", ago_minutes=5))
    found = pp("logs", "upload-one")
    assert found.code == 5
    assert "--operator-namespace" in found.err
