"""A list that comes page by page, so that no consumer has to keep all of it at once."""

import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from kubectl_pp.errors import UnavailableError
from kubectl_pp.reflector import WAITING_PAGES, Change, Kind, Reflector
from kubectl_pp.ui.filters import Filter
from kubectl_pp.ui.model import Model
from kubectl_pp.upload import Upload

PAGES = 40
TIMEOUT = 20.0


def item(number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"upload-{number}", "namespace": "ns", "resourceVersion": "1"}}


class ApiServer:
    """A list of many pages, some of which fail the first time; a watch that says nothing."""

    def __init__(self, *failing: int, pages: int = PAGES) -> None:
        self.taken = 0
        self.watched = threading.Event()
        self._failing = set(failing)
        self._pages = pages

    def pages(self, _path: str, _params: dict[str, str]) -> Iterator[dict[str, Any]]:
        for number in range(self._pages):
            if number in self._failing:
                self._failing.remove(number)
                raise UnavailableError("the line broke")
            self.taken += 1
            yield {"metadata": {"resourceVersion": "7"}, "items": [item(2 * number), item(2 * number + 1)]}

    def retried(self, attempt: Callable[[], Any]) -> Any:  # noqa: ANN401 -- as the client's
        try:
            return attempt()
        except UnavailableError:
            return attempt()

    def watch(self, _path: str, _params: dict[str, str]) -> Iterator[dict[str, Any]]:
        self.watched.set()
        time.sleep(TIMEOUT)
        yield from ()


def feed_of(server: ApiServer) -> Reflector:
    # A stand-in for the client: it has what a feed asks of one.
    return Reflector(server, "/uploads", {}, paged=True)  # type: ignore[arg-type]


def until_full(feed: Reflector) -> None:
    deadline = time.monotonic() + TIMEOUT
    while feed._queue.qsize() < WAITING_PAGES:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def until_snapshot(feed: Reflector) -> Iterator[Change]:
    while True:
        change = feed.get(TIMEOUT)
        assert change is not None
        yield change
        if change.kind is Kind.SNAPSHOT:
            return


def test_any_length_of_time_can_be_waited() -> None:
    class Slow(ApiServer):
        def retried(self, attempt: Callable[[], Any]) -> Any:  # noqa: ANN401 -- as the client's
            time.sleep(0.3)
            return attempt()

    assert feed_of(Slow(pages=1)).get(1e30) is not None


def test_a_list_waits_for_its_consumer() -> None:
    server = ApiServer()
    feed = feed_of(server)
    until_full(feed)
    assert server.taken <= WAITING_PAGES + 1
    found = list(until_snapshot(feed))
    assert [change.kind for change in found] == [Kind.LISTING, *[Kind.PAGE] * PAGES, Kind.SNAPSHOT]
    assert len({upload.key for change in found for upload in change.uploads}) == 2 * PAGES
    feed.stop()


def test_a_feed_that_is_stopped_does_not_wait_for_its_consumer() -> None:
    before = set(threading.enumerate())
    feed = feed_of(ApiServer())
    until_full(feed)
    feed.stop()
    (own,) = set(threading.enumerate()) - before
    own.join(TIMEOUT)
    assert not own.is_alive()


def test_an_interrupt_at_any_line_of_a_wait_is_an_interrupt() -> None:
    """The lock of a Condition was not held again, and its owner said so: RuntimeError."""

    class Lively(ApiServer):
        def watch(self, _path: str, _params: dict[str, str]) -> Iterator[dict[str, Any]]:
            while True:
                time.sleep(0.005)
                yield {"type": "MODIFIED", "object": item(1)}

    feed, before, passed = feed_of(Lively(pages=1)), sys.gettrace(), 0
    list(until_snapshot(feed))
    number = 0

    def interrupt(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        nonlocal passed
        if event == "line" and frame.f_code.co_filename in {threading.__file__, queue.__file__}:
            passed += 1
            if passed == number:
                raise KeyboardInterrupt
        return interrupt

    try:
        while passed == number:
            passed, number = 0, number + 1
            with contextlib.suppress(KeyboardInterrupt):
                sys.settrace(interrupt)
                feed.get(TIMEOUT)
            sys.settrace(before)
    finally:
        sys.settrace(before)
        feed.stop()


def test_a_list_that_breaks_off_begins_anew_in_the_model() -> None:
    model = Model()
    feed = feed_of(ApiServer(3))
    kinds = []
    for change in until_snapshot(feed):
        kinds.append(change.kind)
        if change.kind is Kind.LISTING:
            model.begin()
        elif change.kind is Kind.PAGE:
            model.add(change.uploads)
            assert not model.loaded
        else:
            model.load(change.uploads)
    feed.stop()
    assert kinds.count(Kind.LISTING) == 2
    assert len(model.rows) == 2 * PAGES
    assert model.find(Filter(), time.time()).total == 2 * PAGES


def test_the_first_list_fails_in_words_also_after_some_pages() -> None:
    feed = feed_of(ApiServer(3, 0))
    with pytest.raises(UnavailableError, match="the line broke"):
        list(until_snapshot(feed))
    feed.stop()


def test_rows_keep_their_numbers_over_another_list() -> None:
    model = Model()
    model.load([Upload(item(1)), Upload(item(2))])
    numbers = {key: row.number for key, row in model.rows.items()}
    model.begin()
    model.add([Upload(item(3)), Upload(item(2))])
    assert {key: row.number for key, row in model.rows.items()} == numbers
    model.load()
    assert model.rows.keys() == {("ns", "upload-2"), ("ns", "upload-3")}
    assert model.rows["ns", "upload-2"].number == numbers["ns", "upload-2"]
    assert model.rows["ns", "upload-3"].number not in numbers.values()
