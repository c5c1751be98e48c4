"""What kopf is told of a watch: whole lines, and of our own writes nothing."""

from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import orjson
import pytest

from uploadpp.resources.watch.watch_filter import OwnWriteFilter


def line(kind: str, name: str) -> bytes:
    return orjson.dumps({"type": kind, "object": {"metadata": {"name": name}}}) + b"\n"


class Body:
    """A body that comes in pieces of a size."""

    limit = 7

    def __init__(self, text: bytes, size: int) -> None:
        self._text, self._size = text, size

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        for start in range(0, len(self._text), self._size):
            yield self._text[start : start + self._size]


def filtered(text: bytes, size: int) -> OwnWriteFilter:
    def is_own_write(resource: dict[str, Any]) -> bool:
        return bool(resource["metadata"]["name"] == "ours")

    return OwnWriteFilter(cast("aiohttp.StreamReader", Body(text, size)), is_own_write)


BOOKMARK = orjson.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}) + b"\n"
NEWS = [line("ADDED", "theirs"), line("DELETED", "ours"), BOOKMARK]
OWN = [line("ADDED", "ours"), line("MODIFIED", "ours")]


@pytest.mark.parametrize("size", [1, 50, 10_000])
async def test_only_what_is_news_is_passed_on_however_it_is_cut(size: int) -> None:
    text = b"".join([OWN[0], NEWS[0], OWN[1], NEWS[1], *OWN, *NEWS[2:], line("MODIFIED", "theirs")])
    told = [data async for data in filtered(text, size).iter_chunked(1 << 20)]
    assert b"".join(told) == b"".join([*NEWS, line("MODIFIED", "theirs")])
    assert all(data.endswith(b"\n") for data in told)


async def test_nothing_is_passed_on_where_there_is_no_news() -> None:
    assert [data async for data in filtered(b"".join(OWN), 64).iter_chunked(1)] == []


async def test_what_is_cut_off_at_the_end_is_passed_over() -> None:
    text = NEWS[0] + b'{"type":"MODI'
    assert b"".join([data async for data in filtered(text, 5).iter_chunked(1)]) == NEWS[0]


async def test_an_event_that_cannot_be_judged_is_news(caplog: pytest.LogCaptureFixture) -> None:
    def is_own_write(_: dict[str, Any]) -> bool:
        raise RuntimeError("a bug")

    body = OwnWriteFilter(cast("aiohttp.StreamReader", Body(NEWS[0], 5)), is_own_write)
    assert b"".join([data async for data in body.iter_chunked(1)]) == NEWS[0]
    assert "passing it on" in caplog.text


def test_everything_else_is_the_body_s_own() -> None:
    assert filtered(b"", 1).limit == 7
