"""Reading the whole log for how uploads have ended: by a consumer of its own, which is removed."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig, ConsumerInfo
from nats.js.errors import APIError, NotFoundError

from tests.unit.wire.test_decode import NOW
from uploadpp.core.states import Outcome
from uploadpp.testing.events import bytes_received, finished, new_message, upload_ready
from uploadpp.wire.consumers import parse_name
from uploadpp.wire.past_ends import Ends, UnreadableLogError, read_ends


def ended(upload_id: str, outcome: str) -> bytes:
    return new_message("PostprocessingFinished", finished(upload_id, outcome))


def announced(upload_id: str) -> bytes:
    return new_message("BytesReceived", bytes_received(upload_id))


def ends_of(*messages: bytes) -> dict[str, Outcome]:
    ends = Ends({"a", "b"})
    for sequence, each in enumerate(messages, 1):
        ends.read(each, sequence, NOW)
    return ends.found


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ((), {}),
        ((announced("a"), ended("a", "abort")), {"a": Outcome.ABORT}),
        ((ended("a", "abort"), ended("b", "delete")), {"a": Outcome.ABORT, "b": Outcome.DELETE}),
        ((ended("a", "abort"), announced("a")), {}),
        ((ended("a", "continue"), ended("other", "abort")), {}),
        ((b"no message", ended("a", "abort"), b"{}"), {"a": Outcome.ABORT}),
        (
            (ended("a", "abort"), new_message("UploadReady", upload_ready("a", failed=True))),
            {"a": Outcome.ABORT},
        ),
        ((ended("a", "abort"), new_message("FileUploaded", {"UploadID": "a"})), {"a": Outcome.ABORT}),
    ],
)
def test_only_what_is_said_of_the_uploads_counts(
    messages: tuple[bytes, ...], found: dict[str, Outcome]
) -> None:
    assert ends_of(*messages) == found


class Server:
    """JetStream with one stream, and one consumer for as long as it is read."""

    def __init__(self, *messages: bytes) -> None:
        self.log = list(messages)
        self.at = 0
        self.silences: Iterator[bool] = iter(())
        self.refusal: Exception | None = None
        self.consumers: list[str] = []
        self.made: list[str] = []
        self.is_deaf = False

    @property
    def info(self) -> ConsumerInfo:
        return cast("ConsumerInfo", SimpleNamespace(num_pending=len(self.log) - self.at))

    async def add_consumer(self, stream: str, config: ConsumerConfig) -> ConsumerInfo:
        assert (stream, config.filter_subject) == ("main-queue", None)
        if self.refusal is not None:
            raise self.refusal
        self.consumers.append(str(config.name))
        self.made.append(str(config.name))
        return self.info

    async def pull_subscribe_bind(self, consumer: str, stream: str) -> "Server":
        assert (consumer, stream) == (self.consumers[0], "main-queue")
        return self

    async def consumer_info(self) -> ConsumerInfo:
        return self.info

    async def fetch(self, batch: int, timeout: float) -> list[Any]:  # noqa: ASYNC109 -- the library's
        assert timeout > 0
        if next(self.silences, self.is_deaf):
            raise NatsTimeoutError
        batch = min(batch, 2)
        found = self.log[self.at : self.at + batch]
        self.at += len(found)
        place = SimpleNamespace(sequence=SimpleNamespace(stream=self.at), timestamp=_moment())
        return [SimpleNamespace(data=each, metadata=place) for each in found]

    async def unsubscribe(self) -> None:
        pass

    async def delete_consumer(self, stream: str, name: str) -> bool:
        del stream
        self.consumers.remove(name)
        if self.is_deaf:
            raise NotFoundError
        return True

    async def read(self) -> dict[str, Outcome]:
        return await read_ends(cast("Any", self), ["a"])


def _moment() -> SimpleNamespace:
    return SimpleNamespace(timestamp=lambda: 1.0)


async def test_the_log_is_read_to_its_end() -> None:
    server = Server(*[ended("other", "abort")] * 4, ended("a", "abort"))
    server.silences = iter([True, False, True, True, False])
    assert await server.read() == {"a": Outcome.ABORT}
    assert server.consumers == []
    assert server.made[0].startswith("uploadpp-ends-")
    assert parse_name(server.made[0]) is None


async def test_an_empty_log_says_nothing() -> None:
    assert await Server().read() == {}


async def test_what_is_removed_meanwhile_is_not_waited_for() -> None:
    server = Server(ended("a", "abort"), ended("a", "abort"))

    async def purged(batch: int, timeout: float) -> list[Any]:  # noqa: ASYNC109 -- the library's
        del batch, timeout
        server.log.clear()
        raise NatsTimeoutError

    cast("Any", server).fetch = purged
    assert await server.read() == {}


async def test_a_server_that_hands_out_nothing_makes_it_unreadable() -> None:
    server = Server(ended("a", "abort"))
    server.is_deaf = True
    with pytest.raises(UnreadableLogError, match="timeout"):
        await server.read()
    assert server.consumers == []


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (APIError(400, "maximum consumers limit reached", 10026), "maximum consumers limit reached"),
        (NoRespondersError(), "no responders"),
        (TimeoutError(), "TimeoutError"),
    ],
)
async def test_a_refusal_makes_it_unreadable(refusal: Exception, said: str) -> None:
    server = Server()
    server.refusal = refusal
    with pytest.raises(UnreadableLogError, match=said):
        await server.read()
