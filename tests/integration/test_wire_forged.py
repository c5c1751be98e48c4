"""Somebody who may publish to our inboxes speaks for the server (S8)."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
from nats.aio.msg import Msg

from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
from e2e.paths import REPO
from uploadpp.core.sharding import Shard
from uploadpp.steps.consumer import StartConsumer
from uploadpp.wire.client import SafeClient
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.errors import LogLostError
from uploadpp.wire.publisher import Publisher
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import STREAM, ensure_stream, take_over
from uploadpp.wire.stream_message import StreamMessage

HUGE = "9" * 18
STATUSES = [
    f"408 Request Timeout\r\nNats-Pending-Messages: {HUGE}\r\nNats-Pending-Bytes: {HUGE}",
    "408 Request Timeout\r\nNats-Pending-Messages: -1000000",
    "408 Request Timeout\r\nNats-Pending-Messages: " + "9" * 5000,
    f"409 Batch Completed\r\nNats-Pending-Messages: {HUGE}",
    f"409 Message Size Exceeds MaxBytes\r\nNats-Pending-Messages: {HUGE}\r\nNats-Pending-Bytes: {HUGE}",
    "409 Message Size Exceeds MaxBytes\r\nNats-Pending-Messages: x\r\nNats-Pending-Bytes: \u0661",
    "409 Exceeded MaxRequestBatch of 0",
    "409 Exceeded MaxRequestBatch of " + "9" * 5000,
    "409 Exceeded MaxRequestExpires of 0.0000001ms",
    "409 Exceeded MaxRequestExpires of 1.2.3.4s",
    "409 " + "\x1b[2J\u202e" * 5000,
    "100 Idle Heartbeat\r\nNats-Last-Consumer: words",
    "100 Idle Heartbeat\r\nNats-Last-Consumer: " + "9" * 5000,
    "100 Idle Heartbeat\r\n" + "\r\n".join(f"A{n}: b" for n in range(5000)),
    "999 \r\nStatus: " + "x" * 50_000,
]
"""Each of them is read without an exception; after some, the reader starts over."""
ENDS = [
    "404 No Messages",
    "503 ",
    "409 Consumer Deleted",
    f"100 Idle Heartbeat\r\nNats-Last-Consumer: {HUGE}",
]


def status(text: str) -> bytes:
    headers = f"NATS/1.0 {text}\r\n\r\n".encode()
    return b"%d %d\r\n%b\r\n" % (len(headers), len(headers), headers)


@asynccontextmanager
async def forging(server: NatsServer) -> AsyncIterator[asyncio.StreamWriter]:
    """Somebody who writes the protocol by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port("client"))
    await reader.readline()
    writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n')
    try:
        yield writer
    finally:
        writer.close()


@asynccontextmanager
async def reading(
    client: SafeClient, epoch: int
) -> AsyncIterator[tuple[LogReader, list[StreamMessage], asyncio.Task[None]]]:
    seen: list[StreamMessage] = []

    async def take(raw: StreamMessage) -> None:
        seen.append(raw)

    reader = LogReader(client, await take_over(client.jetstream(), Shard(0), epoch), take)
    task = asyncio.create_task(reader.run())
    try:
        yield reader, seen, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, LogLostError):
            await task


async def read_on(client: SafeClient, seen: list[StreamMessage], task: asyncio.Task[None]) -> None:
    """What is published now is handed over, or the reader has said that it starts over."""
    before = (await client.jetstream().publish(STREAM, b"{}")).seq
    async with asyncio.timeout(20):
        while not task.done() and not any(raw.sequence == before for raw in seen):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_s8_whatever_is_said_to_a_pull_the_log_is_read_on(nats: NatsServer, client: SafeClient) -> None:
    errors: list[object] = []

    async def note(error: Exception) -> None:
        errors.append(error)

    client._error_cb = note
    async with forging(nats) as forger:
        for number, text in enumerate([*STATUSES, *ENDS], start=1):
            async with reading(client, number) as (reader, seen, task):
                await read_on(client, seen, task)
                sent = client.stats["out_msgs"]
                forger.write(b"HPUB " + reader._inbox.encode() + b" " + status(text))
                await forger.drain()
                await read_on(client, seen, task)
                assert client.stats["out_msgs"] - sent < 100, text
                assert task.done() or len(reader.problem) < 500, text
                if task.done():
                    with pytest.raises(LogLostError):
                        task.result()
    assert errors == [], "each is read"


async def test_s8_what_is_published_to_our_inbox_is_not_the_log(nats: NatsServer, client: SafeClient) -> None:
    async with reading(client, 1) as (reader, seen, task), forging(nats) as forger:
        await read_on(client, seen, task)
        for sequence, delivered in ((2, 2), (10**15, 1), (3, 2)):
            reply = f"$JS.ACK.{STREAM}.{reader._consumer}.1.{sequence}.{delivered}.1.0"
            forger.write(f"PUB {reader._inbox} {reply} 6\r\nforged\r\n".encode())
        forger.write(f"PUB {reader._ack_inbox}.{HUGE} 0\r\n\r\n".encode())
        forger.write(f"PUB {reader._ack_inbox}.words 0\r\n\r\n".encode())
        await forger.drain()
        for _ in range(3):
            await read_on(client, seen, task)
        assert not task.done()
        assert [(raw.sequence, raw.data) for raw in seen] == [(number, b"{}") for number in range(1, 5)]
        assert reader.acknowledged == 0, "nothing was to be acknowledged"


async def test_s8_a_step_takes_no_start_from_its_inbox(nats: NatsServer, client: SafeClient) -> None:
    """Otherwise it would acknowledge at whatever subject the forger names."""
    consumer = StartConsumer(client, "virusscan", None, 30)
    await consumer.open(None)
    async with forging(nats) as forger:
        inbox = consumer._subscription._deliver  # type: ignore[union-attr]
        forger.write(f"PUB {inbox} $JS.ACK.{STREAM}.uploadpp-0-e7.1.9.9.1.0 6\r\nforged\r\n".encode())
        await forger.drain()
        await client.flush()
        await client.jetstream().publish(STREAM, b"true")
        found: list[Msg] = []
        while not found:
            found = await consumer.fetch(8)
        assert [message.data for message in found] == [b"true"]
    await consumer.close()


async def test_s8_the_permissions_that_are_written_down_keep_others_out(
    instance: Instance, nats_version: str
) -> None:
    """docs/nats.md: an inbox of its own, and nobody else may publish to it or answer for JetStream."""
    text = (REPO / "docs" / "nats.md").read_text()
    (config,) = re.findall(r"```\n(accounts: .*?)```", text, re.DOTALL)
    config = config.replace("OCIS: {", "OCIS: { jetstream: enabled,")
    for user in ("operator", "others"):
        config = config.replace(f"user: {user},", f"user: {user}, password: {user},")
    server = NatsServer(instance, version=nats_version, name="own-inboxes", config=config)
    server.start()
    url = server.url.removeprefix("nats://")
    operator = await connect(
        NatsOptions(servers=(url,), user="operator", password="operator", inbox_prefix="_INBOX_operator")
    )
    stranger = await connect(NatsOptions(servers=(url,), user="others", password="others"))
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    try:
        for subject in (">", "$JS.API.>", "_INBOX_operator.>", "$JS.>"):
            await stranger.subscribe(subject, cb=hear)
        await ensure_stream(operator.jetstream())
        async with reading(operator, 1) as (reader, seen, task):
            await read_on(operator, seen, task)
            await stranger.publish(reader._inbox, b"", headers={"Status": "404"})
            await stranger.publish(STREAM, b"{}")  # that it may
            await stranger.flush()
            async with asyncio.timeout(10):
                while len(seen) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert not task.done()
        await stranger.flush()
        assert STREAM in heard
        assert not [each for each in heard if each.startswith(("$JS.API", "$JS.ACK", "_INBOX"))]
    finally:
        await operator.close()
        await stranger.close()


async def test_s8_whoever_takes_the_id_of_an_event_does_not_keep_it_out(
    client: SafeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody can compute the ids of our events, and the stream takes one message of each."""
    monkeypatch.setattr("uploadpp.wire.publisher.RESEND_SECONDS", 0.1)
    js = client.jetstream()
    await ensure_stream(js)
    taken = await js.publish(STREAM, b"anything", headers={"Nats-Msg-Id": "e-1"})

    async def allowed() -> None:
        """Everything may be published."""

    stored: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    def note(event_id: str, at: int) -> None:
        stored.put_nowait((event_id, at))

    publisher = Publisher(client, allowed, lambda: True)
    running = [asyncio.create_task(work) for work in (publisher.run(), publisher.run_resends())]
    for event_id in ("e-1", "e-2"):
        outgoing = Outgoing(event_id, b"event of ours: signed", b"signed")
        publisher.publish(outgoing, partial(note, event_id), pytest.fail)
    try:
        async with asyncio.timeout(20):
            found = dict([await stored.get(), await stored.get()])
        assert sorted(found.values()) == [taken.seq + 1, taken.seq + 2]
        async with reading(client, 1) as (_, seen, task):
            await read_on(client, seen, task)
        ids = {raw.sequence: raw.message_id for raw in seen if raw.data == b"event of ours: signed"}
        assert ids == {at: event_id for event_id, at in found.items()}
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
