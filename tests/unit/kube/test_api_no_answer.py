"""Why there is no answer of the API server, in words."""

import asyncio
import ssl
from pathlib import Path

import pytest

from e2e.cluster.certificates import write_certificates
from e2e.cluster.ports import free_port
from uploadpp.http.proxy import proxy_to
from uploadpp.kube.access import Access, Source
from uploadpp.kube.api import Api
from uploadpp.kube.credentials import Credentials
from uploadpp.kube.errors import UnavailableError


async def asked(access: Access) -> str:
    """What the error says."""
    async with Api(Credentials(access)) as api:
        with pytest.raises(UnavailableError) as caught:
            await api.request("GET", "/version")
    return str(caught.value)


async def test_nobody_listens() -> None:
    assert "refused" in await asked(Access(server=f"http://127.0.0.1:{free_port()}"))


async def test_a_proxy_reads_the_requests_for_a_server_without_tls() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://mary:s3cret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    access = Access(server="http://api.example.com", proxy_url=address)
    proxy = proxy_to(access.server, access.proxy_url, {})
    async with Api(Credentials(access, proxy)) as api:
        with pytest.raises(UnavailableError, match="502"):
            await api.request("GET", "/version")
    assert heads[0].startswith(b"GET http://api.example.com/version HTTP/1.1")
    assert b"Proxy-Authorization: Basic bWFyeTpzM2NyZXQ=" in heads[0]
    server.close()


async def test_a_name_that_is_not_known() -> None:
    words = await asked(Access(server="http://nowhere.invalid:1"))
    assert words.startswith("GET /version: ClientConnectorDNSError: ")


async def test_a_certificate_of_another_authority(tmp_path: Path) -> None:
    for name in ("server", "other"):
        (tmp_path / name).mkdir()
        write_certificates(tmp_path / name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server" / "server.crt", tmp_path / "server" / "server.key")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    words = await asked(Access(server=url, authority=Source(path=tmp_path / "other" / "ca.crt")))
    assert "ClientConnectorCertificateError: " in words
    assert "certificate" in words.partition("Error: ")[2]
    server.close()
