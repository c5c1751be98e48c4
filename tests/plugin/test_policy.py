"""`kubectl pp policy test` with a real operator, and what it says when there is no answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import samples
from tests.plugin.conftest import Golden, Plugin
from tests.plugin.resources import Json

POLICIES = """\
apiVersion: uploadpp.io/v1alpha1
kind: PostprocessingPolicy
metadata: {name: default}
spec:
  rules:
  - name: big-videos
    match: file.mimeType.startsWith("video/") && file.size > 1073741824
    steps: [{name: virusscan, timeoutSeconds: 3600, maxRetries: 1}]
  - name: trusted
    match: user.id == "backup"
    action: Skip
  - name: programs
    match: file.extension == "exe"
    action: Hold
---
apiVersion: uploadpp.io/v1alpha1
kind: PostprocessingPolicy
metadata: {name: trial}
spec:
  order: -1
  mode: DryRun
  rules:
  - name: big
    match: file.size > 1000
"""
WRONG = """\
apiVersion: uploadpp.io/v1alpha1
kind: PostprocessingPolicy
metadata: {name: default}
spec:
  rules:
  - name: typo
    match: file.siez > 1
"""


@pytest.fixture
def operator(
    cluster: LocalCluster, nats: NatsServer, instance: Instance, namespace: str, kubectl: Kubectl
) -> Iterator[Operator]:
    """An operator that knows some policies."""
    kubectl("apply", "--filename=-", stdin=POLICIES)
    settings = {"UPLOADPP_POLICIES": "enabled"}
    options = OperatorOptions(
        cluster.kubeconfig, nats.address, namespace, ("virusscan", "policies"), settings
    )
    process = Operator(instance, options)
    process.start()
    yield process
    process.stop()


def test_what_would_happen(pp: Plugin, operator: Operator, golden: Golden, tmp_path: Path) -> None:
    url = f"--metrics-url={operator.url}/metrics"

    def ask(*words: str) -> str:
        done = pp("policy", "test", url, *words)
        assert (done.code, done.err) == (0, "")
        return done.out

    golden("policy-run", ask("--filename", "film.mp4", "--size", "4Gi"))
    golden("policy-skip", ask("--filename=film.mp4", "--size=4M", "--user-id=backup"))
    golden("policy-hold", ask("--filename", "setup.exe", "--size", "900"))
    golden("policy-none", ask("--filename", "a.txt", "--size", "2k"))
    path = tmp_path / "policies.yaml"
    path.write_text(WRONG)
    golden("policy-wrong", ask("--filename", "a.txt", "-f", str(path)))
    said = json.loads(ask("--filename", "setup.exe", "-o", "json"))
    assert said["result"]["policy"]["rule"] == "programs"
    assert ask("--filename", "setup.exe", "-o", "yaml").startswith("file:\n")
    counted = samples(operator.metrics(), "uploadpp_policy_matches_total")
    assert len(counted) == 4
    assert set(counted.values()) == {0}


class Answer:
    """What stands in the place of an operator says."""

    def __init__(self) -> None:
        self.status, self.body, self.busy = 200, b"", 0
        self.asked: list[tuple[str, str, bytes]] = []


@contextmanager
def answering() -> Iterator[tuple[str, Answer]]:
    answer = Answer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            answer.asked.append((self.command, self.path, self.rfile.read(length)))
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815 -- the library's name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"--metrics-url=http://127.0.0.1:{server.server_port}/metrics", answer
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (404, b"policies are off\n", 1, "policies.enabled=true"),
        (409, b"the operator has not read the policies yet\n", 1, "kubectl pp doctor"),
        (400, b"size must be a number of bytes\n", 2, "size must be a number"),
        (200, b"<html>log in</html>", 1, "the operator answers 200"),
        (200, b'{"rules":1}', 1, "the operator answers 200"),
        (403, b'{"kind":"Status","message":"pods/proxy is forbidden"}', 5, "pods/proxy is forbidden"),
        (299, b"", 1, "the operator answers 299"),
    ],
)
def test_an_answer_that_is_none_is_an_error(
    pp: Plugin, status: int, body: bytes, code: int, words: str
) -> None:
    with answering() as (url, answer):
        answer.status, answer.body = status, body
        done = pp("policy", "test", url, "--filename=a")
    assert done.code == code
    assert words in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "has one command: test"),
        (("list",), "has one command: test"),
        (("test",), "--filename is needed"),
        (("test", "--filename=a", "--size=10MB"), "is not a size"),
        (("test", "--filename=a", "-f", "/nonexistent/p.yaml"), "cannot read /nonexistent/p.yaml"),
    ],
)
def test_a_wrong_command_line_is_said(pp: Plugin, words: tuple[str, ...], said: str) -> None:
    done = pp("policy", *words)
    assert done.code in {1, 2}
    assert said in done.err


def test_policies_of_a_file_are_sent_whatever_else_it_holds(pp: Plugin) -> None:
    other = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    answer_body: Json = {
        "file": {"filename": "a", "size": 0},
        "rules": [],
        "result": {"action": "Run", "steps": []},
        "policies": 0,
    }
    with answering() as (url, answer):
        answer.body = json.dumps(answer_body).encode()
        done = pp("policy", "test", url, "--filename=a b", "--space=s", "-f", "-", stdin=POLICIES + other)
    assert done.code == 0, done.err
    ((method, path, body),) = answer.asked
    assert (method, path) == ("POST", "/policies/test?filename=a+b&size=0&space=s")
    assert [each["metadata"]["name"] for each in json.loads(body)] == ["default", "trial"]
    assert "There are no policies: the configured steps run." in done.out


def test_a_file_without_policies_is_refused(pp: Plugin) -> None:
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    done = pp("policy", "test", "--filename=a", "-f", "-", stdin=other)
    assert (done.code, done.out) == (1, "")
    assert "there is no PostprocessingPolicy in -" in done.err
