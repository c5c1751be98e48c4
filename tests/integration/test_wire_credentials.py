"""The ways to log in that test_wire_security.py does not try: nkeys, and client certificates."""

import asyncio
import shutil
from pathlib import Path

import nkeys
import pytest

from e2e.cluster.certificates import CLIENT, write_certificates
from e2e.cluster.instance import Instance
from tests.integration.test_wire_security import connecting, server, until
from tests.natsauth import Signer
from uploadpp.wire.connection import NatsOptions

NKEY = "authorization {{ users: [ {{ nkey: {} }} ] }}"
MAPPED = """
tls {{ cert_file: "{folder}/server.crt", key_file: "{folder}/server.key", ca_file: "{folder}/ca.crt",
       {verify}: true }}
{users}
"""
USERS = f'authorization {{ users: [ {{ user: "CN={CLIENT}" }} ] }}'


@pytest.mark.each_nats
async def test_an_nkey_that_is_changed_while_we_run(
    instance: Instance, nats_version: str, tmp_path: Path
) -> None:
    first, second = Signer(nkeys.PREFIX_BYTE_USER), Signer(nkeys.PREFIX_BYTE_USER)
    nats = server(instance, nats_version, NKEY.format(first.public))
    file = tmp_path / "nkey"
    file.write_bytes(first.seed + b"\n")
    async with connecting(NatsOptions(servers=(nats.address,), nkey_file=str(file))) as (client, task):
        await asyncio.wait_for(task, 20)
        nats.config = NKEY.format(second.public)
        await asyncio.to_thread(nats.restart, kill=True)
        await until(lambda: "Authorization Violation" in client.problem)
        file.write_bytes(second.seed)
        await until(lambda: client.is_connected)
        assert client.problem == ""


@pytest.mark.each_nats
@pytest.mark.parametrize("verify", ["verify", "verify_and_map"])
async def test_a_client_certificate_that_is_renewed_while_we_run(
    instance: Instance, nats_version: str, tmp_path: Path, verify: str
) -> None:
    """The server asks for one; with `verify_and_map` it says who we are."""
    users = USERS if verify == "verify_and_map" else ""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        write_certificates(tmp_path / name)
    mine = tmp_path / "mine"
    shutil.copytree(tmp_path / "old", mine)
    nats = server(instance, nats_version, MAPPED.format(folder=tmp_path / "old", verify=verify, users=users))
    options = NatsOptions(
        servers=(nats.address,),
        tls_ca_file=f"{mine}/ca.crt",
        tls_cert_file=f"{mine}/client.crt",
        tls_key_file=f"{mine}/client.key",
    )
    async with connecting(options) as (client, task):
        await asyncio.wait_for(task, 20)
        await client.flush()
        nats.config = MAPPED.format(folder=tmp_path / "new", verify=verify, users=users)
        await asyncio.to_thread(nats.restart, kill=True)
        await until(lambda: "CERTIFICATE_VERIFY_FAILED" in client.problem)
        for file in ("ca.crt", "client.crt", "client.key"):
            shutil.copy(tmp_path / "new" / file, mine / file)
        await until(lambda: client.is_connected)


async def test_without_a_client_certificate_that_is_asked_for(
    instance: Instance, nats_version: str, tmp_path: Path
) -> None:
    write_certificates(tmp_path)
    nats = server(instance, nats_version, MAPPED.format(folder=tmp_path, verify="verify", users=""))
    options = NatsOptions(servers=(nats.address,), tls_ca_file=f"{tmp_path}/ca.crt")
    async with connecting(options) as (client, _):
        await until(lambda: "certificate" in client.problem.lower())
        assert not client.is_connected
