"""The HTTP client for download URLs.

A URL is a bearer credential, and anybody who may publish on the stream can name any: it gets into no log
and no error, and leads only to where it may. What a server says to one request is not for the next.
HTTPS_PROXY, HTTP_PROXY and NO_PROXY count as for a service written in Go.
"""

import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from uploadpp.http.certificates import ClientContext, read_bundle
from uploadpp.http.proxy import proxy_to
from uploadpp.http.responses import Connector
from uploadpp.storage.sources import Source, SourceError, check_source, read_url, redirected

MAX_REDIRECTS = 5
REDIRECTS = {301, 302, 303, 307, 308}
IDENTITY = {"Accept-Encoding": "identity"}
"""The bytes as they were uploaded."""


def tls_context(*, insecure: bool, ca_file: Path | None) -> ssl.SSLContext:
    """How certificates of the storage are checked; an authority of one's own forces verification.

    Raises:
        OSError: the file cannot be used.
    """
    context = ClientContext.trusting(read_bundle(ca_file))
    if insecure and ca_file is None:
        context.skip_verification()
    return context


class Gateway:
    """One HTTP client for all requests of a process."""

    def __init__(
        self, tls: ssl.SSLContext, timeout: aiohttp.ClientTimeout, sources: Sequence[Source] = ()
    ) -> None:
        """`sources` are where URLs may lead; empty is everywhere, but then redirects are not followed."""
        self._tls = tls
        self._timeout = timeout
        self._sources = tuple(sources)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, text: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """The first response that is not an allowed redirect.

        Raises:
            SourceError: the URL, or what it is redirected to, is not used.
            ProxyError: the proxy for it cannot be used.
            aiohttp.ClientError, TimeoutError, OSError, ValueError: there is no response.
        """
        url = read_url(text)
        for _ in range(MAX_REDIRECTS):
            check_source(url, self._sources)
            proxy = proxy_to(str(url), "", os.environ)
            response = await self._client().get(
                url,
                headers={**headers, **proxy.request_headers} if proxy else headers,
                allow_redirects=False,
                proxy=proxy.url if proxy else None,
                proxy_headers=proxy.connect_headers if proxy else None,
            )
            if response.status not in REDIRECTS or not self._sources:
                return response
            response.close()
            url = redirected(url, response.headers.get("Location", ""))
        raise SourceError("it was redirected too often")

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=Connector(ssl=self._tls, limit=0),
                timeout=self._timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
