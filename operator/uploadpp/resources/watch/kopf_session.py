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
from multidict import CIMultiDict

from uploadpp.kube.answers import error_of
from uploadpp.kube.credentials import Credentials
from uploadpp.kube.errors import MissingKindError
from uploadpp.kube.store import GROUP, PLURAL
from uploadpp.resources.watch.watch_filter import IsOwnWrite, OwnWriteFilter

STARTING = "it has not asked for the resources yet"
UNKNOWN = f"the API server does not offer {PLURAL}.{GROUP}; is the CRD installed?"
NOBODY = "nobody"
"""Were there a resource of that name, it would be listed."""
LONGEST_PAUSE_SECONDS = 5.0
"""Kopf logs in again at once when it is refused; the pauses are made here."""
DISCOVERY_SECONDS = 10.0
"""When nothing was asked so long after the last answer, kopf has not found the resource, and will not."""


@dataclass(eq=False)
class KopfSession:
    """What one run of kopf has asked, and what it was told.

    `on_open` is called when a watch is answered that begins at a new listing.
    """

    on_open: Callable[[], None]
    is_own_write: IsOwnWrite
    open: bool = False
    """Whether the watch was once answered."""
    trouble: str = STARTING
    """What keeps the watch from being open; empty when nothing does."""
    missing: bool = False
    """Whether the API server has said that there are no such resources: kopf would end the watch."""
    _asked: bool = False
    _listed: bool = False
    _answered_at: float = 0.0
    _session: aiohttp.ClientSession | None = None
    _credentials: Credentials | None = None
    _logins: int = 0

    @property
    def found_nothing(self) -> bool:
        """Whether kopf is done with looking for the resource, and does not know of it."""
        idle = time.monotonic() - self._answered_at > DISCOVERY_SECONDS
        return not self._asked and self._answered_at > 0 and idle

    async def session(self, credentials: Credentials) -> kopf.AiohttpSession:
        """The session kopf shall use. It asks for another one when the API server has answered 401."""
        if self._logins:
            await asyncio.sleep(min(2.0 ** (self._logins - 1), LONGEST_PAUSE_SECONDS))
        self._logins += 1
        self._credentials = credentials
        proxy, now = credentials.proxy, await credentials.current()
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._on_start)
        trace.on_request_end.append(self._on_answer)
        trace.on_request_exception.append(self._on_failure)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=now.context or True),
            headers={"User-Agent": "uploadpp"},
            proxy=proxy.url if proxy else None,
            trace_configs=[trace],
            middlewares=[self._log_in, self._ask],
        )
        return kopf.AiohttpSession(server=credentials.server, aiohttp_session=self._session)

    async def _log_in(
        self, request: aiohttp.ClientRequest, ask: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send the credentials that our own requests are sent with, and have refused ones renewed."""
        assert self._credentials is not None  # noqa: S101 -- the session was made with them
        now = await self._credentials.current()
        request.headers.extend(now.headers)
        if self._credentials.proxy is not None:
            request.proxy_headers = CIMultiDict(self._credentials.proxy.headers)
        answer = await ask(request)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            await self._credentials.renewed(now)
        elif answer.ok:
            self._logins = 1
        return answer

    async def _ask(
        self, request: aiohttp.ClientRequest, ask: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Let a listing be answered with its position only, and a watch tell nothing of our own writes."""
        if not self._is_ours(request.url.path):
            return await ask(request)
        if "watch" not in request.url.query:
            request.url = request.url.update_query(fieldSelector=f"metadata.name={NOBODY}")
            return await ask(request)
        answer = await ask(request)
        answer.content = cast("aiohttp.StreamReader", OwnWriteFilter(answer.content, self.is_own_write))
        return answer

    async def close(self) -> None:
        """Close what kopf, when it ends at once, has never used and so does not close."""
        if self._session is not None:
            await self._session.close()

    async def _on_start(
        self, _session: object, _context: object, asked: aiohttp.TraceRequestStartParams
    ) -> None:
        self._asked = self._asked or self._is_ours(asked.url.path)

    async def _on_answer(
        self, _session: object, _context: object, told: aiohttp.TraceRequestEndParams
    ) -> None:
        status = told.response.status
        if status >= HTTPStatus.BAD_REQUEST:
            # What was read stays with the response, for kopf to read again.
            data = await told.response.read()
            said = told.response
            error = error_of(told.method, told.url.path, said.status, said.headers, data)
            self.trouble = str(error)
            self.missing |= isinstance(error, MissingKindError) and self._is_ours(told.url.path)
        elif self._is_ours(told.url.path):
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

    def _is_ours(self, path: str) -> bool:
        path = path.removeprefix(self._credentials.prefix if self._credentials else "")
        return path.startswith(f"/apis/{GROUP}/") and path.endswith(f"/{PLURAL}")
