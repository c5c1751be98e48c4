"""/healthz, /readyz and /metrics (port 9255, as the service we replace).

Healthy means that the process works on what it should; ready means that it owns its shard
and reads the log, or stands by to take over. Unlike the peer's, they look (F37).
"""

from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Protocol

from aiohttp import web

Check = Callable[[], str]
"""Returns what is wrong, in words; empty when nothing is."""


class Metrics(Protocol):
    """What /metrics serves."""

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        ...


class HealthServer:
    """A small HTTP server for probes and scrapes."""

    def __init__(self, address: str, token: str, metrics: Metrics, healthy: Check, ready: Check) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 -- Go's ":9255"
        self._token = token
        self._metrics = metrics
        self._runner: web.AppRunner | None = None
        self._app = web.Application()
        self._app.router.add_get("/healthz", _probe(healthy))
        self._app.router.add_get("/readyz", _probe(ready))
        self._app.router.add_get("/metrics", self._scrape)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be used.
        """
        self._runner = web.AppRunner(self._app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _scrape(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if self._token and not compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return web.Response(status=401, text="a bearer token is needed\n")
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        del request
        problem = check()
        return web.Response(status=503 if problem else 200, text=(problem or "OK") + "\n")

    return answer
