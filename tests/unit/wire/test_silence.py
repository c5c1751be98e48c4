"""A server that JetStream does not answer through is left for another one of its cluster."""

import json
from typing import cast

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from uploadpp.wire.client import SafeClient
from uploadpp.wire.jetstream import NoLeaderError
from uploadpp.wire.silence import LEAVE_SECONDS, SHOWN_SECONDS, UNAVAILABLE_CODE, Silence


class Connected(SafeClient):
    """A client whose server answers what a test wants, and whose time a test sets."""

    def __init__(self, *, cluster: bool = True) -> None:
        super().__init__(None)
        self.now = 100.0
        self.silence = Silence(lambda: self.now)
        self._server_info = {"cluster": "nats"} if cluster else {}
        self._status = Client.CONNECTED
        self.answer: Exception | dict[str, object] = {}
        self.left = 0

    async def request(self, *_: object, **__: object) -> Msg:
        if isinstance(self.answer, Exception):
            raise self.answer
        return Msg(cast("Client", None), data=json.dumps(self.answer).encode())

    def _connect_again(self) -> None:
        self.left += 1

    async def ask(self, after_seconds: float = 0.0) -> None:
        self.now += after_seconds
        try:
            await self.jetstream().consumer_info("main-queue", "postprocessing")
        except (NatsError, TimeoutError):
            return

    def refuse(self) -> None:
        self._refused["a permission"] = 1e12


GONE: dict[str, object] = {"error": {"code": 404, "err_code": 10014, "description": "consumer not found"}}
ALONE: dict[str, object] = {
    "error": {"code": 503, "err_code": UNAVAILABLE_CODE, "description": "unavailable"}
}
LEADERLESS: dict[str, object] = {
    "created": "2026-10-02T08:15:30Z",
    "stream_name": "main-queue",
    "name": "postprocessing",
    "config": {"name": "postprocessing"},
    "cluster": {"name": "nats", "replicas": [{"name": "nats-1", "current": False, "active": 1}]},
}
SILENT = [TimeoutError(), NoRespondersError(), ALONE, LEADERLESS]


@pytest.mark.parametrize("answer", SILENT)
async def test_it_is_said_and_then_the_server_is_left(answer: Exception | dict[str, object]) -> None:
    client = Connected()
    client.answer = answer
    await client.ask()
    assert (client.problem, client.left) == ("", 0)
    await client.ask(SHOWN_SECONDS + 1)
    assert client.problem == "JetStream has not answered through the server for 5 s"
    await client.ask(LEAVE_SECONDS - SHOWN_SECONDS)
    assert client.left == 1
    await client.ask()
    await client.ask(LEAVE_SECONDS - 1)
    assert client.left == 1, "the next one has as much time"
    await client.ask(1)
    assert client.left == 2


@pytest.mark.parametrize("answer", [GONE, {}])
async def test_any_answer_of_the_cluster_is_a_sign_of_life(answer: dict[str, object]) -> None:
    client = Connected()
    for each in (TimeoutError(), answer, TimeoutError(), answer):
        client.answer = each
        await client.ask(LEAVE_SECONDS)
    assert (client.problem, client.left) == ("", 0)


async def test_a_single_server_is_not_left() -> None:
    client = Connected(cluster=False)
    client.answer = TimeoutError()
    await client.ask()
    await client.ask(2 * LEAVE_SECONDS)
    assert (client.problem, client.left) == ("", 0)


async def test_a_server_that_refuses_is_not_left() -> None:
    """The others of the cluster have the same permissions."""
    client = Connected()
    client.answer = TimeoutError()
    client.refuse()
    await client.ask()
    await client.ask(2 * LEAVE_SECONDS)
    assert client.problem.startswith("NATS refuses: a permission")
    assert client.left == 0


async def test_what_a_server_says_of_a_stream_without_a_leader_counts_for_nothing() -> None:
    """It may lag behind: messages that were read would seem to be lost."""
    client = Connected()
    state = {"messages": 9, "bytes": 9, "first_seq": 1, "last_seq": 9, "consumer_count": 1}
    stream = {"config": {"name": "main-queue"}, "created": "2026-10-02T08:15:30Z", "state": state}
    client.answer = {**stream, "cluster": {"name": "nats", "leader": "nats-1"}}
    assert (await client.jetstream().stream_info("main-queue")).state.last_seq == 9
    client.answer = {**stream, "cluster": {"name": "nats"}}
    with pytest.raises(NoLeaderError, match="has no leader"):
        await client.jetstream().stream_info("main-queue")
    client.answer = LEADERLESS
    with pytest.raises(NoLeaderError):
        await client.jetstream().consumer_info("main-queue", "postprocessing")
