"""Downloads through the signed URL. It is a bearer credential: it gets into no log and no error."""

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp

from uploadpp.steps.upload import Content, DownloadError, Opener

CONNECT_SECONDS = 10
SILENCE_SECONDS = 60


def tls_context(*, insecure: bool, ca_file: Path | None) -> ssl.SSLContext:
    """How certificates of the storage are checked; an authority of one's own forces verification.

    Raises:
        OSError: the file cannot be used.
    """
    context = ssl.create_default_context(cafile=ca_file)
    if insecure and ca_file is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Downloads:
    """One HTTP client for all downloads of a process."""

    def __init__(self, tls: ssl.SSLContext, on_bytes: Callable[[int], None]) -> None:
        self._tls = tls
        self._on_bytes = on_bytes
        self._session: aiohttp.ClientSession | None = None

    def opener(self, url: str, size: int, traceparent: str) -> Opener:
        """What opens the bytes of one upload."""

        @asynccontextmanager
        async def opened() -> AsyncGenerator[Content]:
            try:
                response = await self._client().get(url, headers=_headers(traceparent))
            except (aiohttp.ClientError, ValueError) as error:
                raise _without_url(error) from None
            async with response:
                if response.status != HTTPStatus.OK:
                    raise DownloadError(f"the download answered {response.status}")
                yield Content(_Reader(response.content), size, self._on_bytes)

        return opened

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
                ),
                auto_decompress=False,
            )
        return self._session


def _headers(traceparent: str) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}  # the bytes as they were uploaded
    if traceparent:
        headers["traceparent"] = traceparent
    return headers


class _Reader:
    """The body of a response; its errors lose the URL."""

    def __init__(self, stream: aiohttp.StreamReader) -> None:
        self._stream = stream

    async def read(self, n: int = -1, /) -> bytes:
        try:
            return await self._stream.read(n)
        except aiohttp.ClientError as error:
            raise _without_url(error) from None


def _without_url(error: Exception) -> DownloadError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return DownloadError("the download's TLS certificate is not trusted; see --download-ca-file")
    return DownloadError(f"the download failed: {type(error).__name__}")
