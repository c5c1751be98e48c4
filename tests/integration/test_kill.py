"""The operator is killed with -9 at many moments, and nothing about the result changes."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nats as nats_client
import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.waiting import wait_until
from e2e.demo.sessions import Place
from e2e.demo.steps.policies import check
from e2e.demo.steps.scanners import eicar
from e2e.demo.steps.service import serving
from e2e.demo.storage import Storage
from e2e.demo.wire import Event, read_all
from e2e.operator_process import Operator, OperatorOptions
from e2e.paths import REPO
from tests.stepbench import StepProcess

KILLS = 12
ROUNDS = 6
SEED = int(os.environ.get("KILL_SEED", "7"))
SPAN = 45.0
"""So many seconds pass between the first upload and the last."""
PATIENCE = 90.0
MAX_RETRIES = 3
USER = {"id": {"opaque_id": "u-1", "type": 1}, "username": "mary"}
SETTINGS = {
    "POSTPROCESSING_DELAY": "1s",
    "POSTPROCESSING_RETRY_BACKOFF_DURATION": "300ms",
    "POSTPROCESSING_MAX_RETRIES": str(MAX_RETRIES),
    "UPLOADPP_LEASE_DURATION": "2s",
}


@dataclass(frozen=True)
class Kind:
    """A kind of upload, and how each one of it must end, whatever happens to the operator."""

    name: str
    extension: str
    content: bytes
    starts: dict[str, int]
    verdict: str
    place: Place
    status: str
    failing_scans: int = 0


KINDS = (
    Kind(
        "ok",
        ".pdf",
        b"clean",
        {"policies": 1, "virusscan": 1, "delay": 1},
        "continue",
        Place.RELEASED,
        "Completed",
    ),
    Kind(
        "infected",
        ".com",
        eicar(),
        {"policies": 1, "virusscan": 1},
        "delete",
        Place.GONE,
        "Deleted",
    ),
    Kind("refused", ".exe", b"MZ", {"policies": 1}, "delete", Place.GONE, "Deleted"),
    Kind(
        "flaky",
        ".jpg",
        b"clean",
        {"policies": 1, "virusscan": 3, "delay": 1},
        "continue",
        Place.RELEASED,
        "Completed",
        failing_scans=2,
    ),
    # Its bytes are what a second PostprocessingFinished(abort) would destroy.
    Kind(
        "hopeless",
        ".zip",
        b"clean",
        {"policies": 1, "virusscan": MAX_RETRIES + 1},
        "abort",
        Place.UPLOADS,
        "RetriesExhausted",
        failing_scans=MAX_RETRIES + 1,
    ),
)
UPLOADS = [(f"{kind.name}-{number}", kind) for number in range(ROUNDS) for kind in KINDS]


@dataclass(frozen=True)
class Result:
    """What became of an upload, read from the stream, the disk and the API server."""

    starts: dict[str, int]
    attempts: int
    verdicts: list[str]
    actions: list[str]
    place: Place
    status: str


EXPECTED_ACTION = {"continue": "released", "delete": "removed", "abort": "aborted, bytes kept"}


def expected(kind: Kind) -> Result:
    return Result(
        starts=kind.starts,
        attempts=sum(kind.starts.values()),
        verdicts=[kind.verdict],
        actions=[EXPECTED_ACTION[kind.verdict]],
        place=kind.place,
        status=kind.status,
    )


def file_name(name: str, kind: Kind) -> str:
    """The file name of an upload; each has its own, because faults of the scanner go by it."""
    return name + kind.extension


async def upload_all(storage: Storage, span: float) -> None:
    for name, kind in UPLOADS:
        await storage.upload(file_name(name, kind), kind.content, user=USER, upload_id=name)
        await asyncio.sleep(span / len(UPLOADS))


async def kill_often(operator: Operator, storage: Storage, chance: random.Random) -> int:
    """Kill it at random moments, in turn while it works and while it starts; say how many lives worked."""
    working_lives = 0
    for life in range(KILLS):
        before = len(starts(await read_all(storage.js)))
        if life % 2:
            await asyncio.to_thread(operator.launch)
            await asyncio.sleep(chance.uniform(0.3, 4))
        else:
            await asyncio.to_thread(operator.start)
            await asyncio.to_thread(wait_until, lambda: owns_its_shard(operator), PATIENCE)
            await asyncio.sleep(chance.uniform(0, 2.5))
        await asyncio.to_thread(operator.kill)
        working_lives += len(starts(await read_all(storage.js))) > before
    await asyncio.to_thread(operator.start)
    return working_lives


def owns_its_shard(operator: Operator) -> bool:
    """Being ready is not enough: so is who waits for the lease of a dead one."""
    return 'uploadpp_shard_owned{shard="0"} 1.0' in operator.metrics()


def starts(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.type == "StartPostprocessingStep"]


def statuses(kubectl: Kubectl) -> dict[str, str]:
    """The reason of Succeeded of every resource that has ended."""
    return {
        item["metadata"]["name"]: conditions["Succeeded"]["reason"]
        for item in kubectl.json("get", "uploadpostprocessings")["items"]
        if (conditions := {c["type"]: c for c in item.get("status", {}).get("conditions", [])})
        and conditions["Finished"]["status"] == "True"
    }


async def all_ended(kubectl: Kubectl) -> dict[str, str]:
    """Wait until every upload has ended; those that have not within the time are missing."""
    deadline = time.monotonic() + PATIENCE
    while len(ended := await asyncio.to_thread(statuses, kubectl)) < len(UPLOADS):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    return ended


async def run_uploads(
    operator: Operator, storage: Storage, kubectl: Kubectl, *, kill: bool
) -> dict[str, Result]:
    """Send all uploads and say what became of each, with the operator killed meanwhile or not."""
    chance = random.Random(SEED)  # noqa: S311  # repeatable, not secret
    async with serving(storage.nats_url, "policies", check):
        uploading = asyncio.create_task(upload_all(storage, SPAN if kill else 1.0))
        if kill:
            working_lives = await kill_often(operator, storage, chance)
            assert working_lives > KILLS / 3, "the kills came too early to disturb any work"
        else:
            await asyncio.to_thread(operator.start)
        await uploading
        ended = await all_ended(kubectl)
        await asyncio.sleep(2)  # whatever is sent twice has arrived by then
        events = await read_all(storage.js)
    return {name: result(name, events, storage, ended.get(name, "not ended")) for name, _ in UPLOADS}


def result(upload: str, events: Sequence[Event], storage: Storage, status: str) -> Result:
    own = [event for event in events if event.upload_id == upload]
    return Result(
        starts=dict(Counter(event.payload["StepToStart"] for event in starts(own))),
        attempts=len({event.id for event in starts(own)}),
        verdicts=[event.payload["Outcome"] for event in own if event.type == "PostprocessingFinished"],
        actions=storage.actions(upload),
        place=storage.sessions.place(upload),
        status=status,
    )


@pytest.fixture
def scanner(instance: Instance, nats: NatsServer) -> StepProcess:
    """A step of the kit, not started yet. It takes its time, so that kills meet running steps."""
    faults = [f"--fault={file_name(name, kind)}:{kind.failing_scans}" for name, kind in UPLOADS]
    environment = {"PYTHONPATH": str(REPO), "STEP_PACE": "0.2"}
    argv = ["-m", "e2e.demo.steps.virusscan", *faults]
    return StepProcess(instance, nats, argv, name="virusscan", environment=environment)


async def make_stream(nats: NatsServer) -> None:
    """A stream that forgets message ids at once: exactly once must not be the server's merit."""
    client = await nats_client.connect(nats.url)
    await client.jetstream().add_stream(name="main-queue", duplicate_window=0.1)
    await client.close()


@pytest.fixture
def operator(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, tmp_path: Path
) -> Operator:
    """Not started yet. Its log outlives the test, next to the storage."""
    instance.logs = tmp_path
    steps = ("policies", "virusscan")
    return Operator(
        instance,
        OperatorOptions(cluster.kubeconfig, nats.address, namespace, steps=steps, environment=SETTINGS),
    )


@pytest.mark.parametrize("kill", [False, True])
async def test_kills_change_nothing(
    operator: Operator,
    scanner: StepProcess,
    nats: NatsServer,
    kubectl: Kubectl,
    tmp_path: Path,
    *,
    kill: bool,
) -> None:
    await make_stream(nats)
    await asyncio.to_thread(scanner.start)
    async with Storage(tmp_path, nats.url) as storage:
        found = await run_uploads(operator, storage, kubectl, kill=kill)
    wrong = {name: found[name] for name, kind in UPLOADS if found[name] != expected(kind)}
    assert wrong == {}, f"seed {SEED}:\n{operator.log_tail()}"
