"""Ports that were free a moment ago are still free when they are used."""

import socket
import subprocess
import sys

from e2e.cluster import ports
from e2e.paths import REPO

MANY = 20
PROCESS = f"""
from e2e.cluster.ports import free_port
print(*[free_port() for _ in range({MANY})], flush=True)
input()
"""


def test_two_processes_are_given_ports_of_their_own() -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS],
            cwd=REPO,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    found = [each.stdout.readline().split() if each.stdout else [] for each in both]
    for each in both:
        each.communicate("\n")
    assert [len(set(each)) for each in found] == [MANY, MANY]
    blocks = [{int(port) // ports._BLOCK for port in each} for each in found]
    assert [len(each) for each in blocks] == [1, 1]
    assert blocks[0].isdisjoint(blocks[1])


def test_a_port_is_not_given_again_soon_nor_while_it_is_used() -> None:
    assert len({ports.free_port() for _ in range(MANY)}) == MANY
    with socket.create_server(("127.0.0.1", ports.free_port())) as server:
        used = server.getsockname()[1]
        assert used not in {ports.free_port() for _ in range(ports._BLOCK)}
