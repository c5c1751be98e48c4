"""The stand-in as a process: started, probed and stopped as the charts of ocis and OpenCloud do it.

Command lines, variables and probes are those that the charts render for their Deployment `postprocessing`.
"""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.error import HTTPError

import pytest

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.service import Service, StartError
from e2e.operator_process import plain_environment
from e2e.paths import REPO

SCRIPT = REPO / "operator" / "stand-in"
PROMPT_SECONDS = 15.0
"""A container is killed 30 seconds after it was asked to end."""

ANYWHERE = "0.0.0.0"  # noqa: S104 -- what the charts set

COMMON = {
    "POSTPROCESSING_LOG_COLOR": "false",
    "POSTPROCESSING_LOG_LEVEL": "info",
    "POSTPROCESSING_LOG_PRETTY": "false",
    "POSTPROCESSING_DEBUG_PPROF": "false",
    "POSTPROCESSING_WORKERS": "3",
    "MICRO_REGISTRY": "nats-js-kv",
}
EXTERNAL_NATS = {
    "EVENTS_CLUSTER": "ocis-cluster",
    "EVENTS_ENABLE_TLS": "true",
    "EVENTS_TLS_INSECURE": "false",
    "EVENTS_TLS_ROOT_CA_CERTIFICATE": "/etc/ocis/messaging-system-ca/messaging-system-ca.crt",
}


def settings(prefix: str, nats: str, **more: str) -> dict[str, str]:
    """The variables of a chart; `prefix` is that of its product."""
    store = {f"{prefix}_PERSISTENT_STORE": "nats-js-kv", f"{prefix}_PERSISTENT_STORE_NODES": nats}
    return {**COMMON, "MICRO_REGISTRY_ADDRESS": nats, f"{prefix}_EVENTS_ENDPOINT": nats, **store, **more}


class StandIn(Service):
    """A container's process with our image in the place of the service's."""

    start_timeout = 30.0

    def __init__(self, instance: Instance, program: str, environment: Mapping[str, str], host: str) -> None:
        super().__init__(instance, program)
        self._environment, self._host = environment, host
        self.binary = instance.folder / "bin" / program
        self.binary.parent.mkdir(exist_ok=True)
        lines = SCRIPT.read_text().splitlines(keepends=True)
        assert lines[0] == "#!/opt/uploadpp/bin/python -P\n"
        self.binary.write_text("".join([f"#!{sys.executable} -P\n", *lines[1:]]))
        self.binary.chmod(0o755)

    def argv(self) -> list[str]:
        return [str(self.binary), "postprocessing", "server"]

    def environment(self) -> Mapping[str, str]:
        address = f"{self._host}:{self.port()}"
        return {**plain_environment(), **self._environment, "POSTPROCESSING_DEBUG_ADDR": address}

    def ready(self) -> bool:
        return get(self.url("/healthz")) == "OK\n"

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port()}{path}"


@pytest.fixture
def nats_address() -> Iterator[socket.socket]:
    """Where the service's NATS would be; whoever connects to it stays in the queue."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)  # noqa: FBT003 -- its only argument
        yield listening


def nobody_came(listening: socket.socket) -> bool:
    """Whether nothing has connected."""
    try:
        listening.accept()
    except BlockingIOError:
        return True
    return False


@pytest.mark.parametrize(
    ("program", "prefix", "more"),
    [
        ("ocis", "OCIS", {}),
        ("ocis", "OCIS", {"POSTPROCESSING_STEPS": "virusscan"}),
        ("ocis", "OCIS", {f"OCIS_{name}": value for name, value in EXTERNAL_NATS.items()}),
        ("opencloud", "OC", {}),
        # What the legacy service would have refused or ignored does not keep the Pod from starting.
        ("opencloud", "OC", {"POSTPROCESSING_LOG_LEVEL": "loud", "POSTPROCESSING_WORKERS": "many"}),
    ],
    ids=["ocis", "ocis-virusscan", "ocis-external-nats", "opencloud", "opencloud-odd-values"],
)
def test_the_charts_deployment_starts_answers_its_probes_and_ends(
    instance: Instance, nats_address: socket.socket, program: str, prefix: str, more: dict[str, str]
) -> None:
    nats = f"127.0.0.1:{nats_address.getsockname()[1]}"
    stand_in = StandIn(instance, program, settings(prefix, nats, **more), ANYWHERE)
    stand_in.start()
    assert get(stand_in.url("/readyz")) == "OK\n"
    assert "uploadpp_stand_in_info{" in get(stand_in.url("/metrics"))
    assert nobody_came(nats_address)
    asked = time.monotonic()
    stand_in.stop()
    assert time.monotonic() - asked < PROMPT_SECONDS
    assert nobody_came(nats_address)
    assert "drive" in stand_in.log_tail()
    assert "Traceback" not in stand_in.log_tail()


def test_metrics_ask_for_the_token_of_the_chart(instance: Instance) -> None:
    more = {"POSTPROCESSING_DEBUG_TOKEN": "secret\n"}
    stand_in = StandIn(instance, "ocis", settings("OCIS", "nats:9233", **more), "")
    stand_in.start()
    with pytest.raises(HTTPError, match="401"):
        get(stand_in.url("/metrics"))
    assert get(stand_in.url("/metrics"), token="secret").startswith("# HELP")


def test_it_ends_when_it_is_told_to_while_it_starts(instance: Instance) -> None:
    stand_in = StandIn(instance, "ocis", {}, "127.0.0.1")
    for _ in range(5):
        stand_in.launch()
        asked = time.monotonic()
        stand_in.stop()
        assert time.monotonic() - asked < PROMPT_SECONDS


def test_an_address_that_is_taken_is_named(instance: Instance, nats_address: socket.socket) -> None:
    instance.save("ports/ocis", {"port": nats_address.getsockname()[1]})
    stand_in = StandIn(instance, "ocis", {}, "127.0.0.1")
    with pytest.raises(StartError, match=r"POSTPROCESSING_DEBUG_ADDR=\S+ [Aa]ddress already in use"):
        stand_in.start()


def test_it_opens_no_file_for_writing_but_its_log(instance: Instance, tmp_path: Path) -> None:
    """The root file system is read-only there, and the user has no home."""
    stand_in = StandIn(instance, "ocis", {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}, "127.0.0.1")
    stand_in.start()
    process = stand_in.process
    assert process is not None
    written = {path for path in written_files(process.pid) if path.startswith("/")}
    assert written <= {str(stand_in.log), os.devnull}
    assert str(stand_in.log) in written
    assert list(tmp_path.iterdir()) == []


def written_files(pid: int) -> set[str]:
    """The files, sockets and pipes that a process has open for writing.

    The process goes on meanwhile. A descriptor that it closes after the listing is left out, such as that of
    an answered probe.
    """
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            told = (link.parents[1] / "fdinfo" / link.name).read_text()
            if int(told.split("flags:")[1].split()[0], 8) & (os.O_WRONLY | os.O_RDWR):
                found.add(str(link.readlink()))
    return found
