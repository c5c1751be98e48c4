"""Asks the storage for one byte of an upload through its download URL (docs/adr/0033).

URLs are bound by the same rules as those that steps download from (`storage.gateway`). Nothing is read
of the answer, and only its status is used.
"""

import logging

import aiohttp

from uploadpp.http.proxy import ProxyError
from uploadpp.process.configuration import ConfigurationError, source_of
from uploadpp.process.setting_types import StorageChecks
from uploadpp.process.settings import Settings
from uploadpp.storage.gateway import IDENTITY, Gateway, tls_context
from uploadpp.storage.sources import SourceError

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10
HEADERS = {"Range": "bytes=0-0", **IDENTITY}
"""A GET of one byte: gateways need not know HEAD."""


def open_check(settings: Settings) -> "StorageCheck | None":
    """What asks the storage; None if it is not to be asked.

    Raises:
        ConfigurationError: the authority's file cannot be used.
    """
    if settings.storage_check is StorageChecks.OFF:
        return None
    try:
        tls = tls_context(insecure=settings.storage_insecure, ca_file=settings.storage_ca_file)
    except OSError as error:
        source = source_of(settings, "storage_ca_file")
        text = f"{source}={settings.storage_ca_file}: cannot be used: {error.strerror or error}"
        raise ConfigurationError(text) from None
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    return StorageCheck(Gateway(tls, timeout, settings.storage_from))


class StorageCheck:
    """All questions of a process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._said: set[str] = set()

    async def ask(self, text: str) -> int | None:
        """The status of the answer; None when there was none, or when the URL may not be asked at."""
        try:
            response = await self._gateway.get(text, HEADERS)
        except SourceError as error:
            self._say(f"the URL is not used: {error}")
            return None
        except ProxyError as error:
            self._say(str(error))
            return None
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
                "cannot check whether the storage still has an upload: %s; see UPLOADPP_STORAGE_CHECK in "
                "docs/configuration.md",
                kind,
            )

    async def close(self) -> None:
        """Close all connections."""
        await self._gateway.close()
