"""Strangers who connect to a running operator by the thousand: it is found alive, and uploads go on (S6d)."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic

from e2e.cluster.instance import Instance
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, start_working

PROBE_SECONDS = 5.0
"""As the chart has it."""
MOST_DESCRIPTORS = 140
STRANGERS = """
import socket, sys, time
port, said = int(sys.argv[1]), sys.argv[2].encode().decode("unicode_escape").encode()
while True:
    held = []
    for number in range(1000):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        try:
            sock.send(said)
            if number % 4 == 0:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        held.append(sock)
    time.sleep(0.3)
"""
SAID = {
    "a byte": "G",
    "a line": r"GET /metrics HTTP/1.1\r\nX: x",
    "a request": r"GET /metrics HTTP/1.1\r\n\r\n",
}


@contextmanager
def strangers(port: int, said: str) -> Iterator[None]:
    """A process that opens a thousand connections at once, again and again."""
    process = subprocess.Popen([sys.executable, "-c", STRANGERS, str(port), said])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def descriptors(pid: int | None) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def probe(port: int) -> int:
    """What the kubelet does."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


async def test_s6_an_operator_with_thousands_of_connections_is_found_alive_and_works(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str
) -> None:
    operator = Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("policies",)))
    await start_working(operator)
    pid, probes, failed = operator.pid, 0, []
    async with Driver(nats.url) as driver:
        for name, said in SAID.items():
            with strangers(operator.port(), said):
                await asyncio.sleep(0.5)
                uploads = [f"{name.replace(' ', '-')}-{number}" for number in range(20)]
                await driver.upload(*uploads)
                began = monotonic()
                while monotonic() - began < 3 or not driver.released.issuperset(uploads):
                    assert monotonic() - began < 60, f"uploads do not end while strangers say {name}"
                    probes += 1
                    try:
                        assert await asyncio.to_thread(probe, operator.port()) == 200
                    except OSError as error:
                        failed.append(f"{name}: {error}")
                    await asyncio.sleep(0.2)
                assert descriptors(pid) < MOST_DESCRIPTORS
    assert operator.pid == pid
    assert len(failed) * 10 <= probes, failed  # the kubelet forgives one; a busy machine may need it
    log = operator.log.read_text()
    assert "Traceback" not in log
    await asyncio.to_thread(operator.stop)
