"""Reading the whole log for how uploads have ended: by a consumer of its own, which is removed."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig, ConsumerInfo
from nats.js.errors import APIError, NotFoundError

from tests.unit.wire.test_decode import NOW
from uploadpp.core.states import Outcome
from uploadpp.testing.events import bytes_received, finished, new_message, upload_ready
from uploadpp.wire import past_ends
from uploadpp.wire.consumers import parse_name
from uploadpp.wire.decode import decode
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


def test_a_message_on_which_our_own_code_fails_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator would end at it again and again: whoever reads the log leaves such a message out."""

    def fails(data: bytes, *given: object, **more: Any) -> Any:  # noqa: ANN401 -- what it hands on
        if data == b"bug":
            raise RecursionError
        return decode(data, *cast("Any", given), **more)

    monkeypatch.setattr(past_ends, "decode", fails)
    assert ends_of(ended("a", "abort"), b"bug") == {"a": Outcome.ABORT}


class Server:
    """JetStream with one stream, and one consumer for as long as it is read."""

    def __init__(self, *messages: bytes) -> None:
        self.log = list(messages)
        self.at = 0
        self.silences: Iterator[bool] = iter(())
        self.repeated: Iterator[int] = iter(())
        """How many messages are sent a second time, by fetch."""
        self.lost: set[int] = set()
        """The positions of those that do not arrive."""
        self.refusal: Exception | None = None
        self.consumers: list[str] = []
        self.made: list[str] = []
        self.is_deaf = False

    @property
    def info(self) -> ConsumerInfo:
        sent = SimpleNamespace(consumer_seq=self.at)
        return cast("ConsumerInfo", SimpleNamespace(num_pending=len(self.log) - self.at, delivered=sent))

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
        first = self.at - next(self.repeated, 0)
        self.at = max(self.at, min(first + batch, len(self.log)))
        found = [_message(self.log[n], n + 1) for n in range(first, self.at) if n + 1 not in self.lost]
        if not found:
            raise NatsTimeoutError
        return found

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


def _message(data: bytes, number: int) -> SimpleNamespace:
    sequence, moment = SimpleNamespace(stream=number, consumer=number), SimpleNamespace(timestamp=lambda: 1.0)
    return SimpleNamespace(data=data, metadata=SimpleNamespace(sequence=sequence, timestamp=moment))


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


@pytest.mark.parametrize("lost", [{1}, {3}, {3, 4}, {5, 6}, {6}, {1, 2, 3, 4, 5, 6}])
@pytest.mark.parametrize("later", [0, 3])
async def test_what_is_lost_with_a_connection_makes_it_unreadable(lost: set[int], later: int) -> None:
    """Without acknowledgements the server sends nothing again: an abort among that went unnoticed."""
    server = Server(*[ended("a", "abort")] * 6)
    server.lost = lost
    info, server.log = server.info, server.log + [ended("other", "abort")] * later

    async def made(stream: str, config: ConsumerConfig) -> ConsumerInfo:
        del stream
        server.consumers.append(str(config.name))
        return info

    cast("Any", server).add_consumer = made
    with pytest.raises(UnreadableLogError, match="lost on their way"):
        await server.read()
    assert server.consumers == []


async def test_what_is_sent_twice_counts_once() -> None:
    server = Server(*[ended("other", "abort")] * 4, ended("a", "abort"))
    server.repeated = iter([0, 1, 2, 0])
    assert await server.read() == {"a": Outcome.ABORT}


async def test_what_somebody_else_sends_to_the_reader_makes_it_unreadable() -> None:
    server = Server(ended("a", "abort"))

    async def forged(batch: int, timeout: float) -> list[Any]:  # noqa: ASYNC109 -- the library's
        del batch, timeout
        return [Msg(cast("Any", None), reply="$JS.ACK.main-queue.c.1.x.1.1.0")]

    cast("Any", server).fetch = forged
    with pytest.raises(UnreadableLogError, match="cannot be read"):
        await server.read()


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
