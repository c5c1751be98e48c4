"""Real servers. Each pytest worker has its own cluster, each test its own NATS and its own namespace."""

import gc
import logging
import os
import secrets
import signal
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from e2e.cluster import preloaded
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.natsversions import NEWEST, OLDEST, default_version
from e2e.cluster.requests import ApiRequests
from e2e.operator_process import COMMAND, leave_out_ours, plain_environment
from tests import crds
from tests.stepbench import StepBench
from uploadpp.process.loop import keep_cancellations

# What the shell has for an operator would configure those of the tests, and what is read in this process.
leave_out_ours()

# The loops of the tests are made by pytest.
keep_cancellations()

# Only the tests of the demo, of `make dev` and of the start itself start the operator as a Pod does.
preloaded.enable(preloaded.Preloaded(COMMAND, "uploadpp.ownership.app", plain_environment()))

# How long an example takes says something about the machine, not about the code. The same ones are
# tried in each run, so only a change can make a test fail. `make properties` tries others.
settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="NEW_EXAMPLES" not in os.environ,
)
settings.load_profile("patient")

# What is imported and collected stays until the end: to look through it again and again is a tenth of a run.
gc.disable()

# Minutes to build and root to run: only `make e2e` asks for them.
collect_ignore = [] if os.environ.get("UPLOADPP_E2E") else ["pods"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses real processes is an integration test."""
    odd = [item.nodeid for item in items if "tests/unit/core/" in item.nodeid and "\\" in item.nodeid]
    if odd:
        raise pytest.UsageError(f"`make mutation` cannot name tests with a backslash; give them ids: {odd}")
    for item in items:
        real = {"cluster", "nats", "instance"}.intersection(getattr(item, "fixturenames", ()))
        if real or "tests/integration/" in item.path.as_posix():
            item.add_marker(pytest.mark.integration)


def pytest_collection_finish() -> None:
    """Garbage is collected from here on, but not looked for among what all tests share."""
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 10)


def pytest_unconfigure() -> None:
    """No process that has loaded the operator's modules stays."""
    preloaded.disable()


class Failures:
    """Names each failing test at once: the reports come only when all tests have run."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.write_line(f"FAILED {report.nodeid} ({report.when}, {report.duration:.0f} s)")


LOG_TAIL_BYTES = 6000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed tells what its servers said last: their folder goes with the test."""
    report = yield
    instance = getattr(item, "funcargs", {}).get("instance")
    if report.failed and isinstance(instance, Instance):
        for path in sorted(instance.logs.glob("*.log")):
            text = path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
            report.sections.append((f"end of {path.name}", text))
    return report


@pytest.hookimpl(trylast=True)  # the terminal registers itself in this hook
def pytest_configure(config: pytest.Config) -> None:
    # `make test &` and nohup have these ignored, and every process that a test starts would ignore them too.
    if threading.current_thread() is threading.main_thread():
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, usual)
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures(terminal))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What depends on how JetStream behaves runs on the oldest supported server as well as the newest."""
    if "nats_version" in metafunc.fixturenames and metafunc.definition.get_closest_marker("each_nats"):
        metafunc.parametrize("nats_version", [OLDEST, NEWEST], indirect=True)


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """What a program sets that is tried in this process ends with its test: the next one listens as well."""
    loggers = logging.getLogger(), logging.getLogger("uploadpp")
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """A control plane with the project's CRDs."""
    with LocalCluster() as running:
        apply_crds(running.kubeconfig)
        yield running


@pytest.fixture
def instance() -> Iterator[Instance]:
    """A folder for the processes of one test, all ended after it."""
    made = Instance.temporary("test")
    yield made
    made.close()


@pytest.fixture
def nats_version(request: pytest.FixtureRequest) -> str:
    """The version of the NATS server."""
    return str(getattr(request, "param", default_version()))


@pytest.fixture
def nats(instance: Instance, nats_version: str) -> NatsServer:
    """A NATS server without any streams."""
    server = NatsServer(instance, version=nats_version)
    server.start()
    return server


@pytest.fixture
def namespace(cluster: LocalCluster) -> str:
    """A namespace nobody else uses. It stays: without controllers nothing would finish deleting it."""
    name = f"test-{secrets.token_hex(4)}"
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    ApiRequests(cluster.kubeconfig).create("/api/v1/namespaces", made)
    return name


@pytest.fixture
def open_status(cluster: LocalCluster) -> Iterator[None]:
    """For the length of a test, the API server takes any status."""
    with crds.open_status(cluster):
        yield


@pytest.fixture
def kubectl(cluster: LocalCluster, namespace: str) -> Kubectl:
    """kubectl in the test's namespace."""
    return Kubectl(cluster.kubeconfig, namespace)


@pytest.fixture
async def bench(instance: Instance, nats: NatsServer, tmp_path: Path) -> AsyncIterator[StepBench]:
    """A stream, bytes to download, and processes of steps."""
    async with StepBench(instance, nats, tmp_path) as made:
        yield made
