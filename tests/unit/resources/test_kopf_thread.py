"""What keeps the watch from being open, with an API server that says what a test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiohttp import web

from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.ports import free_port
from uploadpp.kube import credentials
from uploadpp.kube.credentials import find_credentials
from uploadpp.kube.store import GROUP, PLURAL, VERSION
from uploadpp.resources.watch import kopf_session
from uploadpp.resources.watch.kopf_thread import Watch

RESOURCE = {"name": PLURAL, "singularName": "upp", "kind": "UploadPostprocessing", "namespaced": True}
NAMESPACES = {"name": "namespaces", "singularName": "", "kind": "Namespace", "namespaced": False}


class FakeServer:
    """Discovery, a listing of nothing and a watch in which nothing happens."""

    def __init__(self) -> None:
        self.offered = True
        self.refused: dict[str, int] = {}
        """The status of the answer to `list` or `watch`."""
        self.accepted = ""
        """The one Authorization header that is taken; empty: any."""
        self.tokens: list[str] = []
        self.encodings: list[str] = []
        """Each Accept-Encoding of the last request."""
        self.listings: list[str] = []
        """What the listings were limited to."""
        self._last_words = b""
        self._ends: list[asyncio.Event] = []
        self.app = web.Application()
        for path, answer in {
            "/api": lambda: {"versions": ["v1"]},
            "/api/v1": lambda: {"resources": [{**NAMESPACES, "verbs": ["list", "watch"]}]},
            "/apis": lambda: {"groups": self._groups()},
            f"/apis/{GROUP}/{VERSION}": lambda: {"resources": [{**RESOURCE, "verbs": ["list", "watch"]}]},
        }.items():
            self.app.router.add_get(path, self._discovery(answer))
        self.app.router.add_get(f"/apis/{GROUP}/{VERSION}/namespaces/ocis/{PLURAL}", self._resources)

    def cut(self) -> None:
        """End every watch, as a server does from time to time."""
        for end in self._ends:
            end.set()

    def tell(self, *events: tuple[str, str]) -> None:
        """Say what has become of some resources, then end every watch."""
        self._last_words = b"".join(
            orjson.dumps({"type": kind, "object": {"metadata": {"name": name, "uid": f"{kind} {name}"}}})
            + b"\n"
            for kind, name in events
        )
        self.cut()

    def say(self, *lines: bytes) -> None:
        """Say these lines, the last one without an end, then end every watch."""
        self._last_words = b"\n".join(lines)
        self.cut()

    def forget(self) -> None:
        """Say that the position is too old, as a server does that has forgotten what was since."""
        self._last_words = b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n'
        self.cut()

    def _groups(self) -> list[dict[str, Any]]:
        version = {"version": VERSION}
        return [{"name": GROUP, "versions": [version], "preferredVersion": version}] if self.offered else []

    def _discovery(self, answer: Callable[[], Any]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            self.tokens.append(request.headers["Authorization"])
            return web.json_response(answer())

        return handler

    async def _resources(self, request: web.Request) -> web.StreamResponse:
        verb = "watch" if "watch" in request.query else "list"
        self.tokens.append(request.headers["Authorization"])
        self.encodings = request.headers.getall("Accept-Encoding")
        if self.accepted and self.accepted != self.tokens[-1]:
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        if status := self.refused.get(verb):
            words = {"kind": "Status", "message": f"mary cannot {verb} resource", "code": status}
            return web.json_response(words, status=status)
        if verb == "list":
            self.listings.append(request.query.get("fieldSelector", ""))
            return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})
        response = web.StreamResponse()
        await response.prepare(request)
        self._ends.append(asyncio.Event())
        await self._ends[-1].wait()
        await response.write(self._last_words)
        self._last_words = b""
        return response


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    made, port = FakeServer(), free_port()
    runner = web.AppRunner(made.app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    file = tmp_path / "kubeconfig"
    write_kubeconfig(file, server=f"http://127.0.0.1:{port}", ca=b"", token="t0ken")
    file.write_text(file.read_text().replace("certificate-authority-data", "unused"))
    monkeypatch.setenv("KUBECONFIG", str(file))
    yield made
    made.cut()
    await runner.cleanup()


@pytest.fixture
async def watch(server: FakeServer) -> AsyncIterator[Watch]:
    del server
    made = Watch(lambda *_: None, "ocis", credentials=find_credentials())
    yield made
    await asyncio.wait_for(made.stop(), 9)
    await asyncio.wait_for(made.ended, 20)


async def until(watch: Watch, words: str) -> None:
    """Wait until the watch says so; it is ready when it has nothing to say."""
    async with asyncio.timeout(20):
        while not (words in watch.problem if words else watch.ready):  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)


async def test_nothing_listed_is_ready_too(server: FakeServer, watch: Watch) -> None:
    assert watch.problem.startswith("the watch has not started: ")
    watch.start()
    await until(watch, "")
    assert set(server.tokens) == {"Bearer t0ken"}


@pytest.mark.parametrize("verb", ["list", "watch"])
async def test_what_is_refused_is_said(server: FakeServer, watch: Watch, verb: str) -> None:
    server.refused[verb] = 403
    watch.start()
    await until(watch, f"{PLURAL}: 403 mary cannot {verb} resource (the chart's Role")
    assert watch.problem.startswith("the watch has not started: GET ")
    assert not watch.ready
    server.refused.clear()
    await until(watch, "")


async def test_rights_that_are_taken_away_later(server: FakeServer, watch: Watch) -> None:
    watch.start()
    await until(watch, "")
    server.refused["watch"] = 403
    server.cut()
    await until(watch, "the watch is interrupted: GET ")
    server.refused.clear()
    await until(watch, "")


async def test_a_watch_that_is_cut_off_is_no_problem(server: FakeServer, watch: Watch) -> None:
    watch.start()
    await until(watch, "")
    server.cut()
    for _ in range(30):
        await asyncio.sleep(0.01)
        assert watch.ready


async def test_discovery_that_comes_late(
    server: FakeServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kopf looks once: a CRD that discovery did not have at that moment would never be watched."""
    monkeypatch.setattr(kopf_session, "DISCOVERY_SECONDS", 0.2)
    server.offered = False
    watch.start()
    await until(watch, f"the API server does not serve {PLURAL}.{GROUP}")
    server.offered = True
    await until(watch, "")


async def test_refused_credentials_are_said_and_tried_again(server: FakeServer, watch: Watch) -> None:
    server.refused["list"] = 401
    watch.start()
    await until(watch, "401 mary cannot list resource")
    assert not watch.ended.done()
    server.refused.clear()
    await until(watch, "")


async def test_a_token_that_is_renewed_is_used_for_the_watch_too(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, file = tmp_path / "token", tmp_path / "kubeconfig"
    token.write_text("old\n")
    config = yaml.safe_load(file.read_text())
    config["users"][0]["user"] = {"tokenFile": "token"}
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setattr(credentials, "LEAST_SECONDS", 0.0)
    watch = Watch(lambda *_: None, "ocis", credentials=find_credentials())
    server.accepted = "Bearer old"
    watch.start()
    await until(watch, "")
    watch.opened.clear()
    token.write_text("new\n")
    server.accepted = "Bearer new"
    server.forget()
    await asyncio.wait_for(watch.opened.wait(), 20)
    await until(watch, "")
    assert not watch.ended.done()
    assert server.tokens[-1] == "Bearer new"
    await watch.stop()


async def test_the_watch_is_not_compressed_either(server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    config = yaml.safe_load(file.read_text())
    config["clusters"][0]["cluster"]["disable-compression"] = True
    file.write_text(yaml.safe_dump(config))
    watch = Watch(lambda *_: None, "ocis", credentials=find_credentials())
    watch.start()
    await until(watch, "")
    assert server.encodings == ["identity"]
    await watch.stop()


async def test_a_line_that_is_not_an_event_is_passed_over(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    heard = asyncio.Event()

    def sink(_: str | None, resource: dict[str, Any]) -> None:
        told.append(resource["metadata"]["name"])
        if resource["metadata"]["name"] == "last":
            heard.set()

    watch = Watch(sink, "ocis", credentials=find_credentials())
    watch.start()
    await until(watch, "")
    server.say(
        b'{"type":"ADDED","object":{"metadata":{"name":"first","uid":"1"}}}',
        b'{"type":"ADDED","object":',
        b"<html>bad gateway</html>",
        b'{"type":"MODIFIED","object":{"metadata":{}}}',
        b'{"type":"MODIFIED","object":{"metadata":{"name":5,"uid":[]}}}',
        b'{"type":"MODIFIED","object":null}',
        b'{"type":"DELETED"}',
        b'{"object":{}}',
        b"[]",
        b"\xff\xfe",
        b"",
        b'{"type":"ADDED","object":{"metadata":{"name":"last","uid":"2"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"cut',
    )
    await asyncio.wait_for(heard.wait(), 10)
    await until(watch, "")
    assert not watch.ended.done()
    await watch.stop()
    assert sorted(told) == ["first", "last"]
    assert "skipped a line" in caplog.text


async def test_it_says_when_it_begins_anew_and_leaves_the_listing_to_us(
    server: FakeServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kopf_session, "SHORT_PAUSE_SECONDS", 0.0)
    watch.start()
    await asyncio.wait_for(watch.opened.wait(), 10)
    watch.opened.clear()
    server.cut()
    await asyncio.sleep(0.3)
    assert not watch.opened.is_set()  # it goes on from where it was
    server.forget()
    await asyncio.wait_for(watch.opened.wait(), 10)
    assert server.listings == ["metadata.name=nobody"] * 2


async def test_it_is_told_what_is_news(server: FakeServer) -> None:
    told: list[tuple[str | None, str]] = []
    heard = asyncio.Event()

    def sink(kind: str | None, resource: dict[str, Any]) -> None:
        told.append((kind, resource["metadata"]["name"]))
        if len(told) == 3:
            heard.set()

    watch = Watch(
        sink,
        "ocis",
        is_own_write=lambda resource: resource["metadata"]["name"] == "ours",
        credentials=find_credentials(),
    )
    watch.start()
    await until(watch, "")
    server.tell(
        ("ADDED", "ours"),
        ("ADDED", "theirs"),
        ("MODIFIED", "ours"),
        ("MODIFIED", "theirs"),
        ("DELETED", "ours"),
    )
    await asyncio.wait_for(heard.wait(), 10)
    await watch.stop()
    assert sorted(told) == [("ADDED", "theirs"), ("DELETED", "ours"), ("MODIFIED", "theirs")]
