"""One kept-alive HTTP session to the API server.

Requests go through aiohttp directly, because the generated client of `kubernetes` costs several times the
CPU of the request itself. `kube.credentials` says where to and as whom.
"""

import logging
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from uploadpp.api.decode import STATUS_MANAGER
from uploadpp.http.responses import Connector
from uploadpp.kube.bodies import read_body
from uploadpp.kube.credentials import Credentials
from uploadpp.kube.errors import UnavailableError, words_of
from uploadpp.kube.responses import error_of, read_answer

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15.0
CONNECTIONS = 32
LARGE = 512 * 1024
FIELD_MANAGER = STATUS_MANAGER
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"

Json = dict[str, Any]


class Api:
    """Requests to one API server, with errors told apart by what a caller does about them."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._base = credentials.server
        self._connect_headers = credentials.proxy.connect_headers if credentials.proxy else None
        self._request_headers = credentials.proxy.request_headers if credentials.proxy else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        proxy = self._credentials.proxy
        connector = Connector(limit=CONNECTIONS, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            headers={"User-Agent": "uploadpp"},
            proxy=proxy.url if proxy else None,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = JSON,
        params: dict[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109 -- it bounds the one request, not the caller
    ) -> Json:
        """Send a request and return the decoded answer.

        Raises:
            NotFoundError, ConflictError, RefusedError, UnavailableError: see `kube.errors`.
        """
        if self._session is None:
            raise RuntimeError("Api is used outside of its context")
        credentials = await self._credentials.current()
        headers = CIMultiDict(credentials.headers)
        headers.update(self._request_headers)
        headers["Content-Type"] = content_type
        query = _query(tuple(params.items())) if params else ""
        try:
            async with self._session.request(
                method,
                URL(f"{self._base}{path}{query}", encoded=True),  # `kube.paths` has encoded the names
                data=_payload(body),
                headers=headers,
                ssl=credentials.context or True,
                proxy_headers=self._connect_headers,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as response:
                data = await read_body(response)
                if response.status < HTTPStatus.BAD_REQUEST:
                    return read_answer(method, path, body, response.status, data)
                if response.status == HTTPStatus.UNAUTHORIZED and await self._credentials.renewed(
                    credentials
                ):
                    return await self.request(
                        method, path, body, content_type=content_type, params=params, timeout=timeout
                    )
                raise error_of(method, path, response.status, response.headers, data)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"{method} {path}: {words_of(error)}") from error


@lru_cache(maxsize=32)
def _query(params: tuple[tuple[str, str], ...]) -> str:
    """The end of a URL. Nearly all requests have the same."""
    return f"?{urlencode(params)}"


def _payload(body: object) -> bytes | BytesIO | None:
    """The body of a request; a large one is sent in pieces, so that other requests can go on."""
    if body is None:
        return None
    data = orjson.dumps(body)
    return data if len(data) < LARGE else BytesIO(data)
