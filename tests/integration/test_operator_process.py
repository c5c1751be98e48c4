"""The helper that runs the operator as a process, with a stand-in for the operator."""

import json
import sys
from pathlib import Path

import pytest

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.service import StartError
from e2e.operator_process import Operator, OperatorOptions

# Answers /readyz at its third request, everything else with its environment; says how it was stopped.
STAND_IN = """
import http.server, json, os, signal, sys
asked = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        self.send_response(503 if self.path == "/readyz" and asked < 3 else 200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())
    def log_message(self, *args):
        print(self.path, flush=True)
def stop(*args):
    print("stopped gracefully", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
host, port = os.environ["POSTPROCESSING_DEBUG_ADDR"].split(":")
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


class StandIn(Operator):
    """Anything that has the operator's settings and probes."""

    program = STAND_IN

    def argv(self) -> list[str]:
        return [sys.executable, "-c", self.program]


def options(tmp_path: Path, **environment: str) -> OperatorOptions:
    return OperatorOptions(tmp_path / "kubeconfig", "127.0.0.1:4222", "some", ("a", "b"), environment)


def test_settings_reach_the_operator_and_nothing_else_configures_it(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTPROCESSING_MAX_RETRIES", "99")
    operator = StandIn(instance, options(tmp_path, POSTPROCESSING_DELAY="3s"))
    operator.start()
    seen = json.loads(operator.metrics())
    assert seen["POSTPROCESSING_STEPS"] == "a,b"
    assert seen["POSTPROCESSING_DELAY"] == "3s"
    assert seen["OCIS_EVENTS_ENDPOINT"] == "127.0.0.1:4222"
    assert seen["UPLOADPP_NAMESPACE"] == "some"
    assert "POSTPROCESSING_MAX_RETRIES" not in seen
    key = Path(seen["UPLOADPP_SEALING_KEY_FILE"])
    assert key.stat().st_mode & 0o777 == 0o600


def test_start_waits_for_readiness_and_stop_is_graceful(instance: Instance, tmp_path: Path) -> None:
    operator = StandIn(instance, options(tmp_path))
    operator.start()
    assert operator.log.read_text().count("/readyz") == 3
    first, url = operator.pid, operator.url
    operator.stop()
    assert instance.processes() == {}
    assert operator.log.read_text().count("stopped gracefully") == 1
    operator.start()
    operator.restart(kill=True)
    assert operator.pid not in (None, first)
    assert operator.url == url
    assert get(f"{url}/livez")
    assert operator.log.read_text().count("stopped gracefully") == 1


def test_replicas_share_the_key_and_have_ports_of_their_own(instance: Instance, tmp_path: Path) -> None:
    one = StandIn(instance, options(tmp_path))
    two = StandIn(instance, options(tmp_path), name="operator-2")
    one.start()
    two.start()
    assert one.url != two.url
    assert one.sealing_key_file.read_bytes() == two.sealing_key_file.read_bytes()


def test_operator_that_fails_at_once_is_reported_with_its_log(instance: Instance, tmp_path: Path) -> None:
    operator = StandIn(instance, options(tmp_path))
    operator.program = "raise SystemExit('no steps')"
    with pytest.raises(StartError, match="no steps"):
        operator.start()
    assert instance.processes() == {}
