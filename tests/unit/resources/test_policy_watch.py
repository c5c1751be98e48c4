"""The policies are known before the first upload, and followed from then on."""

import asyncio
from typing import Any, Self

import pytest

from uploadpp.kube.errors import ForbiddenError, MissingKindError
from uploadpp.kube.policy_store import TooManyPoliciesError
from uploadpp.resources import policy_watch
from uploadpp.resources.policy_watch import PolicyWatch
from uploadpp.resources.watch.kopf_handlers import Sink
from uploadpp.resources.watch.watch_filter import IsOwnWrite

MISSING = MissingKindError("404 page not found (the CRD is not installed)")


def policy(name: str, generation: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid of {name}", "generation": generation}}


class Server:
    """Policies, as the API server lists them."""

    def __init__(self) -> None:
        self.policies: list[dict[str, Any]] = []
        self.refusal: Exception | None = None
        self.listed = 0

    async def list_all(self) -> list[dict[str, Any]]:
        self.listed += 1
        if self.refusal is not None:
            raise self.refusal
        return self.policies

    async def get(self, name: str) -> dict[str, Any] | None:
        raise NotImplementedError(name)

    async def write_status(self, name: str, version: str, status: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError(name, version, status)


class FakeWatch:
    """A watch that says what a test wants it to."""

    def __init__(self, sink: Sink, is_own_write: IsOwnWrite) -> None:
        self.sink = sink
        self.is_own_write = is_own_write
        self.opened = asyncio.Event()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.problem = ""
        self.stopped = False

    def take_kind_was_missing(self) -> bool:
        return False

    def start(self) -> None:
        self.opened.set()

    async def stop(self) -> None:
        self.stopped = True


class Bench:
    """A policy watch at work."""

    def __init__(self) -> None:
        self.server = Server()
        self.watches: list[FakeWatch] = []
        self.taking: list[list[str]] = []
        self.taken: list[list[str]] = []
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.watch = PolicyWatch(self.server, self._new_watch, self._take)
        self._task: asyncio.Task[None] | None = None

    def _new_watch(self, sink: Sink, is_own_write: IsOwnWrite) -> FakeWatch:
        self.watches.append(FakeWatch(sink, is_own_write))
        return self.watches[-1]

    async def _take(self, resources: list[dict[str, Any]]) -> None:
        self.taking.append([each["metadata"]["name"] for each in resources])
        await self.may_take.wait()
        self.taken.append([each["metadata"]["name"] for each in resources])

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.watch.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, done: Any) -> None:  # noqa: ANN401 -- a question
        async with asyncio.timeout(20):
            while not done():  # noqa: ASYNC110 -- nobody says when
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_watch, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(policy_watch, "LONGEST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(policy_watch, "SETTLE_SECONDS", 0.001)


@pytest.mark.parametrize(
    "refusal", [MISSING, ForbiddenError("403 cannot list"), TooManyPoliciesError("more than 500")]
)
async def test_what_keeps_them_from_being_known_is_said(refusal: Exception) -> None:
    bench = Bench()
    assert "not been read yet" in bench.watch.problem
    bench.server.refusal = refusal
    async with bench:
        await bench.until(lambda: bench.server.listed > 1)
        assert not bench.watch.known
        assert bench.watch.problem == (
            f"cannot read the policies, no upload starts until they are known: {refusal}"
        )
        assert bench.taken == []
        bench.server.refusal = None
        await bench.until(lambda: bench.watch.known)
        assert bench.watch.problem == ""
        assert bench.taken[0] == []


async def test_they_are_known_once_they_are_in_force() -> None:
    bench = Bench()
    bench.may_take.clear()
    async with bench:
        await bench.until(lambda: bench.taking)
        assert not bench.watch.known
        assert "no upload starts until they are known" in bench.watch.problem
        bench.may_take.set()
        await bench.until(lambda: bench.watch.known)
        assert bench.watch.problem == ""


async def test_a_change_while_others_are_put_into_force_is_listed() -> None:
    async with Bench() as bench:
        await bench.until(lambda: len(bench.taken) > 1)
        bench.may_take.clear()
        bench.server.policies = [policy("a")]
        bench.watches[0].sink("ADDED", policy("a"))
        await bench.until(lambda: bench.taking[-1] == ["a"])
        bench.server.policies = [policy("a"), policy("b")]
        assert not bench.watches[0].is_own_write(policy("b"))
        bench.watches[0].sink("ADDED", policy("b"))
        bench.may_take.set()
        await bench.until(lambda: bench.taken[-1] == ["a", "b"])


async def test_a_change_is_listed() -> None:
    async with Bench() as bench:
        await bench.until(lambda: len(bench.taken) > 1)
        bench.server.policies = [policy("new")]
        bench.watches[0].sink("ADDED", policy("new"))
        await bench.until(lambda: bench.taken[-1] == ["new"])


async def test_a_new_status_is_no_change() -> None:
    async with Bench() as bench:
        bench.server.policies = [policy("p", 3)]
        await bench.until(lambda: bench.watches)
        bench.watches[0].sink("ADDED", policy("p", 3))
        await bench.until(lambda: bench.taken and bench.taken[-1] == ["p"])
        known = bench.watches[0].is_own_write
        assert known(policy("p", 3))
        assert not known(policy("p", 4))
        assert not known(policy("q", 3))


async def test_what_was_known_counts_while_the_api_server_is_away() -> None:
    async with Bench() as bench:
        bench.server.policies = [policy("p")]
        await bench.until(lambda: bench.taken and bench.taken[-1] == ["p"])
        await bench.until(lambda: bench.watches)
        bench.server.refusal = MISSING
        bench.watches[0].sink("DELETED", policy("p"))
        await bench.until(lambda: "the last known ones count" in bench.watch.problem)
        assert bench.watch.known
        assert bench.taken[-1] == ["p"]


async def test_a_watch_that_ends_is_renewed() -> None:
    async with Bench() as bench:
        await bench.until(lambda: bench.watches)
        bench.watches[0].problem = "the watch is interrupted"
        assert "the watch is interrupted" in bench.watch.problem
        bench.watches[0].ended.set_exception(RuntimeError("over"))
        await bench.until(lambda: len(bench.watches) > 1)
        assert bench.watches[0].stopped
        bench.server.policies = [policy("later")]
        bench.watches[1].sink("ADDED", policy("later"))
        await bench.until(lambda: bench.taken[-1] == ["later"])
        assert bench.watch.problem == ""
