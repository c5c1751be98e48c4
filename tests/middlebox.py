"""What stands between the operator and the API server, and answers in its place when a test wants it to."""

import gzip
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.local import LocalCluster

PLURAL = "uploadpostprocessings"
Done = Callable[[], Awaitable[web.Response]]
"""Has the API server do what was asked for, and returns its answer."""
Fault = Callable[[web.Request, Done], Awaitable[web.StreamResponse]]
NOT_HANDED_ON = {"host", "content-length", "accept-encoding", "transfer-encoding", "connection"}
PIECE = b"x" * 65536


class Middlebox:
    """Hands requests on to a real API server. `fault` may be changed at any time."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._url, self._token = cluster.apiserver.url, cluster.apiserver.token
        self._tls = ssl.create_default_context(cafile=str(cluster.apiserver.ca_file))
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self.url = ""
        self.fault: Fault | None = None
        """What happens to the writes of uploads' resources."""
        self.met = 0
        """How many writes a fault has met."""

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()

    def kubeconfig(self, folder: Path) -> Path:
        """A file in that folder that leads to the API server through here, as its administrator."""
        path = folder / "kubeconfig"
        write_kubeconfig(path, server=self.url, ca=b"", token=self._token)
        return path

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        body = await request.read()

        async def done() -> web.Response:
            async with self._ask(request, body) as answer:
                return web.Response(
                    status=answer.status, headers=_kept(answer.headers), body=await answer.read()
                )

        is_write = request.method in {"POST", "PATCH"} and "dryRun" not in request.query
        if self.fault is None or not is_write or PLURAL not in request.path:
            return await done()
        self.met += 1
        return await self.fault(request, done)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        async with self._ask(request, b"") as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            return response

    def _ask(self, request: web.Request, body: bytes) -> aiohttp.client._RequestContextManager:
        assert self._client is not None
        url, headers = self._url + request.raw_path, _kept(request.headers)
        return self._client.request(request.method, url, headers=headers, data=body or None, ssl=self._tls)


def _kept(headers: aiohttp.typedefs.LooseHeaders) -> dict[str, str]:
    kept = {str(name): str(value) for name, value in dict(headers).items()}
    return {name: value for name, value in kept.items() if name.lower() not in NOT_HANDED_ON}


def instead(status: int, body: bytes, kind: str = "application/json", **headers: str) -> Fault:
    """The write is done, and something else is answered."""
    names = {key.replace("_", "-"): value for key, value in headers.items()}

    async def fault(request: web.Request, done: Done) -> web.Response:
        del request
        await done()
        return web.Response(status=status, body=body, headers={"Content-Type": kind, **names})

    return fault


async def reset(request: web.Request, done: Done) -> web.Response:
    """The write is done, and the connection is cut."""
    await done()
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def cut_off(request: web.Request, done: Done) -> web.StreamResponse:
    """The write is done, and the answer ends before its announced length."""
    answer = await done()
    response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
    assert isinstance(answer.body, bytes)
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def endless(request: web.Request, done: Done) -> web.StreamResponse:
    """The write is done, and the answer does not end."""
    await done()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(PIECE)


async def bomb(request: web.Request, done: Done) -> web.Response:
    """The write is done, and the answer is a gigabyte once it is unpacked."""
    del request
    await done()
    return web.Response(body=BOMB, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})


BOMB = gzip.compress(b"[" * (1 << 20)) * 1024
