"""Whether kopf's watch is open, judged by the answers to kopf's own requests.

Kopf raises its ready flag before it has asked the API server anything, and offers nothing public that
comes later: a listing of nothing makes no event. But it takes an HTTP session made by us, and a session
can be listened to. Kopf looks for the resource, lists it, and asks for a watch from there on; so when that
watch is answered with 200, the listing has succeeded too. The API server answers it before any event.

Of its listing kopf gets nothing but the position: listing is what we do ourselves, each time kopf has, at a
tenth of the price and with an eye for what is gone (docs/adr/0014). Of its watch it gets what is news to us.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import cast

import aiohttp
import kopf

from uploadpp.kube.answers import error_of
from uploadpp.kube.store import GROUP, PLURAL
from uploadpp.runtime.echoes import IsEcho, WithoutEchoes

STARTING = "it has not asked for the resources yet"
UNKNOWN = f"the API server does not offer {PLURAL}.{GROUP}; is the CRD installed?"
NOBODY = "nobody"
"""Were there a resource of that name, it would be listed."""
DISCOVERY_SECONDS = 10.0
"""When nothing was asked so long after the last answer, kopf has not found the resource, and will not."""


@dataclass(eq=False)
class Opening:
    """What one run of kopf has asked, and what it was told.

    `on_open` is called when a watch is answered that begins at a new listing.
    """

    on_open: Callable[[], None]
    is_echo: IsEcho
    open: bool = False
    """Whether the watch was once answered."""
    trouble: str = STARTING
    """What keeps the watch from being open; empty when nothing does."""
    _asked: bool = False
    _listed: bool = False
    _answered_at: float = 0.0
    _session: aiohttp.ClientSession | None = None
    _given: kopf.ConnectionInfo | None = None

    @property
    def found_nothing(self) -> bool:
        """Whether kopf is done with looking for the resource, and does not know of it."""
        idle = time.monotonic() - self._answered_at > DISCOVERY_SECONDS
        return not self._asked and self._answered_at > 0 and idle

    def session(self, found: kopf.ConnectionInfo | None) -> kopf.AiohttpSession | None:
        """The session kopf shall use; None when there are no credentials, or only those it has given back."""
        if found is None or found == self._given:
            return None
        self._given = found
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._on_start)
        trace.on_request_end.append(self._on_answer)
        trace.on_request_exception.append(self._on_failure)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=found.as_ssl_context()),
            headers={"User-Agent": "uploadpp", **found.as_http_headers()},
            proxy=found.proxy_url,
            trust_env=found.trust_env,
            trace_configs=[trace],
            middlewares=[self._ask],
        )
        return kopf.AiohttpSession(
            server=found.server,
            default_namespace=found.default_namespace,
            priority=found.priority,
            aiohttp_session=self._session,
        )

    async def _ask(
        self, request: aiohttp.ClientRequest, ask: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Let a listing be answered with its position only, and a watch tell nothing of our own writes."""
        if not _is_ours(request.url.path):
            return await ask(request)
        if "watch" not in request.url.query:
            request.url = request.url.update_query(fieldSelector=f"metadata.name={NOBODY}")
            return await ask(request)
        answer = await ask(request)
        answer.content = cast("aiohttp.StreamReader", WithoutEchoes(answer.content, self.is_echo))
        return answer

    async def close(self) -> None:
        """Close what kopf, when it ends at once, has never used and so does not close."""
        if self._session is not None:
            await self._session.close()

    async def _on_start(
        self, _session: object, _context: object, asked: aiohttp.TraceRequestStartParams
    ) -> None:
        self._asked = self._asked or _is_ours(asked.url.path)

    async def _on_answer(
        self, _session: object, _context: object, told: aiohttp.TraceRequestEndParams
    ) -> None:
        status = told.response.status
        if status >= HTTPStatus.BAD_REQUEST:
            # What was read stays with the response, for kopf to read again.
            data = await told.response.read()
            self.trouble = str(
                error_of(told.method, told.url.path, told.response.status, told.response.headers, data)
            )
        elif _is_ours(told.url.path):
            if "watch" not in told.url.query:
                self._listed = True
            else:
                self.open, self.trouble = True, ""
                if self._listed:
                    self._listed = False
                    self.on_open()
        self._answered_at = time.monotonic()

    async def _on_failure(
        self, _session: object, _context: object, failed: aiohttp.TraceRequestExceptionParams
    ) -> None:
        if self.open or isinstance(failed.exception, asyncio.CancelledError):
            return  # an open watch may be cut off at any time; kopf asks again from where it was
        self.trouble = f"{HTTPMethod.GET} {failed.url.path}: {type(failed.exception).__name__}"


def _is_ours(path: str) -> bool:
    return path.startswith(f"/apis/{GROUP}/") and path.endswith(f"/{PLURAL}")
