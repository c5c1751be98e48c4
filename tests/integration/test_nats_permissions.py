"""The permissions of docs/nats.md are enough, each of them is needed, and one that is missing is named."""

import asyncio
import json
import re
import signal
import sys
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.natsversions import OLDEST
from e2e.operator_process import Operator, OperatorOptions
from e2e.paths import REPO
from tests.driver import Driver, histories, start_working, until_reasons
from tests.stepbench import STEP as TEMPLATE
from tests.stepbench import StepBench
from uploadpp.testing.events import STREAM

DOCS = (REPO / "docs" / "nats.md").read_text()
USERS = """
authorization {{ users: [
  {{ user: all, password: x }}
  {{ user: some, password: x
     permissions: {{ publish: {{ allow: [{publish}] }}, subscribe: {{ allow: [{subscribe}] }} }} }}
] }}
"""
NOTHING = "nothing"
"""An empty list would permit everything."""
SOON_SECONDS = 15
STEP = "mine"
HASTY = """\
import sys
from nats.aio.client import Client
from uploadpp.ownership import candidate
from uploadpp.wire import client

jetstream = Client.jetstream
Client.jetstream = lambda self, **options: jetstream(self, **{"timeout": 1, **options})
client.AGAIN_SECONDS = candidate.LONGEST_RESTART_SECONDS = 1.0
"""
"""What is refused is tried again sooner, so that the test need not wait for it."""


@dataclass(frozen=True)
class Permissions:
    """What a user may publish, and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]

    def without(self, subject: str) -> "Permissions":
        """All but one, as a permission to publish if there is such a one."""
        publish = tuple(each for each in self.publish if each != subject)
        return Permissions(
            publish, self.subscribe if publish != self.publish else self._heard_without(subject)
        )

    def _heard_without(self, subject: str) -> tuple[str, ...]:
        return tuple(each for each in self.subscribe if each != subject)

    @property
    def config(self) -> str:
        publish, subscribe = (
            ",".join(f'"{each}"' for each in some)
            for some in ((*self.publish, NOTHING), (*self.subscribe, NOTHING))
        )
        return USERS.format(publish=publish, subscribe=subscribe)


def quoted(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", text))


def of_the_operator() -> Permissions:
    rows = re.findall(
        r"^\| (`.*?) \| ", DOCS.partition("| publish | for |")[2].partition("\n\n")[0], re.MULTILINE
    )
    return Permissions(
        tuple(subject for row in rows for subject in quoted(row)),
        quoted(DOCS.partition("and to subscribe to")[2].partition("\n\n")[0]),
    )


def of_a_step() -> Permissions:
    publish, _, subscribe = (
        DOCS.partition("of the step S: publish")[2]
        .partition("\nAn empty list")[0]
        .partition("; subscribe to")
    )
    return Permissions(
        tuple(each.replace("-step-S", f"-step-{STEP}") for each in quoted(publish)), quoted(subscribe)
    )


class Server(NatsServer):
    """A server whose permissions are changed while it runs."""

    @property
    def url(self) -> str:
        """For a user who may do everything."""
        return f"nats://all:x@{self.address}"

    @property
    def limited_url(self) -> str:
        """For one with the permissions that are tested."""
        return f"nats://some:x@{self.address}"

    async def grant(self, permissions: Permissions) -> None:
        """Reload the configuration, and wait until the server says so."""
        before = self._loaded()
        self.config = self._with_jetstream(permissions)
        (self.data / "nats.conf").write_text(self.config)
        process = self.process
        assert process is not None
        process.send(signal.SIGHUP)
        await until(lambda: self._loaded() != before)

    def argv(self) -> list[str]:
        """What the file says is not said again."""
        said = ("--jetstream", "--store_dir") if self.version == OLDEST else ()
        return [each for each in super().argv() if not each.startswith(said)]

    def again(self, permissions: Permissions) -> None:
        """Start it anew."""
        self.kill()
        self.config = self._with_jetstream(permissions)
        self.start()

    def _with_jetstream(self, permissions: Permissions) -> str:
        """At a reload NATS 2.10 switches off what only the command line has switched on."""
        if self.version != OLDEST:
            return permissions.config
        return f'{permissions.config}\njetstream {{ store_dir: "{self.store}" }}\n'

    def _loaded(self) -> str:
        return str(json.loads(get(f"{self.monitor_url}/varz"))["config_load_time"])


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.05)


def said(url: str) -> str:
    """What a probe says."""
    try:
        return get(url)
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
    except OSError:
        return ""


async def until_up(url: str) -> None:
    """Wait until a process answers its probes at all."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(said, url):  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.1)


async def names(url: str, subject: str) -> None:
    """Wait until a probe names a subject, with our spelling of it."""
    shown, text = subject.partition("*")[0].removesuffix(">"), ""
    try:
        async with asyncio.timeout(SOON_SECONDS):
            while f'"{shown}' not in text:
                await asyncio.sleep(0.05)
                text = await asyncio.to_thread(said, url)
    except TimeoutError:
        pytest.fail(f"{subject} is missing and is not named: {text}")
    assert "Permissions Violation for" in text


@pytest.fixture
def server(instance: Instance, nats_version: str) -> Server:
    made = Server(instance, version=nats_version)
    made.again(of_the_operator())
    return made


class HastyOperator(Operator):
    """Does not wait long before it tries again."""

    def argv(self) -> list[str]:
        main = "from uploadpp.__main__ import main\nsys.exit(main())"
        return [sys.executable, "-c", HASTY + main, "run"]


SHARDS = 2
ON_UPLOAD = ("main-queue", "$JS.ACK.main-queue.>")
AT_ONCE = ("uploadpp.*.*", "_INBOX.>")
ON_TAKE_OVER = (
    "$JS.API.STREAM.INFO.main-queue",
    "$JS.API.CONSUMER.LIST.main-queue",
    "$JS.API.CONSUMER.CREATE.main-queue.*",
    "$JS.API.CONSUMER.DELETE.main-queue.*",
    "$JS.API.CONSUMER.MSG.NEXT.main-queue.*",
)


async def test_of_the_operator(
    cluster: LocalCluster, instance: Instance, server: Server, kubectl: Kubectl, namespace: str
) -> None:
    """With two shards and a take-over. What is missing is named; once it is there nothing was lost."""
    settings = {"UPLOADPP_LEASE_DURATION": "4s", "UPLOADPP_SHARDS": str(SHARDS)}
    options = OperatorOptions(cluster.kubeconfig, server.limited_url, namespace, environment=settings)
    operator, second = (HastyOperator(instance, options, name=name) for name in ("operator", "second"))
    complete = of_the_operator()
    uploads = [f"upload-{number}" for number in range(4)]
    async with Driver(server.url) as driver:
        await start_working(operator, second)
        await driver.upload(*uploads)
        await driver.until_released(*uploads)
        await asyncio.to_thread(second.stop)
        for number, subject in enumerate((*ON_UPLOAD, *AT_ONCE, *ON_TAKE_OVER)):
            await server.grant(complete.without(subject))
            if subject in ON_TAKE_OVER:
                await forget_places(driver)
            uploads += [f"{number}-{other}" for other in range(2)]
            await driver.upload(*uploads[-2:])
            await names(f"{operator.url}/readyz", subject)
            await server.grant(complete)
            await driver.until_released(*uploads)
        await until_reasons(kubectl, dict.fromkeys(uploads, "Completed"))
        found = await histories(driver.js)
        assert {name: len(each.starts) for name, each in found.items()} == dict.fromkeys(uploads, 2)
        assert {each.finished for each in found.values()} == {("continue",)}


async def forget_places(driver: Driver) -> None:
    """Have the operator take over anew, without the seconds that a new process takes."""
    for each in await driver.js.consumers_info(STREAM):
        if re.fullmatch(r"uploadpp-\d.*", each.name):
            await driver.js.delete_consumer(STREAM, each.name)


async def test_of_a_step(server: Server, instance: Instance, tmp_path: Path) -> None:
    """The same for a step: what is missing is named, and each start is answered in the end."""
    complete = of_a_step()
    await asyncio.to_thread(server.again, complete)
    async with StepBench(instance, server, tmp_path) as bench:
        script = tmp_path / "hasty.py"
        script.write_text(HASTY + TEMPLATE.format(concurrency=4, body="    return Continue()"))
        step = bench.process([str(script)], OCIS_EVENTS_ENDPOINT=server.limited_url)
        await asyncio.to_thread(step.start)
        await bench.answer(await bench.start(STEP))
        for subject in (*complete.publish, *complete.subscribe):
            await server.grant(complete.without(subject))
            if any(word in subject for word in ("STREAM.INFO", "CONSUMER.INFO", "CONSUMER.CREATE")):
                await bench.client.jetstream().delete_consumer(STREAM, f"uploadpp-step-{STEP}")
            upload = await bench.start(STEP)
            await names(f"{step.url}/readyz", subject)
            await server.grant(complete)
            await bench.answer(upload)


async def test_what_is_needed_now_and_then_is_named_too(
    cluster: LocalCluster, instance: Instance, server: Server, kubectl: Kubectl, namespace: str
) -> None:
    """To make the stream, to look at its end after a reconnect, and at our consumer without an API server."""
    settings = {"UPLOADPP_LEASE_DURATION": "4s"}
    options = OperatorOptions(cluster.kubeconfig, server.limited_url, namespace, environment=settings)
    operator, complete = HastyOperator(instance, options), of_the_operator()
    later = [f"u{number}" for number in range(3, 9)]
    await asyncio.to_thread(server.again, complete.without("$JS.API.STREAM.CREATE.main-queue"))
    operator.launch()
    await until_up(f"{operator.url}/readyz")
    await names(f"{operator.url}/readyz", "$JS.API.STREAM.CREATE.main-queue")
    await asyncio.to_thread(server.again, complete)
    async with Driver(server.url) as driver:
        await driver.upload("u1")
        await driver.until_released("u1")
        await server.grant(complete.without("$JS.API.STREAM.MSG.GET.main-queue"))
        await asyncio.to_thread(server.restart, kill=True)
        await names(f"{operator.url}/readyz", "$JS.API.STREAM.MSG.GET.main-queue")
        await server.grant(complete.without("$JS.API.CONSUMER.INFO.main-queue.*"))
        await driver.upload("u2")
        await driver.until_released("u2")
        cluster.apiserver.pause()
        try:
            await driver.upload(*later, pause=1)  # until the Lease is too old to be relied on
            await names(f"{operator.url}/readyz", "$JS.API.CONSUMER.INFO.main-queue.*")
            await server.grant(complete)
            await driver.until_released(*later)
        finally:
            cluster.apiserver.resume()
        uploads = ["u1", "u2", *later]
        await until_reasons(kubectl, dict.fromkeys(uploads, "Completed"))
        found = await histories(driver.js)
        assert {name: len(each.starts) for name, each in found.items()} == dict.fromkeys(uploads, 2)
