"""NATS 2.9 does not keep the metadata of consumers: refused in words, and nothing of ours stays."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from nats.errors import Error as NatsError

from uploadpp.core.sharding import Shard
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.stream import STREAM, take_over

INFO = {"server_id": "A", "server_name": "old", "version": "2.9.25", "proto": 1, "headers": True}
INFO |= {"max_payload": 1_048_576, "jetstream": True}
CREATED = "2026-10-02T08:00:00Z"


class OldServer:
    """Says what NATS 2.9 says, as far as a take-over asks: it answers a new consumer without its metadata."""

    def __init__(self) -> None:
        self.consumers: dict[str, dict[str, object]] = {}
        self.asked: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"INFO " + json.dumps(INFO).encode() + b"\r\n")
        inboxes: list[tuple[str, str]] = []
        while line := await reader.readline():
            command, *words = line.decode().split()
            if command == "PING":
                writer.write(b"PONG\r\n")
            elif command == "SUB":
                inboxes.append((words[0].removesuffix("*"), words[-1]))
            elif command == "PUB":
                payload = (await reader.readexactly(int(words[-1]) + 2))[:-2]
                answer = json.dumps(self.answer(words[0], payload)).encode()
                number = next(each for prefix, each in inboxes if words[1].startswith(prefix))
                writer.write(f"MSG {words[1]} {number} {len(answer)}\r\n".encode() + answer + b"\r\n")
        writer.close()

    def answer(self, subject: str, payload: bytes) -> dict[str, object]:
        self.asked.append(subject)
        api, _, name = subject.removeprefix("$JS.API.").partition(f".{STREAM}")
        name = name.removeprefix(".")
        if api == "STREAM.INFO":
            state = {"messages": 3, "bytes": 9, "first_seq": 1, "last_seq": 3, "consumer_count": 0}
            return {"config": {"name": STREAM, "subjects": [STREAM]}, "created": CREATED, "state": state}
        if api == "CONSUMER.LIST":
            return {"total": 0, "offset": 0, "limit": 256, "consumers": []}
        if api == "CONSUMER.DELETE":
            return {"success": self.consumers.pop(name, None) is not None}
        config = json.loads(payload)["config"]
        config.pop("metadata", None)
        name = str(config["durable_name"])
        position = {"consumer_seq": 0, "stream_seq": 0}
        self.consumers[name] = {
            "stream_name": STREAM,
            "name": name,
            "created": CREATED,
            "config": config,
            "delivered": position,
            "ack_floor": position,
            "num_ack_pending": 0,
            "num_redelivered": 0,
            "num_waiting": 0,
            "num_pending": 3,
        }
        return self.consumers[name]


@pytest.fixture
async def old() -> AsyncIterator[tuple[OldServer, str]]:
    made = OldServer()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    yield made, f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    listening.close()


async def test_it_is_refused_in_words(old: tuple[OldServer, str]) -> None:
    server, address = old
    client = await connect(NatsOptions(servers=(address,)))
    try:
        with pytest.raises(NatsError, match=r"NATS is older than 2\.10"):
            await take_over(client.jetstream(), Shard(), 1)
        assert any("CONSUMER" in subject and "CREATE" in subject for subject in server.asked)
        assert server.consumers == {}, "nothing of ours stays there"
    finally:
        await client.close()
