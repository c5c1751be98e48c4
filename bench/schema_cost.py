"""What the shape of the resource costs: API server CPU and allocations per status write.

`python -m bench.schema_cost` starts a control plane of its own, installs one CRD per shape
and writes statuses to each in turn, so that noise hits all alike. See docs/adr/0002.
"""

import argparse
import http.client
import os
import random
import re
import ssl
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import orjson

from bench.shapes import SHAPES, Shape
from e2e.cluster.local import LocalCluster
from uploadpp.api.codec import ALL_SHOWN, to_resource, to_status
from uploadpp.api.crd import custom_resource_definition
from uploadpp.testing.builders import PASSED, after

WRITERS = 4
"""Enough to keep the server busy: an idle Go process spends what is left on collecting garbage early."""
OBJECTS = 5
"""Per writer and shape."""
TICK = os.sysconf("SC_CLK_TCK")
JSON_PATCH = "application/json-patch+json"

Json = dict[str, Any]


class Connection:
    """One kept-alive connection of the administrator."""

    def __init__(self, cluster: LocalCluster) -> None:
        context = ssl.create_default_context(cafile=str(cluster.apiserver.ca_file))
        self._connection = http.client.HTTPSConnection("127.0.0.1", cluster.apiserver.port(), context=context)
        self._headers = {"Authorization": f"Bearer {cluster.apiserver.token}"}

    def send(self, method: str, path: str, body: object, kind: str = "application/json") -> Json:
        """The decoded answer of a request that must succeed."""
        headers = {**self._headers, "Content-Type": kind}
        self._connection.request(method, path, orjson.dumps(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {content[:500]!r}")
        decoded: Json = orjson.loads(content)
        return decoded


@dataclass
class Subject:
    """A shape with some objects of it in the API server, and who writes to them."""

    shape: Shape
    connection: Connection
    path: str
    versions: dict[str, str]
    statuses: Iterator[Json]

    def write(self, count: int) -> None:
        """Write that many statuses, each a different one from the last of its object."""
        names = cycle(list(self.versions))
        for number in range(count):
            name = next(names)
            if number % OBJECTS == 0:
                status = next(self.statuses)
            patch = [
                {"op": "test", "path": "/metadata/resourceVersion", "value": self.versions[name]},
                {"op": "add", "path": "/status", "value": status},
            ]
            path = f"{self.path}/{name}/status?fieldManager=uploadpp&fieldValidation=Ignore"
            answer = self.connection.send("PATCH", path, patch, JSON_PATCH)
            self.versions[name] = answer["metadata"]["resourceVersion"]


def install(connections: list[Connection], shape: Shape) -> list[Subject]:
    """Make the CRD of a shape, and objects for each connection."""
    crd = deepcopy(custom_resource_definition())
    group = f"{shape.name}.bench.uploadpp.io"
    crd["metadata"]["name"] = f"{crd['spec']['names']['plural']}.{group}"
    crd["spec"]["group"] = group
    crd["spec"]["names"]["shortNames"] = []
    crd["spec"]["names"]["categories"] = []
    shape.change_crd(crd["spec"]["versions"][0])
    connections[0].send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    return [_subject(shape, group, writer, connection) for writer, connection in enumerate(connections)]


def _subject(shape: Shape, group: str, writer: int, connection: Connection) -> Subject:
    path = f"/apis/{group}/v1alpha1/namespaces/default/uploadpostprocessings"
    made = _resource(group)
    versions = {}
    for number in range(OBJECTS):
        made["metadata"]["name"] = f"upload-{writer}-{number}"
        versions[made["metadata"]["name"]] = _create(connection, path, made)
    statuses = cycle([shape.change_status(to_status(after(*PASSED[:n]))) for n in (1, 2, 3, 4)])
    return Subject(shape, connection, path, versions, statuses)


def _resource(group: str) -> Json:
    upload = after(PASSED[0])
    made = to_resource(upload, namespace="default", shown=ALL_SHOWN, sealed="g" * 1400)
    return {**made, "apiVersion": f"{group}/v1alpha1"}


def _create(connection: Connection, path: str, made: Json) -> str:
    deadline = time.monotonic() + 30
    while True:  # a new CRD is served after a moment
        try:
            version: str = connection.send("POST", f"{path}?fieldManager=uploadpp", made)["metadata"][
                "resourceVersion"
            ]
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return version


@dataclass(frozen=True)
class Spent:
    """What a process has used up; allocations hardly vary with what else the machine does."""

    cpu_ms: float
    allocations: float

    def per(self, earlier: "Spent", writes: int) -> "Spent":
        """What each of some writes cost since then."""
        return Spent(
            (self.cpu_ms - earlier.cpu_ms) / writes, (self.allocations - earlier.allocations) / writes
        )


def spent(cluster: LocalCluster) -> Spent:
    """What the API server has used so far."""
    process = cluster.apiserver.process
    assert process is not None  # noqa: S101  # it answers requests
    (allocations,) = re.findall(r"^go_memstats_mallocs_total (\S+)", cluster.metrics(), re.MULTILINE)
    return Spent(1000 * cpu_seconds(process.pid), float(allocations))


def cpu_seconds(pid: int) -> float:
    """The CPU time a process has used, garbage collection and all."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def measure(
    subjects: dict[str, list[Subject]], rounds: int, writes: int, now: Callable[[], Spent]
) -> dict[str, list[Spent]]:
    """What a write costs, for each shape one figure per round."""
    found: dict[str, list[Spent]] = {name: [] for name in subjects}
    with ThreadPoolExecutor(WRITERS) as pool:
        for number in range(rounds + 1):
            for name in random.sample(list(subjects), len(subjects)):
                before = now()
                list(pool.map(lambda subject: subject.write(writes // WRITERS), subjects[name]))
                if number:  # the first round warms up
                    found[name].append(now().per(before, writes))
    return found


def main() -> None:
    """Print the table of docs/adr/0002."""
    parser = argparse.ArgumentParser(prog="python -m bench.schema_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--writes", type=int, default=400, help="per shape and round")
    parser.add_argument("shapes", nargs="*", help=f"of {', '.join(shape.name for shape in SHAPES)}")
    arguments = parser.parse_args()
    shapes = [shape for shape in SHAPES if not arguments.shapes or shape.name in arguments.shapes]
    with LocalCluster() as cluster:
        connections = [Connection(cluster) for _ in range(WRITERS)]
        subjects = {shape.name: install(connections, shape) for shape in shapes}
        found = measure(subjects, arguments.rounds, arguments.writes, lambda: spent(cluster))
    base = _median(found[shapes[0].name])
    print("| shape | ms of CPU, median (least) | ratio | allocations | ratio | bytes of status |")
    print("|---|---|---|---|---|---|")
    for shape in shapes:
        middle, least = _median(found[shape.name]), min(each.cpu_ms for each in found[shape.name])
        size = len(orjson.dumps(shape.change_status(to_status(after(*PASSED)))))
        print(
            f"| {shape.title} | {middle.cpu_ms:.2f} ({least:.2f}) | {middle.cpu_ms / base.cpu_ms:.2f} "
            f"| {middle.allocations:.0f} | {middle.allocations / base.allocations:.2f} | {size} |"
        )


def _median(rounds: list[Spent]) -> Spent:
    return Spent(
        statistics.median(each.cpu_ms for each in rounds),
        statistics.median(each.allocations for each in rounds),
    )


if __name__ == "__main__":
    main()
