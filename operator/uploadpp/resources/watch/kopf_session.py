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

from uploadpp.http.responses import Connector
from uploadpp.kube.credentials import Credentials
from uploadpp.kube.errors import ExpiredError, MissingKindError, words_of
from uploadpp.kube.store import GROUP
from uploadpp.resources.watch.foreign_responses import ForeignResponseError, check
from uploadpp.resources.watch.watch_filter import ExpiredWatch, IsOwnWrite, OwnWriteFilter

STARTING = "it has not requested the resources yet"
NOBODY = "nobody"
"""Were there a resource of that name, it would be listed."""
LONGEST_PAUSE_SECONDS = 5.0
"""Kopf logs in again at once when it is refused; the pauses are made here."""
ANSWER_SECONDS = 15.0
"""How long kopf waits for a response; a watch gets one when it opens."""
SHORT_SECONDS = 5.0
SHORT_PAUSE_SECONDS = 1.0
"""Kopf asks again at once when a watch ends. One that was short is followed by a pause."""
QUIET_SECONDS = 5.0
"""A watch may be cut off at any time; when it is not open again after this, that is said."""
DISCOVERY_SECONDS = 10.0
"""When nothing was asked so long after the last answer, kopf has not found the resource, and will not."""


def unknown(plural: str) -> str:
    """That the API server does not have this kind of resource."""
    return f"the API server does not serve {plural}.{GROUP}; is the CRD installed?"


@dataclass(eq=False)
class KopfSession:
    """What one run of kopf has asked, and what it was told.

    `on_open` is called when a watch is answered that begins at a new listing.
    """

    plural: str
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
    _watched_at: float = 0.0
    _failing_since: float | None = None
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
            connector=Connector(limit=0, ssl=now.context or True),
            headers={"User-Agent": "uploadpp"},
            proxy=proxy.url if proxy else None,
            cookie_jar=aiohttp.DummyCookieJar(),
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
        for name, _ in now.headers:
            request.headers.popall(name, None)  # what aiohttp has set by itself
        request.headers.extend(now.headers)
        if self._credentials.proxy is not None:
            request.proxy_headers = CIMultiDict(self._credentials.proxy.connect_headers)
            request.headers.update(self._credentials.proxy.request_headers)
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
        ours = self._is_ours(request.url.path)
        is_watch = ours and "watch" in request.url.query
        if ours and not is_watch:
            request.url = request.url.update_query(fieldSelector=f"metadata.name={NOBODY}")
        if is_watch:
            await self._pause()
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await ask(request)
            error = await check(answer, is_watch=is_watch)
        if is_watch and isinstance(error, ExpiredError):  # kopf expects it as an event
            answer.status = HTTPStatus.OK
            answer.content = cast("aiohttp.StreamReader", OwnWriteFilter(ExpiredWatch(), self.is_own_write))
        elif is_watch and error is None:
            answer.content = cast("aiohttp.StreamReader", OwnWriteFilter(answer.content, self.is_own_write))
        elif error is not None:
            self.trouble = str(error)
            self.missing |= ours and isinstance(error, MissingKindError)
        return answer

    async def _pause(self) -> None:
        """Something that ends every watch at once would have kopf ask without a pause."""
        if time.monotonic() - self._watched_at < SHORT_SECONDS:
            await asyncio.sleep(SHORT_PAUSE_SECONDS)
        self._watched_at = time.monotonic()

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
        if told.response.status < HTTPStatus.BAD_REQUEST and self._is_ours(told.url.path):
            if "watch" not in told.url.query:
                self._listed = True
            else:
                self.open, self.trouble, self._failing_since = True, "", None
                if self._listed:
                    self._listed = False
                    self.on_open()
        self._answered_at = time.monotonic()

    async def _on_failure(
        self, _session: object, _context: object, failed: aiohttp.TraceRequestExceptionParams
    ) -> None:
        error, now = failed.exception, time.monotonic()
        if isinstance(error, asyncio.CancelledError):
            return
        if isinstance(error, ForeignResponseError):
            self.trouble, self._answered_at = str(error), now
            return
        if self._failing_since is None:
            self._failing_since = now
        if not self.open or now - self._failing_since >= QUIET_SECONDS:
            self.trouble = f"{HTTPMethod.GET} {failed.url.path}: {words_of(error)}"

    def _is_ours(self, path: str) -> bool:
        path = path.removeprefix(self._credentials.prefix if self._credentials else "")
        return path.startswith(f"/apis/{GROUP}/") and path.endswith(f"/{self.plural}")
