"""Answers to kopf that the API server has not given: they end nothing, and say what they are."""

import asyncio
import copy
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from time import thread_time

import aiohttp
import orjson
import pytest
from aiohttp import web

from e2e.cluster.kubeconfig import write_kubeconfig
from tests.unit.resources.test_kopf_thread import FakeServer, until
from tests.unit.resources.test_watch_filter import filtered, line
from uploadpp.kube import bodies
from uploadpp.kube.credentials import find_credentials
from uploadpp.resources.watch import kopf_handlers, kopf_session, watch_filter
from uploadpp.resources.watch.kopf_thread import Watch
from uploadpp.resources.watch.watch_filter import EXPIRED

JSON = "application/json"


def page(
    status: int = 200, body: bytes = b"<html>sign in</html>", kind: str = "text/html", **more: str
) -> Callable[[], web.Response]:
    headers = {"Content-Type": kind, **{key.replace("_", "-"): value for key, value in more.items()}}
    return lambda: web.Response(status=status, body=body, headers=headers)


def said(status: int, message: str, **more: str) -> Callable[[], web.Response]:
    body = orjson.dumps({"kind": "Status", "message": message, "code": status, "details": None})
    return page(status, body, JSON, **more)


BOMB = gzip.compress(b"[" * (1 << 22))
ANSWERS = {
    "a page": page(),
    "an empty object": page(body=b"{}", kind=JSON),
    "a page of a 404": page(404),
    "a 404 of something else": said(404, "no such route"),
    "400": said(400, "bad"),
    "407": page(407),
    "409": said(409, "conflict"),
    "410": said(410, "too old"),
    "418": page(418),
    "an hour's pause": said(429, "slow down", Retry_After="3600"),
    "a pause until a date": said(429, "slow down", Retry_After="Wed, 21 Oct 2099 07:28:00 GMT"),
    "a pause in words": page(429, b'{"kind":"Status","details":{"retryAfterSeconds":"x"}}', JSON),
    "503": page(503),
    "a bomb": page(200, BOMB, JSON, Content_Encoding="gzip"),
    "a bomb of a 500": page(500, BOMB, JSON, Content_Encoding="gzip"),
}


class Between(FakeServer):
    """The fake API server, and before it something that answers a number of requests in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.instead: dict[str, list[Callable[[], web.Response]]] = {}
        self.strangers: list[str] = []
        """The Authorization headers that another server was sent."""
        self.app.middlewares.append(self._between)
        self.app.router.add_get("/elsewhere", self._elsewhere)

    @web.middleware
    async def _between(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        verb = "discovery"
        if request.path.endswith("uploadpostprocessings"):
            verb = "watch" if "watch" in request.query else "list"
        waiting = self.instead.get(verb, [])
        if waiting and request.path != "/elsewhere":
            return waiting.pop(0)()
        return await handler(request)

    async def _elsewhere(self, request: web.Request) -> web.Response:
        self.strangers.append(request.headers.get("Authorization", ""))
        return web.json_response({})


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Between]:
    made = Between()
    runner = web.AppRunner(made.app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file = tmp_path / "kubeconfig"
    write_kubeconfig(file, server=f"http://127.0.0.1:{runner.addresses[0][1]}", ca=b"", token="t0ken")
    monkeypatch.setenv("KUBECONFIG", str(file))
    monkeypatch.setattr(kopf_handlers, "BACK_OFF_SECONDS", (0.02,))
    monkeypatch.setattr(kopf_session, "SHORT_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(watch_filter, "ERROR_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(bodies, "MOST_BYTES", 1 << 20)
    yield made
    made.cut()
    await runner.cleanup()


@pytest.fixture
async def watch(server: Between) -> AsyncIterator[Watch]:
    del server
    made = Watch(lambda *_: None, "ocis", credentials=find_credentials())
    yield made
    assert not made.ended.done(), "the watch has gone on all the time"
    await asyncio.wait_for(made.stop(), 9)


@pytest.mark.parametrize("verb", ["discovery", "list", "watch"])
async def test_whatever_is_answered_in_its_place_the_watch_opens_after_it(
    server: Between, watch: Watch, verb: str
) -> None:
    """One answer after another, each to the next request."""
    server.instead[verb] = [*ANSWERS.values()]
    watch.start()
    async with asyncio.timeout(20):
        while server.instead[verb] or not watch.ready:
            assert not watch.ended.done(), f"ended with {len(server.instead[verb])} answers to come"
            await asyncio.sleep(0.02)


async def test_what_was_answered_is_said(server: Between, watch: Watch) -> None:
    watch.start()
    await until(watch, "")
    for answer, words in ((page(502, b"<h1>bad gateway</h1>"), "bad gateway"), (page(), "not a watch")):
        server.instead["watch"] = [answer] * 100
        server.cut()
        await until(watch, words)
        server.instead["watch"] = []
        await until(watch, "")


@pytest.mark.parametrize("verb", ["discovery", "list", "watch"])
async def test_our_credentials_follow_no_redirect(server: Between, watch: Watch, verb: str) -> None:
    server.instead[verb] = [page(302, b"", "text/plain", Location="/elsewhere")] * 2
    watch.start()
    await asyncio.wait_for(watch.opened.wait(), 10)
    assert server.strangers == []


@pytest.mark.parametrize(
    "error",
    [
        {"kind": "Status", "code": 500, "message": "etcdserver: no leader"},
        {"kind": "Status", "code": 429, "message": "too many requests"},
        {"kind": "Status"},
        {"code": "410"},
        {},
    ],
    ids=str,
)
async def test_an_error_in_a_watch_has_all_listed_anew(
    server: Between, watch: Watch, error: dict[str, object]
) -> None:
    watch.start()
    await asyncio.wait_for(watch.opened.wait(), 10)
    watch.opened.clear()
    server.say(orjson.dumps({"type": "ERROR", "object": error}), b"")
    await asyncio.wait_for(watch.opened.wait(), 10)
    await until(watch, "")


async def test_a_watch_that_ends_at_once_is_not_asked_for_without_a_pause(
    server: Between, watch: Watch
) -> None:
    server.instead["watch"] = [page(200, b"{}\n", JSON)] * 1000
    watch.start()
    async with asyncio.timeout(10):
        while len(server.instead["watch"]) > 996:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)
    asked = len(server.instead["watch"])
    await asyncio.sleep(0.5)
    assert asked - len(server.instead["watch"]) < 20


async def test_a_watch_that_is_silent_is_opened_again(
    server: Between, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes, and no word that the connection is dead."""
    monkeypatch.setattr(kopf_handlers, "SILENT_SECONDS", 0.3)
    watch.start()
    async with asyncio.timeout(10):
        while len(server._ends) < 3:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)
    assert server.listings == ["metadata.name=nobody"], "it goes on from where it was"


async def test_a_line_that_takes_too_long_has_the_watch_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte it would keep a watch open in which nothing is heard."""
    monkeypatch.setattr(watch_filter, "LINE_SECONDS", -1.0)
    event = line("ADDED", "theirs")
    told = [data async for data in filtered(event * 2, len(event)).iter_chunked(1)]
    assert told == [event, event]
    with pytest.raises(aiohttp.ClientPayloadError, match="does not end"):
        async for _ in filtered(event, len(event) - 1).iter_chunked(1):
            pass


async def test_a_long_line_in_small_pieces_is_not_copied_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_filter, "LINE_SECONDS", 60.0)
    event = line("ADDED", "x" * 2_000_000)
    began = thread_time()
    told = [data async for data in filtered(event, 100).iter_chunked(1)]
    assert thread_time() - began < 2
    assert b"".join(told) == event


async def test_a_line_without_an_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_filter, "MOST_BYTES", 10_000)
    with pytest.raises(aiohttp.ClientPayloadError, match="longer than any event"):
        async for _ in filtered(b"x" * 1_000_000, 1000).iter_chunked(1):
            pass


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"BOOKMARK","object":{"metadata":null}}',
        b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":{}}}}',
        b'{"type":"BOOKMARK","object":{}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":[]}}}',
        b'{"type":["ADDED"],"object":{"metadata":{"name":"a"}}}',
        b'{"type":"ERROR","object":null}',
        b'{"type":"ERROR","object":"gone"}',
    ],
)
async def test_lines_that_would_end_kopf_are_passed_over(line: bytes) -> None:
    assert [data async for data in filtered(line + b"\n", 100).iter_chunked(1)] == []


@pytest.mark.parametrize("levels", [90, 300, 1100, 9000])
async def test_s2_kopf_is_given_nothing_that_is_nested_without_end(levels: int) -> None:
    """It copies what it is given, and would end at the depth of Python's stack."""
    deep = b'{"type":"ADDED","object":{"metadata":{"name":"theirs"},"status":{"x":%s}}}\n' % (
        b"[" * levels + b"]" * levels
    )
    (told,) = [data async for data in filtered(deep, 1000).iter_chunked(1)]
    assert copy.deepcopy(orjson.loads(told))["object"]["metadata"] == {"name": "theirs"}


async def test_any_error_is_told_as_a_position_that_is_too_old() -> None:
    text = b'{"type":"ERROR","object":{"code":410,"message":"too old"}}\n'
    assert [data async for data in filtered(text, 100).iter_chunked(1)] == [EXPIRED + b"\n"]
