"""Where NATS is and where it answers, on real servers: IPv6, inboxes of our own, TLS that is asked for."""

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
from e2e.cluster.waiting import wait_until
from e2e.operator_process import plain_environment
from tests.stepbench import StepBench
from uploadpp.core.sharding import Shard
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import STREAM, ensure_stream, take_over
from uploadpp.wire.stream_message import StreamMessage

PREFIX = "_INBOX_operator"
OWN_INBOX = f"""
authorization {{ users: [ {{ user: me, password: x, permissions: {{
  publish: {{ allow: [">"] }}, subscribe: {{ allow: ["{PREFIX}.>"] }} }} }} ] }}
"""


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.05)


async def test_an_inbox_prefix_of_its_own_is_all_that_it_needs(instance: Instance, nats_version: str) -> None:
    """Answers, messages and confirmations arrive where nobody else may listen."""
    nats = NatsServer(instance, version=nats_version, name="inboxes", config=OWN_INBOX)
    nats.start()
    options = NatsOptions(servers=(nats.address,), user="me", password="x", inbox_prefix=PREFIX)
    client = await connect(options)
    try:
        js = client.jetstream()
        await ensure_stream(js)
        await js.publish(STREAM, b"x")
        reader: LogReader | None = None

        async def take(raw: StreamMessage) -> None:
            assert reader is not None
            await reader.acknowledge(raw.sequence, raw.delivered)

        reader = LogReader(client, await take_over(js, Shard(), 1), take)
        task = asyncio.create_task(reader.run())
        await until(lambda: reader.acknowledged == 1)
        task.cancel()
        assert client.problem == ""
    finally:
        await client.close()


class IPv6Nats(NatsServer):
    """Listens on ::1."""

    def argv(self) -> list[str]:
        return [each.replace("--addr=127.0.0.1", "--addr=::1") for each in super().argv()]

    def ready(self) -> bool:
        with socket.create_connection(("::1", self.port("client")), timeout=2) as client:
            return client.recv(4) == b"INFO"


@pytest.mark.parametrize("scheme", ["", "nats://"])
async def test_an_address_of_ipv6(instance: Instance, nats_version: str, scheme: str) -> None:
    nats = IPv6Nats(instance, version=nats_version, name="ipv6")
    nats.start()
    client = await connect(NatsOptions(servers=(f"{scheme}[::1]:{nats.port('client')}",)))
    try:
        await ensure_stream(client.jetstream())
        await asyncio.to_thread(nats.restart, kill=True)
        await until(lambda: client.stats["reconnects"] == 1 and client.is_connected)
    finally:
        await client.close()


async def test_a_step_without_nats_is_unhealthy_until_it_is_back(bench: StepBench, nats: NatsServer) -> None:
    """A new process may find what this one cannot; one that is back needs none."""
    step = bench.step("return Continue()")
    await asyncio.to_thread(step.start)
    assert healthy(step.url) is True
    await asyncio.to_thread(nats.kill)
    await asyncio.to_thread(until_health, step.url, expected=False)
    await asyncio.to_thread(nats.start)
    await asyncio.to_thread(until_health, step.url, expected=True)
    assert step.process is not None
    await until(lambda: bench.client.is_connected)
    await bench.answer(await bench.start("mine"))


def healthy(url: str) -> bool:
    try:
        get(f"{url}/healthz")
    except OSError:  # an HTTP status other than 200 as well
        return False
    return True


def until_health(url: str, *, expected: bool) -> None:
    assert wait_until(lambda: healthy(url) is expected, 40)


@pytest.mark.parametrize("what", ["selftest", "step"])
async def test_no_plain_text_when_tls_is_asked_for(nats: NatsServer, tmp_path: Path, what: str) -> None:
    """The server asks for nothing and offers no TLS: neither sends it user and password."""
    argv = {"selftest": ["selftest", "--timeout=20"], "step": ["step", "mine", "--exec=true"]}[what]
    kubeconfig = tmp_path / "kubeconfig"  # looked at before NATS, and good enough for that
    kubeconfig.write_text(
        "current-context: c\n"
        "contexts: [{name: c, context: {cluster: k}}]\n"
        "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]\n"
    )
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "OCIS_EVENTS_ENDPOINT": f"tls://me:hunter2@{nats.address}",
        "UPLOADPP_STEP_DEBUG_ADDR": "127.0.0.1:0",
        "UPLOADPP_NAMESPACE": "x",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "uploadpp", *argv),
        env={**plain_environment(), **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    text = ""
    try:
        async with asyncio.timeout(40):
            while "does not offer it" not in text and (line := await process.stdout.readline()):
                text += line.decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert f"{nats.address} does not offer it; no credentials were sent" in text
    assert "hunter2" not in text
