"""Downloads through the signed URL. It is a bearer credential: it gets into no log and no error.

Anybody who may publish on the stream can name any URL, and its server can send anything: so a
download ends at the first byte too many, at a trickle, and where it may not lead.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from uploadpp.core.text import clean
from uploadpp.http.proxy import ProxyError
from uploadpp.steps.upload import UNKNOWN_SIZE_BYTES, Content, DownloadError, Opener
from uploadpp.storage.gateway import IDENTITY, REDIRECTS, Gateway
from uploadpp.storage.sources import Source, SourceError

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10
SILENCE_SECONDS = 60
ANSWER_SECONDS = 60
"""Timeout until the headers of the last response."""
PATIENCE_SECONDS = 60
LEAST_BYTES_PER_SECOND = 1024
"""Minimum average speed after PATIENCE_SECONDS, without the time that the step itself takes."""
TOO_SLOW = "the download is too slow"
MAX_ENCODING = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is downloaded, and from where."""

    max_size: int | None = None
    """The most bytes of a file. None: as many as are announced, UNKNOWN_SIZE_BYTES where none are."""
    sources: tuple[Source, ...] = ()
    """From where; empty is everywhere, but then redirects are not followed."""


class Downloads:
    """One HTTP client for all downloads of a process."""

    def __init__(
        self, tls: ssl.SSLContext, on_bytes: Callable[[int], None], limits: Limits | None = None
    ) -> None:
        self._on_bytes = on_bytes
        self._limits = limits or Limits()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        self._gateway = Gateway(tls, timeout, self._limits.sources)

    def opener(self, url: str, size: int, traceparent: str) -> Opener:
        """What opens the bytes of one upload."""
        most = self._limits.max_size

        @asynccontextmanager
        async def opened() -> AsyncGenerator[Content]:
            self.check_size(size)
            response = await self._get(url, _headers(traceparent))
            async with response:
                _check(response, size)
                reader = _Reader(response.content)
                yield Content(reader, size, self._on_bytes, max_size=most or UNKNOWN_SIZE_BYTES)

        return opened

    def check_size(self, size: int) -> None:
        """Refuse what was announced with more bytes than are allowed.

        Raises:
            DownloadError: it was.
        """
        most = self._limits.max_size
        if most is not None and size > most:
            raise DownloadError(f"the upload has {size} bytes, more than --max-size")

    async def _get(self, text: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._gateway.get(text, headers)
        except SourceError as error:
            raise DownloadError(f"the URL is not used: {error}; see --download-from") from None
        except ProxyError as error:
            raise DownloadError(str(error)) from None
        except (aiohttp.ClientError, ValueError) as error:
            raise _without_url(error) from None
        except TimeoutError:
            raise DownloadError(TOO_SLOW) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._gateway.close()


def _check(response: aiohttp.ClientResponse, size: int) -> None:
    if response.status in REDIRECTS:
        raise DownloadError(
            f"the download answered {response.status}; redirects are followed to --download-from only"
        )
    if response.status != HTTPStatus.OK:
        raise DownloadError(f"the download answered {response.status}")
    if not size:
        # Of a file of a known size the bytes are counted: they are the file, whatever the server calls them.
        _check_uncounted(response)
    if size and response.content_length is not None and response.content_length > size:
        raise DownloadError(f"the download has {response.content_length} bytes, the upload {size}")


def _check_uncounted(response: aiohttp.ClientResponse) -> None:
    """Refuse what may be other bytes than those of the file, or a part of them: that can look clean."""
    if (part := response.headers.get("Content-Range")) is not None:
        raise DownloadError(
            f"the download is a part of a file ({clean(part, MAX_ENCODING)}), and its size is not known"
        )
    codings = _words(response, "Transfer-Encoding")
    in_chunks = codings[-1:] == ["chunked"]
    encodings = _words(response, "Content-Encoding") + (codings[:-1] if in_chunks else codings)
    for encoding in encodings:
        if encoding != "identity":
            raise DownloadError(
                f"the download is encoded as {clean(encoding, MAX_ENCODING)}, and its size is not known"
            )
    if not in_chunks and (codings or response.content_length is None):  # it ends where the connection does
        raise DownloadError(
            "nothing says where the download ends: the upload has no size, and the response neither "
            "a Content-Length nor chunks"
        )


def _words(response: aiohttp.ClientResponse, header: str) -> list[str]:
    """What a header lists, which may be there several times."""
    listed = ",".join(response.headers.getall(header, ())).lower().split(",")
    return [word for each in listed if (word := each.strip())]


def _headers(traceparent: str) -> dict[str, str]:
    headers = dict(IDENTITY)
    if traceparent:
        headers["traceparent"] = traceparent
    return headers


class _Reader:
    """The body of a response; its errors lose the URL, and it does not wait for a trickle."""

    def __init__(self, stream: aiohttp.StreamReader) -> None:
        self._stream = stream
        self._waited = 0.0
        self._seen = 0

    async def read(self, n: int = -1, /) -> bytes:
        loop = asyncio.get_running_loop()
        began = loop.time()
        patience = PATIENCE_SECONDS + self._seen / LEAST_BYTES_PER_SECOND - self._waited
        try:
            async with asyncio.timeout(patience):
                part = await self._stream.read(n)
        except TimeoutError:
            raise DownloadError(TOO_SLOW) from None
        except aiohttp.ClientError as error:
            raise _without_url(error) from None
        self._waited += loop.time() - began
        self._seen += len(part)
        return part


def _without_url(error: Exception) -> DownloadError:
    """The error for the bus. It does not tell a closed port from a name that does not exist: our log does."""
    log.info("a download failed: %s", type(error).__name__)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return DownloadError("the download's TLS certificate is not trusted; see --download-ca-file")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return DownloadError("the proxy of HTTPS_PROXY does not connect to the storage")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return DownloadError("the proxy of HTTPS_PROXY or HTTP_PROXY cannot be reached")
    if isinstance(error, aiohttp.ClientConnectionError):
        connecting = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerTimeoutError)
        kind = "ClientConnectorError" if connecting else "ClientConnectionError"
        return DownloadError(f"the download failed: {kind}")
    return DownloadError(f"the download failed: {type(error).__name__}")
