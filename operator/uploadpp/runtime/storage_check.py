"""Asks the storage for one byte of an upload through its download URL (docs/adr/0033).

The URL is a bearer credential that anybody who may publish on the stream can choose: it gets into no
log and no error, no redirect is followed, nothing is read of the answer, and of the answer only its
status is used.
"""

import logging
import ssl
from pathlib import Path

import aiohttp
from yarl import URL

from uploadpp.runtime.configuration import ConfigurationError
from uploadpp.runtime.settings import Settings
from uploadpp.runtime.values import StorageChecks

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10
SCHEMES = {"http", "https"}
HEADERS = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
"""A GET of one byte: gateways need not know HEAD."""


def open_check(settings: Settings) -> "StorageCheck | None":
    """What asks the storage; None when nothing is to be asked.

    Raises:
        ConfigurationError: the authority's file cannot be used.
    """
    if settings.storage_check is StorageChecks.OFF:
        return None
    try:
        return StorageCheck(_tls(insecure=settings.storage_insecure, ca_file=settings.storage_ca_file))
    except OSError as error:
        text = (
            f"UPLOADPP_STORAGE_CA_FILE={settings.storage_ca_file}: cannot be used: {error.strerror or error}"
        )
        raise ConfigurationError(text) from None


def _tls(*, insecure: bool, ca_file: Path | None) -> ssl.SSLContext:
    """How certificates of the storage are checked; an authority of one's own forces verification."""
    context = ssl.create_default_context(cafile=ca_file)
    if insecure and ca_file is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class StorageCheck:
    """One HTTP client for all questions of a process."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._said: set[str] = set()

    async def ask(self, text: str) -> int | None:
        """The status of the answer; None when there was none."""
        try:
            url = URL(text)
            if url.scheme not in SCHEMES or url.raw_user is not None or url.raw_password is not None:
                return None
            response = await self._client().get(url, headers=HEADERS, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TypeError) as error:
            self._say(type(error).__name__)
            return None
        response.close()
        return response.status

    def _say(self, kind: str) -> None:
        """Once for each kind, without the URL."""
        if kind not in self._said:
            self._said.add(kind)
            log.warning(
                "the storage cannot be asked about an upload that it does not answer for: %s; see "
                "UPLOADPP_STORAGE_CHECK in docs/configuration.md",
                kind,
            )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
