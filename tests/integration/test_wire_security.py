"""NATS over TLS, with credentials, with permissions: on real servers, and with somebody on the path."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from e2e.cluster.certificates import write_certificates
from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
from tests.natsauth import Authority
from uploadpp.wire.client import SafeClient
from uploadpp.wire.connection import NatsOptions, connect, make_client

PASSWORD = "hunter2"
TLS = """
tls {{ cert_file: "{folder}/server.crt", key_file: "{folder}/server.key"{more} }}
"""
USER = f"""
authorization {{ users: [ {{ user: me, password: {PASSWORD} }} ] }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificates(tmp_path)
    return tmp_path


def server(instance: Instance, version: str, config: str, name: str = "secured") -> NatsServer:
    made = NatsServer(instance, version=version, config=config, name=name)
    made.start()
    return made


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def connecting(options: NatsOptions) -> AsyncIterator[tuple[SafeClient, asyncio.Task[SafeClient]]]:
    """A client while it tries, and the attempt."""
    client = make_client(options)
    task = asyncio.create_task(connect(options, client))
    try:
        yield client, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if not client.is_closed:
            await client.close()


class Stripper:
    """Somebody on the path who takes `tls_required` out of the server's first line, and listens."""

    def __init__(self, address: str, *, gossip: str = "") -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._gossip = gossip
        self.strips = True
        self.heard = b""
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def cut(self) -> None:
        """End all connections."""
        for task in list(self.tasks):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        ours = None
        try:
            theirs, ours = await asyncio.open_connection(self._host, self._port)
            info = json.loads((await theirs.readline()).removeprefix(b"INFO "))
            if self.strips:
                for key in ("tls_required", "tls_verify", "tls_available"):
                    info.pop(key, None)
            if self._gossip:
                info["connect_urls"] = [self._gossip]
            writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
            await asyncio.gather(self._pipe(reader, ours, listen=True), self._pipe(theirs, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, ours):
                if each is not None:
                    each.close()
                    with contextlib.suppress(OSError):
                        await each.wait_closed()

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, listen: bool = False
    ) -> None:
        while data := await reader.read(65536):
            if listen:
                self.heard += data
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.mark.each_nats
@pytest.mark.parametrize("how", ["tls", "ca", "scheme"])
async def test_tls_that_is_taken_away_at_the_start(
    instance: Instance, nats_version: str, folder: Path, how: str
) -> None:
    """Who listens gets nothing; once the server is seen as it is, all is well."""
    nats = server(instance, nats_version, TLS.format(folder=folder, more="") + USER)
    async with Stripper(nats.address) as proxy:
        options = NatsOptions(
            servers=(f"{'tls' if how == 'scheme' else 'nats'}://me:{PASSWORD}@{proxy.address}",),
            tls=how == "tls",
            tls_insecure=how != "ca",
            tls_ca_file=f"{folder}/ca.crt" if how == "ca" else "",
        )
        async with connecting(options) as (client, task):
            await until(lambda: "does not offer it" in client.problem)
            assert proxy.address in client.problem
            assert PASSWORD.encode() not in proxy.heard
            assert b"CONNECT" not in proxy.heard
            proxy.strips = False
            await asyncio.wait_for(task, 20)
            assert client.problem == ""
            assert PASSWORD.encode() not in proxy.heard


async def test_tls_that_is_taken_away_at_a_reconnect(
    instance: Instance, nats_version: str, folder: Path
) -> None:
    nats = server(instance, nats_version, TLS.format(folder=folder, more="") + USER)
    async with Stripper(nats.address) as proxy:
        proxy.strips = False
        options = NatsOptions(
            servers=(proxy.address,), user="me", password=PASSWORD, tls_ca_file=f"{folder}/ca.crt"
        )
        async with connecting(options) as (client, task):
            await asyncio.wait_for(task, 20)
            await client.subscribe("foo")
            proxy.strips = True
            proxy.heard = b""
            proxy.cut()
            await until(lambda: "does not offer it" in client.problem)
            assert b"CONNECT" not in proxy.heard
            assert not client.is_connected
            proxy.strips = False
            await until(lambda: client.is_connected)


async def test_tls_that_was_switched_off_at_the_server(
    instance: Instance, nats_version: str, folder: Path
) -> None:
    nats = server(instance, nats_version, TLS.format(folder=folder, more="") + USER)
    options = NatsOptions(servers=(nats.address,), user="me", password=PASSWORD, tls=True, tls_insecure=True)
    async with connecting(options) as (client, task):
        await asyncio.wait_for(task, 20)
        nats.config = USER
        await asyncio.to_thread(nats.restart, kill=True)
        await until(lambda: "does not offer it" in client.problem)
        nats.config = TLS.format(folder=folder, more="") + USER
        await asyncio.to_thread(nats.restart, kill=True)
        await until(lambda: client.is_connected)


async def test_a_server_that_was_only_heard_of_has_to_offer_tls_too(
    instance: Instance, nats_version: str, folder: Path
) -> None:
    nats = server(instance, nats_version, TLS.format(folder=folder, more="") + USER)
    async with Stripper(nats.address) as bad, Stripper(nats.address, gossip=bad.address) as proxy:
        proxy.strips = False
        options = NatsOptions(
            servers=(f"tls://me:{PASSWORD}@{proxy.address}",), tls_ca_file=f"{folder}/ca.crt"
        )
        async with connecting(options) as (client, task):
            await asyncio.wait_for(task, 20)
            assert [each.netloc for each in client.discovered_servers] == [bad.address]
            for number in range(20):
                proxy.cut()
                await until(lambda number=number: client.stats["reconnects"] > number)  # type: ignore[misc]
                if bad.tasks:
                    break
            assert bad.tasks
            assert b"CONNECT" not in bad.heard


async def test_the_handshake_may_come_first(instance: Instance, nats_version: str, folder: Path) -> None:
    first = server(instance, nats_version, TLS.format(folder=folder, more=", handshake_first: true") + USER)
    options = NatsOptions(
        servers=(first.address,),
        user="me",
        password=PASSWORD,
        tls_ca_file=f"{folder}/ca.crt",
        tls_handshake_first=True,
    )
    async with connecting(options) as (client, task):
        await asyncio.wait_for(task, 20)
        assert client.problem == ""


async def test_a_renewed_authority_is_read_at_a_reconnect(
    instance: Instance, nats_version: str, tmp_path: Path
) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        write_certificates(tmp_path / name)
    ca = tmp_path / "ca.crt"
    ca.write_bytes((tmp_path / "old" / "ca.crt").read_bytes())
    nats = server(instance, nats_version, TLS.format(folder=tmp_path / "old", more=""))
    options = NatsOptions(servers=(nats.address,), tls_ca_file=str(ca))
    async with connecting(options) as (client, task):
        await asyncio.wait_for(task, 20)
        nats.config = TLS.format(folder=tmp_path / "new", more="")
        await asyncio.to_thread(nats.restart, kill=True)
        await until(lambda: "CERTIFICATE_VERIFY_FAILED" in client.problem)
        ca.unlink()
        await until(lambda: str(ca) in client.problem)
        ca.write_bytes((tmp_path / "new" / "ca.crt").read_bytes())
        await until(lambda: client.is_connected)


@pytest.mark.each_nats
async def test_credentials_that_expire_while_we_run(
    instance: Instance, nats_version: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The server cuts us off; with a fresh file we are back, without a new process."""
    caplog.set_level(logging.INFO)
    authority = Authority()
    nats = server(instance, nats_version, authority.config)
    file = tmp_path / "user.creds"
    file.write_text(authority.creds(expires=time.time() + 3))
    options = NatsOptions(servers=(nats.address,), creds_file=str(file))
    async with connecting(options) as (client, task):
        async with asyncio.timeout(30):
            while not (await asyncio.wait([task], timeout=2))[0]:  # a slow machine was too late
                file.write_text(authority.creds(expires=time.time() + 3))
        task.result()
        await until(lambda: "has expired at" in client.problem)
        assert str(file) in client.problem
        file.write_text("")
        await until(lambda: "does not contain" in client.problem)
        file.write_text(authority.creds()[:200])
        await until(lambda: "cut off" in client.problem)
        file.unlink()
        await until(lambda: "No such file" in client.problem)
        file.write_text(authority.creds(expires=time.time() + 3600))
        await until(lambda: client.is_connected)
        assert client.problem == ""
        await client.flush()
    assert "SU" not in "".join(word[:2] for word in caplog.text.split())


async def test_credentials_that_are_expired_at_the_start(
    instance: Instance, nats_version: str, tmp_path: Path
) -> None:
    authority = Authority()
    nats = server(instance, nats_version, authority.config)
    file = tmp_path / "user.creds"
    file.write_text(authority.creds(expires=time.time() - 3))
    async with connecting(NatsOptions(servers=(nats.address,), creds_file=str(file))) as (client, task):
        await until(lambda: "has expired at" in client.problem)
        file.write_text(authority.creds())
        await asyncio.wait_for(task, 20)


async def test_a_token_that_is_changed_while_we_run(
    instance: Instance, nats_version: str, tmp_path: Path
) -> None:
    nats = server(instance, nats_version, "authorization { token: first }")
    file = tmp_path / "token"
    file.write_text("first\n")
    async with connecting(NatsOptions(servers=(nats.address,), token_file=str(file))) as (client, task):
        await asyncio.wait_for(task, 20)
        nats.config = "authorization { token: second }"
        await asyncio.to_thread(nats.restart, kill=True)
        await until(lambda: "Authorization Violation" in client.problem)
        file.write_text("second")
        await until(lambda: client.is_connected)


@pytest.mark.parametrize("password", ["p@ss", "p/s#s?x", "100%", "p:q", "p%40ss"])
async def test_passwords_in_addresses(
    instance: Instance, nats_version: str, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = "p@ss" if password == "p%40ss" else password
    nats = server(
        instance, nats_version, f'authorization {{ users: [ {{ user: "m@e", password: "{shown}" }} ] }}'
    )
    options = NatsOptions(servers=(f"nats://m%40e:{password}@{nats.address}",))
    async with connecting(options) as (client, task):
        await asyncio.wait_for(task, 20)
        await asyncio.to_thread(nats.restart, kill=True)
        await until(lambda: client.is_connected)
        assert urlsplit(str(client.connected_url.geturl())).password is None  # type: ignore[union-attr]
    records = "".join(str(vars(record)) for record in caplog.records)
    assert shown not in records


@pytest.mark.parametrize(
    ("permissions", "subject"),
    [
        ('publish: { deny: ["Main-Queue"] }', "Main-Queue"),
        ('publish: { deny: ["$JS.ACK.>"] }', "$JS.ACK.Main.x"),
        ('subscribe: { deny: ["_INBOX.>"] }', "_INBOX."),
    ],
)
async def test_a_refused_permission_is_said_as_we_wrote_it(
    instance: Instance, nats_version: str, permissions: str, subject: str
) -> None:
    users = "authorization {{ users: [ {{ user: me, password: x, permissions: {{ {} }} }} ] }}"
    nats = server(instance, nats_version, users.format(permissions))
    options = NatsOptions(servers=(nats.address,), user="me", password="x")
    async with connecting(options) as (client, task):
        await asyncio.wait_for(task, 20)
        if subject == "_INBOX.":
            await client.subscribe(client.new_inbox())
        else:
            await client.publish(subject, b"x")
        await until(lambda: subject in client.problem)
        assert "NATS refuses: Permissions Violation for " in client.problem
        assert client.is_connected
        if subject == "_INBOX.":  # what is permitted later is asked for again
            nats.config = users.format("")
            await asyncio.to_thread(nats.restart)
            await until(lambda: client.is_connected and not client.problem)
