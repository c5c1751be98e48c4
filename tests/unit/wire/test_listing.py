"""A list of consumers that lacks some: in a cluster, their leaders may not answer."""

import json
from typing import Any, cast

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from uploadpp.wire.jetstream import SafeJetStream
from uploadpp.wire.listing import LeaderlessError, consumers_of

STREAM = "main-queue"
OURS = ["uploadpp-0-e7", "uploadpp-2of3-e1"]
LEGACY = ["postprocessing", "postprocessing-pull"]
OTHERS = ["aaa", "search", "uploadpp-step-mine"]


class Cluster:
    """Answers as the servers do: in pages, and after four seconds without those that have no leader."""

    def __init__(self, names: list[str], silent: list[str], page: int = 2) -> None:
        self._names, self._silent, self._page = sorted(names), silent, page
        self.offsets: list[int] = []
        self.always: int | None = None
        """The offset from which on it answers, whatever it is asked."""

    async def request(self, subject: str, body: bytes, timeout: float) -> Msg:  # noqa: ASYNC109 -- the library's
        del subject, timeout
        offset = json.loads(body)["offset"]
        self.offsets.append(offset)
        offset = offset if self.always is None else self.always
        names = self._names[offset : offset + self._page]
        answer: dict[str, Any] = {"consumers": [consumer(name) for name in names if name not in self._silent]}
        if missing := [name for name in names if name in self._silent]:
            answer["missing"] = missing
        return Msg(cast("Client", None), data=json.dumps(answer).encode())

    @property
    def js(self) -> SafeJetStream:
        return SafeJetStream(cast("Client", self))


def consumer(name: str) -> dict[str, Any]:
    return {"name": name, "stream_name": STREAM, "created": "2026-10-02T08:15:30Z", "config": {"name": name}}


@pytest.mark.parametrize("silent", [*OURS, *LEGACY])
async def test_without_one_that_says_where_to_begin_there_is_no_list(silent: str) -> None:
    """An owner that began without it would seem to be the first one."""
    with pytest.raises(LeaderlessError, match=f"for the consumers {silent}; is a server"):
        await consumers_of(Cluster([*OURS, *LEGACY, *OTHERS], [silent]).js, STREAM)


@pytest.mark.parametrize("silent", OTHERS)
@pytest.mark.parametrize("page", [2, 3, 256])
async def test_without_one_of_others_there_are_all_the_rest(silent: str, page: int) -> None:
    """Its server may never come back."""
    cluster = Cluster([*OURS, *OTHERS], [silent], page)
    found = [each.name for each in await consumers_of(cluster.js, STREAM)]
    assert sorted(found) == sorted({*OURS, *OTHERS} - {silent})
    assert cluster.offsets == [*range(0, 5, page), 5]


@pytest.mark.parametrize("first", ["a", "u", "z"])
async def test_whole_pages_may_be_silent(first: str) -> None:
    silent = [f"{first}-{number}" for number in range(5)]
    found = [each.name for each in await consumers_of(Cluster([*OURS, *silent], silent).js, STREAM)]
    assert found == OURS


async def test_a_list_that_only_names_the_silent_ends() -> None:
    """Somebody else than the server may answer."""
    cluster = Cluster(["a", "b"], ["a", "b"])
    cluster.always = 0
    assert await consumers_of(cluster.js, STREAM) == []
    assert len(cluster.offsets) == 2
