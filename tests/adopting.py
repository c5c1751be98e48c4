"""What the tests of adopting share: the world around an installation, and the installation itself."""

import asyncio
import base64
import contextlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import nats as nats_client
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, KeyValueConfig
from nats.js.errors import KeyNotFoundError

from e2e.cluster.kubectl import Kubectl
from e2e.demo.wire import STREAM, Event, decode, ensure_stream, go_json
from e2e.operator_process import Operator
from tests.driver import bytes_received, reasons
from tests.goservice import BUCKET, GoService, key_of
from uploadpp.migration.adopt import AdoptOptions
from uploadpp.migration.cli import adopt, release
from uploadpp.migration.release import ReleaseOptions
from uploadpp.migration.report import Exit, Report
from uploadpp.process.configuration import read_settings
from uploadpp.process.settings import Settings
from uploadpp.testing.events import new_message, step_finished, upload_ready

STEPS = ("virusscan", "delay", "policies")
SETTINGS = {
    "POSTPROCESSING_DELAY": "1s",
    "POSTPROCESSING_RETRY_BACKOFF_DURATION": "1s",
    "POSTPROCESSING_MAX_RETRIES": "3",
    "UPLOADPP_LEASE_DURATION": "2s",
    "UPLOADPP_RELEASE_BACKOFF": "1s",
    "UPLOADPP_TTL_COMPLETED": "10m",
    "UPLOADPP_STEP_SETTINGS": '{"virusscan":{"maxRetries":1,"onExhausted":"Hold"}}',
}
KINDS = (
    *("clean", "infected", "banned", "flaky", "hopeless", "slow", "unanswered", "unreleased"),
    *("condemned", "expired"),
)
"""`slow`, `unanswered` and `condemned`, which is aborted, are answered at the very end only. `unreleased` is
released at the second try. The URL of `expired` is too old when it comes to its last step."""
OURS = ("held", "suspended", "cancelled")
"""What only the operator knows: these are announced while it works."""
FIRST, PER_PERIOD, PER_KIND = 200, 40, 6
PATIENCE = 60.0
VERDICTS = {"infected": "delete"} | dict.fromkeys(("banned", "hopeless", "condemned", "cancelled"), "abort")
LATE = {
    *(("slow", "policies"), ("unanswered", "release"), ("condemned", "release")),
    *(("suspended", "virusscan"), ("cancelled", "virusscan"), ("cancelled", "release")),
}
RESTARTED_BY = {"id": {"opaque_id": "postprocessing-restart"}}


def kind_of(upload: str) -> str:
    return upload.split("-", maxsplit=1)[0]


def uploads(period: int, count: int, kinds: tuple[str, ...] = KINDS) -> list[str]:
    return [f"{kinds[index % len(kinds)]}-{period}-{index}" for index in range(count)]


def announcement(upload: str) -> bytes:
    """As the storage announces it for the first time; the token is nobody's."""
    if kind_of(upload) != "expired":
        return bytes_received(upload)
    soon = json.dumps({"exp": int(time.time()) + 1}).encode()
    token = f"e30.{base64.urlsafe_b64encode(soon).decode().rstrip('=')}.c2ln"
    return bytes_received(upload, URL=f"https://storage.test/data/{upload}/{token}")


@dataclass
class World:
    """The storage and the step services. They answer once for each event id, some only at the end."""

    url: str
    patient: bool = True
    """While set, slow steps and the storage of some uploads do not answer."""
    renews: bool = False
    """Until then the storage gives no fresh URL to anybody."""
    kept: list[Event] = field(default_factory=list)
    asked: dict[str, Event] = field(default_factory=dict)
    renewals: int = 0
    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    last: dict[str, bool] = field(default_factory=dict)
    """What the storage has said of an upload last: whether it failed."""
    client: Client | None = None

    async def start(self) -> None:
        self.client = await nats_client.connect(self.url)
        await ensure_stream(self.js)
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.EXPLICIT)
        await self.js.subscribe(
            STREAM, stream=STREAM, durable="world", cb=self._take, manual_ack=True, config=config
        )

    async def stop(self) -> None:
        if self.client is not None:
            await self.client.close()

    @property
    def js(self) -> JetStreamContext:
        assert self.client is not None
        return self.client.jetstream()

    async def announce(self, names: list[str], seconds: float) -> None:
        for name in names:
            await self.js.publish(STREAM, announcement(name))
            await asyncio.sleep(seconds / len(names))

    async def answer_all(self) -> None:
        """From now on everybody answers, also to what was asked long ago."""
        self.patient = False
        kept, self.kept = self.kept, []
        for event in kept:
            await self._answer(event)

    async def answer_step_of(self, kind: str) -> None:
        """The first step has its answer for uploads of that kind."""
        mine = [each for each in self.kept if kind_of(each.upload_id) == kind]
        self.kept = [each for each in self.kept if each not in mine]
        for event in mine:
            await self._say_outcome(event, "virusscan", "continue")

    async def renew_all(self) -> None:
        """From now on the storage announces again what it is asked for, with a fresh URL."""
        self.renews = True
        asked, self.asked = self.asked, {}
        for event in asked.values():
            await self._renew(event)

    async def _renew(self, event: Event) -> None:
        if not self.renews:
            self.asked[event.upload_id] = event
            return
        self.renewals += 1
        url = f"https://storage.test/data/{event.upload_id}?fresh={self.renewals}"
        fresh = bytes_received(event.upload_id, URL=url, ExecutingUser=RESTARTED_BY)
        await self.js.publish(STREAM, fresh)

    async def _take(self, message: Any) -> None:  # noqa: ANN401 -- a message of NATS
        await message.ack()
        event = decode(message.data)
        if event is None:
            return
        if event.type in {"StartPostprocessingStep", "PostprocessingFinished"}:
            await self._answer(event)
        elif event.type == "RestartPostprocessing":
            await self._renew(event)

    async def _answer(self, event: Event) -> None:
        upload, kind = event.upload_id, kind_of(event.upload_id)
        starts = event.type == "StartPostprocessingStep"
        step = event.payload["StepToStart"] if starts else "release"
        if step == "delay":
            return
        if self.patient and (kind, step) in LATE:
            self.kept.append(event)
            return
        self.tries[upload, step] += 1
        if not starts:
            failed = event.payload["Outcome"] != "continue"
            failed = failed or (kind == "unreleased" and self.tries[upload, step] == 1)
            self.last[upload] = failed
            await self.js.publish(STREAM, new_message("UploadReady", upload_ready(upload, failed=failed)))
            return
        await self._say_outcome(event, step, self._word(upload, kind, step))

    async def _say_outcome(self, event: Event, step: str, word: str) -> None:
        answer = step_finished(event.upload_id, step, word)
        await self.js.publish(STREAM, new_message("PostprocessingStepFinished", answer))

    def _word(self, upload: str, kind: str, step: str) -> str:
        if step == "virusscan":
            wrong = {"infected": "delete", "held": "retry" if self.patient else "continue"}
            return wrong.get(kind, "continue")
        if kind in {"banned", "condemned"}:
            return "abort"
        if kind == "hopeless" or (kind == "flaky" and self.tries[upload, step] <= 2):
            return "retry"
        return "continue"


@dataclass
class Site:
    """All of one installation."""

    world: World
    operator: Operator
    kubectl: Kubectl
    service: GoService

    async def command(self, *arguments: str) -> tuple[int | None, str, str]:
        """Run one of the commands as its Job does; returns its exit status and what it has said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uploadpp", *arguments),
            env=self.operator.environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, said = await process.communicate()
        return process.returncode, out.decode(), said.decode()

    async def adopt(self, *, dry_run: bool = False, wait_seconds: float = PATIENCE) -> Report:
        """What `uploadpp adopt` does, in this process."""
        report = Report("adopt", dry_run=dry_run)
        await adopt(self.settings, AdoptOptions(dry_run=dry_run, wait_seconds=wait_seconds), report)
        assert report.exit is Exit.DONE, report.left
        return report

    async def release(self, *, dry_run: bool = False, wait_seconds: float = PATIENCE) -> Report:
        """What `uploadpp release` does, in this process."""
        report = Report("release", dry_run=dry_run)
        await release(self.settings, ReleaseOptions(dry_run=dry_run, wait_seconds=wait_seconds), report)
        assert report.exit is Exit.DONE, report.left
        return report

    @property
    def settings(self) -> Settings:
        """Those of the operator."""
        return read_settings({}, self.operator.environment())

    async def resources(self) -> dict[str, str]:
        """Upload to stage."""
        return reasons(await asyncio.to_thread(self.kubectl.json, "get", "upp"))

    async def snapshot(self) -> tuple[Any, ...]:
        """All that the commands may change."""
        found = await asyncio.to_thread(self.kubectl.json, "get", "upp")
        state = (await self.world.js.stream_info(STREAM)).state
        bucket = (await self.world.js.stream_info(f"KV_{BUCKET}")).state
        versions = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in found["items"]}
        return versions, state.last_seq, bucket.last_seq

    async def at_rest(self) -> tuple[Any, ...]:
        """A snapshot once nothing changes any more: what a killed operator had sent still reaches etcd."""
        last = await self.snapshot()
        while True:
            await asyncio.sleep(1)
            before, last = last, await self.snapshot()
            if before == last:
                return last


async def records(js: JetStreamContext) -> set[str]:
    """The uploads of which the service has a record."""
    bucket = await js.key_value(BUCKET)
    # keys() of the client finds nothing when the server sends them faster than it answers about its consumer.
    subjects = (await js.stream_info(f"KV_{BUCKET}", subjects_filter=">")).state.subjects or {}
    found: list[bytes] = []
    for subject in subjects:
        with contextlib.suppress(KeyNotFoundError):
            found.append((await bucket.get(subject.removeprefix(f"$KV.{BUCKET}."))).value or b"")
    return {json.loads(value)["key"] for value in found}


PLAIN = {"UPLOADPP_LEASE_DURATION": "1s"}
Entries = dict[str, dict[str, Any] | bytes]


def record(name: str, **members: object) -> dict[str, Any]:
    """A record as the service writes it."""
    return {
        "ID": name,
        "URL": f"https://storage.test/data/{name}",
        "User": {"id": {"opaque_id": "u-1"}, "username": "mary"},
        "ImpersonatingUser": None,
        "Filename": f"{name}.pdf",
        "Filesize": 7,
        "ResourceID": None,
        "Steps": list(STEPS),
        "Status": {"CurrentStep": "virusscan", "Outcome": ""},
        "Failures": 0,
        "InitiatorID": "",
        "Finished": False,
        **members,
    }


async def fill(js: JetStreamContext, entries: Entries) -> None:
    """Write entries into the bucket; bytes as they are."""
    bucket = await js.create_key_value(KeyValueConfig(bucket=BUCKET, history=1))
    for name, each in entries.items():
        value = each
        if isinstance(each, dict):
            data = base64.b64encode(go_json(each).encode()).decode()
            value = go_json({"key": name, "data": data, "metadata": None}).encode()
        assert isinstance(value, bytes)
        await bucket.put(key_of(name), value)
