"""Candidates for the shell: how much is asked for, and for how long."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kubectl_pp import candidates, fields
from kubectl_pp.candidates import MOST, SECONDS
from kubectl_pp.catalog import BY_NAME
from kubectl_pp.client import Client
from kubectl_pp.completing import OPEN_ONLY
from kubectl_pp.context import Context
from kubectl_pp.errors import UnavailableError

Json = dict[str, Any]


def upload(name: str, step: str = "", *, ended: bool = False) -> Json:
    status = {"currentStep": step, "completionTime": "2026-11-23T12:00:00Z" if ended else None}
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"steps": []}, "status": status}


class ApiServer(Client):
    """Has uploads in pages, and a clock that each request moves on."""

    def __init__(self, items: list[Json], *, seconds: float = 0.0) -> None:
        self.paged = True
        self.now, self.requests = 0.0, 0
        self._items, self._seconds = items, seconds

    def select(self, path: str, params: dict[str, str], accept: str = "") -> Json:  # noqa: ARG002 -- the client's
        self.requests += 1
        self.now += self._seconds
        wanted = fields.conditions(params["fieldSelector"])
        found = [item for item in self._items if all(each.holds(item) for each in wanted)]
        first, size = int(params.get("continue", 0)), int(params["limit"])
        after = {"continue": str(first + size)} if len(found) > first + size else {}
        return {"metadata": after, "items": found[first : first + size]}


Run = Callable[[ApiServer], Context]


@pytest.fixture
def context_of(monkeypatch: pytest.MonkeyPatch) -> Run:
    def make(server: ApiServer) -> Context:
        monkeypatch.setattr(candidates, "time", SimpleNamespace(monotonic=lambda: server.now))
        return cast("Context", SimpleNamespace(client=server, namespace="ns", options=Namespace()))

    return make


def test_pages_are_read_until_there_are_enough(context_of: Run) -> None:
    server = ApiServer([upload(f"{'ab'[i >= 5000]}-{i:05}", ended=True) for i in range(10_000)])
    found = candidates.uploads(context_of(server), "b", ended=True)
    assert list(found) == [f"b-{i:05}" for i in range(5000, 5000 + MOST)]
    assert server.requests == 2 + 11


def test_the_search_has_an_end(context_of: Run) -> None:
    """Whoever has pressed a key waits for it."""
    server = ApiServer([upload(f"a-{i}", ended=True) for i in range(5_000)], seconds=0.5)
    assert candidates.uploads(context_of(server), "b", ended=True) == {}
    assert server.now <= SECONDS + 2


def test_open_ones_come_first_and_alone_where_nothing_can_be_done_about_others(context_of: Run) -> None:
    items = [upload(f"a-{i}", ended=True) for i in range(2 * MOST)] + [upload("z", "virusscan")]
    assert next(iter(candidates.uploads(context_of(ApiServer(items)), "", ended=True))) == "z"
    assert list(candidates.uploads(context_of(ApiServer(items)), "", ended=False)) == ["z"]


def test_what_was_found_before_an_error_is_offered(context_of: Run) -> None:
    class Breaking(ApiServer):
        def pages(self, *words: Any, **more: Any) -> Iterator[Json]:  # noqa: ANN401 -- the client's
            yield from super().pages(*words, **more)
            raise UnavailableError("the line broke")

    assert list(candidates.uploads(context_of(Breaking([upload("x")])), "", ended=True)) == ["x"]


def test_a_few_requests_find_the_steps_of_many_uploads(context_of: Run) -> None:
    items = [upload(f"a-{i}", "virusscan") for i in range(1_000)]
    items += [upload("b", "ocr"), upload("c", "finished")]
    items += [upload(f"d-{i}", ended=True) for i in range(1_000)] + [upload("e", "old,er", ended=True)]
    server = ApiServer(items)
    assert candidates.steps(context_of(server)) == ["virusscan", "ocr", "old,er"]
    assert server.requests <= 5


def test_very_many_steps_have_an_end(context_of: Run) -> None:
    server = ApiServer([upload(f"a-{i}", f"s-{i}") for i in range(1_000)])
    assert MOST <= len(candidates.steps(context_of(server))) <= 2 * MOST


def test_the_verbs_for_open_uploads_exist() -> None:
    assert BY_NAME.keys() >= OPEN_ONLY
