"""One kept-alive HTTP session to the API server, from kubeconfig or the Pod's account.

`kubernetes.aio` finds and renews the credentials; requests go through aiohttp directly,
because the generated client costs several times the CPU of the request itself.
"""

import logging
import os
from http import HTTPStatus
from io import BytesIO
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from uploadpp.kube.answers import error_of, read_answer
from uploadpp.kube.errors import UnavailableError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15.0
CONNECTIONS = 32
LARGE = 512 * 1024
FIELD_MANAGER = "uploadpp"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"

Json = dict[str, Any]


async def load_configuration() -> Configuration:
    """KUBECONFIG or ~/.kube/config where there is one, else the Pod's service account.

    Raises:
        kubernetes.aio.config.ConfigException: neither can be used.
    """
    configuration = Configuration()
    if "KUBECONFIG" in os.environ or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        await kubernetes_config.load_kube_config(client_configuration=configuration)
    else:
        kubernetes_config.load_incluster_config(client_configuration=configuration)
    return configuration


def proxy_of(configuration: Configuration) -> str | None:
    """The proxy to the API server: `proxy-url` of the kubeconfig, else HTTPS_PROXY and NO_PROXY.

    Asked once: aiohttp's own `trust_env` asks before every request, in a thread: half of a request's CPU.
    """
    if configuration.proxy:
        return str(configuration.proxy)
    server = urlsplit(configuration.host)
    return None if proxy_bypass(server.netloc) else getproxies().get(server.scheme)


class Api:
    """Requests to one API server, with errors told apart by what a caller does about them."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._base = configuration.host.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        context = RESTClientObject(self._configuration).ssl_context
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=context, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            headers={"User-Agent": "uploadpp"},
            proxy=proxy_of(self._configuration),
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
        headers = {"Content-Type": content_type}
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token
        try:
            async with self._session.request(
                method,
                URL(self._base + path, encoded=True),  # `kube.paths` has encoded the names
                data=_payload(body),
                headers=headers,
                params=params,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as response:
                data = await response.read()
                if response.status < HTTPStatus.BAD_REQUEST:
                    return read_answer(method, path, body, response.status, data)
                raise error_of(method, path, response.status, response.headers, data)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"{method} {path}: {type(error).__name__}") from error


def _payload(body: object) -> bytes | BytesIO | None:
    """The body of a request; a large one is sent in pieces, so that other requests can go on."""
    if body is None:
        return None
    data = orjson.dumps(body)
    return data if len(data) < LARGE else BytesIO(data)
