"""Whoever may publish on `uploadpp.>` sends as much as the server takes: uploads go on (S6)."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, start_working

FLOOD = """
import socket, sys, time
host, port, subject, body = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode(), sys.argv[4].encode()
body *= int(sys.argv[5])
sock = socket.create_connection((host, port))
sock.recv(65536)
sock.sendall(b'CONNECT {"verbose":false}\\r\\nPING\\r\\n')
many = (b"PUB %b %d\\r\\n%b\\r\\n" % (subject, len(body), body)) * max(1, 262144 // max(len(body), 16))
sock.setblocking(False)
left = b""
while True:
    try:
        left = left or many
        left = left[sock.send(left):]
    except BlockingIOError:
        pass
    try:
        if b"PING" in sock.recv(65536):
            sock.setblocking(True)
            sock.sendall(left + b"PONG\\r\\n")
            left = b""
            sock.setblocking(False)
    except BlockingIOError:
        pass
"""
LONGEST_SECONDS = 15.0
"""Before, it was forever. It takes a tenth of a second, and on a busy machine, of which the flood has a part,
some seconds."""
MOST_BYTES = 300 << 20


@contextmanager
def flood(nats: NatsServer, subject: str, body: str, times: int) -> Iterator[None]:
    host, _, port = nats.address.rpartition(":")
    arguments = [host, port, subject, body, str(times)]
    process = subprocess.Popen([sys.executable, "-c", FLOOD, *arguments])
    try:
        yield
        assert process.poll() is None, "the flood has ended by itself"
    finally:
        process.kill()
        process.wait()


def resident(pid: int | None) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize(
    ("body", "times"),
    [("", 0), ('{"replica":"x","owned":0,"free":0}', 1), ("x", 1_000_000)],
    ids=["nothing", "heartbeats", "megabytes"],
)
async def test_s6_a_flood_of_heartbeats_delays_no_upload(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, body: str, times: int
) -> None:
    operator = Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("policies",)))
    await start_working(operator)
    async with Driver(nats.url) as driver:
        await driver.upload("before")
        await driver.until_released("before")
        with flood(nats, f"uploadpp.{namespace}.stranger", body, times):
            await asyncio.sleep(2)
            for number in range(5):
                began = monotonic()
                await driver.upload(f"u{number}")
                await driver.until_released(f"u{number}", timeout=30)
                assert monotonic() - began < LONGEST_SECONDS
                await asyncio.sleep(0.5)
        assert resident(operator.pid) < MOST_BYTES
    await asyncio.to_thread(operator.stop)
