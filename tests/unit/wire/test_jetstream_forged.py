"""Somebody else answers JetStream requests: what cannot be read is an error of NATS, in bounded time (S8)."""

import copy
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig, ConsumerInfo

from uploadpp.core.sharding import Shard
from uploadpp.wire.consumer_edits import breaks_step, hinders_owner, paused, slows_step
from uploadpp.wire.consumers import parse_name, strangers
from uploadpp.wire.jetstream import SafeJetStream
from uploadpp.wire.legacy_consumers import Readers, advance, find, is_behind, remove
from uploadpp.wire.listeners import unserved
from uploadpp.wire.listing import consumers_of
from uploadpp.wire.positions import acknowledged, first_of, last_sign_of
from uploadpp.wire.stream import STREAM, StartFrom, reads_behind, take_over

CONSUMER: dict[str, Any] = {
    "name": "uploadpp-0-e7",
    "stream_name": STREAM,
    "created": "2026-10-02T08:15:30.1Z",
    "config": {
        "durable_name": "uploadpp-0-e7",
        "name": "uploadpp-0-e7",
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": 5,
        "ack_policy": "all",
        "ack_wait": 3_600_000_000_000,
        "backoff": [1_000_000_000],
        "filter_subject": "main-queue",
        "filter_subjects": ["main-queue"],
        "max_deliver": -1,
        "max_ack_pending": 1000,
        "metadata": {"uploadpp.io/owner": "x"},
    },
    "delivered": {"consumer_seq": 3, "stream_seq": 7, "last_active": "2026-10-02T08:15:30Z"},
    "ack_floor": {"consumer_seq": 3, "stream_seq": 7, "last_active": "2026-10-02T08:15:30Z"},
    "num_ack_pending": 0,
    "num_waiting": 0,
    "num_pending": 0,
    "push_bound": False,
    "paused": False,
}
STREAM_INFO: dict[str, Any] = {
    "config": {"name": STREAM, "subjects": [STREAM], "max_age": 0, "first_seq": 1},
    "created": "2026-10-02T08:15:30.1Z",
    "state": {"messages": 9, "bytes": 9, "first_seq": 1, "last_seq": 9, "consumer_count": 1},
}
ODD: list[Any] = [None, "words", "9" * 5000, -1, 10**30, 1.5, True, [], [1], [None], {}, {"a": {"b": 1}}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 -- JSON
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def changed(base: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An answer with one field missing, or of another type."""
    for path in places(base):
        for odd in [..., *ODD]:
            made = copy.deepcopy(base)
            parent: Any = made
            for key in path[:-1]:
                parent = parent[key]
            if odd is ...:
                del parent[path[-1]]
            else:
                parent[path[-1]] = copy.deepcopy(odd)
            yield made


class Stranger:
    """Answers in place of the server."""

    def __init__(self, answer: Callable[[str, dict[str, Any]], bytes]) -> None:
        self._answer = answer
        self.asked = 0

    async def request(self, subject: str, body: bytes = b"", timeout: float = 1, **_: object) -> Msg:  # noqa: ASYNC109 -- the library's
        del timeout
        self.asked += 1
        assert self.asked < 500, "asks without end"
        return Msg(cast("Client", None), data=self._answer(subject, json.loads(body or b"{}")))

    @property
    def js(self) -> SafeJetStream:
        return SafeJetStream(cast("Client", self))


async def survives(work: Awaitable[object]) -> None:
    """Whatever comes, it is an error that whoever asks expects."""
    try:
        await work
    except (NatsError, TimeoutError):
        return


async def look(stranger: Stranger) -> None:
    """Everything that is done with what is said of a consumer."""
    infos: list[ConsumerInfo] = [
        await stranger.js.consumer_info(STREAM, "x"),
        *await consumers_of(stranger.js, STREAM),
    ]
    for info in infos:
        parse_name(info.name)
        acknowledged(info), first_of(info), last_sign_of(info), paused(info, STREAM), is_behind(info)
        (
            hinders_owner(info.config, STREAM, 1000, 3600),
            breaks_step(info.config, STREAM),
            slows_step(info.config, 64),
        )
    unserved(["virusscan", "mine"], infos)
    strangers(infos, "me")
    Readers().among(infos)
    await find(stranger.js)
    await advance(cast("Client", stranger), "postprocessing")
    await remove(cast("Client", stranger), "postprocessing")


def server(consumer: dict[str, Any], stream: dict[str, Any]) -> Stranger:
    def answer(subject: str, asked: dict[str, Any]) -> bytes:
        if ".CONSUMER.LIST." in subject:
            return json.dumps({"consumers": [] if asked["offset"] else [consumer]}).encode()
        if ".STREAM.MSG.GET." in subject:
            return json.dumps(
                {"message": {"seq": 1, "subject": STREAM, "time": "2026-10-02T08:15:30Z"}}
            ).encode()
        return json.dumps(stream if ".STREAM." in subject else consumer).encode()

    return Stranger(answer)


async def test_s8_whatever_is_said_of_a_consumer_is_read_or_an_error_of_nats() -> None:
    count = 0
    for consumer in changed(CONSUMER):
        await survives(look(server(consumer, STREAM_INFO)))
        await survives(take_over(server(consumer, STREAM_INFO).js, Shard(0), 1))
        count += 1
    assert count > 300
    await look(server(CONSUMER, STREAM_INFO))


async def test_s8_whatever_is_said_of_the_stream_is_read_or_an_error_of_nats() -> None:
    for stream in changed(STREAM_INFO):
        await survives(reads_behind(server(CONSUMER, stream).js, StartFrom.AUTO))
        await survives(take_over(server(CONSUMER, stream).js, Shard(0), 1))


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"5", b"\xff", b"{", b"{}", b"1" * 5000),
        *(b"[" * 100_000, b'{"config":' * 5000 + b"1" + b"}" * 5000),
        *(b'{"error":1}', b'{"error":{}}', b'{"error":{"code":"x","description":[1]}}'),
    ],
    ids=range(13),
)
async def test_s8_whatever_an_answer_is_it_is_an_error_of_nats(body: bytes) -> None:
    stranger = Stranger(lambda *_: body)
    for work in (  # each of them, though one has failed
        stranger.js.consumer_info(STREAM, "x"),
        stranger.js.stream_info(STREAM),
        stranger.js.get_msg(STREAM, seq=1),
        stranger.js.add_consumer(STREAM, ConsumerConfig(name="x", durable_name="x")),
        consumers_of(stranger.js, STREAM),
        take_over(stranger.js, Shard(0), 1),
    ):
        with pytest.raises(NatsError):
            await work


@pytest.mark.parametrize("name", ["the same", "ever new {}"])
async def test_s8_a_list_of_consumers_without_end_ends(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploadpp.wire.listing.MOST_CONSUMERS", 100)

    def page(_: str, asked: dict[str, Any]) -> bytes:
        found = {**CONSUMER, "name": name.format(asked["offset"])}
        return json.dumps({"consumers": [found]}).encode()

    with pytest.raises(NatsError, match="does not end"):
        await consumers_of(Stranger(page).js, STREAM)


async def test_s8_consumers_that_come_and_go_while_they_are_listed_end_no_ownership() -> None:
    """A page may then begin with what the one before had at its end."""
    pages = [["a", "b"], ["b"], ["a", "b", "c"], []]

    def page(_: str, _asked: dict[str, Any]) -> bytes:
        return json.dumps({"consumers": [{**CONSUMER, "name": name} for name in pages.pop(0)]}).encode()

    found = await consumers_of(Stranger(page).js, STREAM)
    assert [each.name for each in found] == ["a", "b", "c"]
