"""A message of the log, and what its reply subject tells: its positions in the stream and in the consumer."""

from typing import NamedTuple

from nats.aio.msg import Msg

from uploadpp.core.model import Millis

ACK_TOKENS = 9
ACK_TOKENS_WITH_DOMAIN = 12
MESSAGE_ID, AGAIN = "Nats-Msg-Id", "+"
"""The header by which the stream knows repetitions, and what stands in it before a random number."""


class StreamMessage(NamedTuple):
    """One message as it stands in the log; `timestamp` is when the server stored it.

    `message_id` is its `Nats-Msg-Id`: of what goes through JetStream with acknowledgement, like our own. Of
    an event that had to be sent under another one, because its own was taken, it is the first.
    """

    sequence: int
    timestamp: Millis
    delivered: int
    pending: int
    data: bytes
    message_id: str = ""

    def __repr__(self) -> str:
        """Only what may be in a log: the data holds URLs."""
        return f"StreamMessage({self.sequence}, {self.message_id!r})"


def _positions(tokens: list[str]) -> int:
    """Where in the reply subject of a message its two positions begin (ADR-15 of NATS).

    In the newer form the domain and a hash of the account come first, and a random token last.
    """
    return 7 if len(tokens) >= ACK_TOKENS_WITH_DOMAIN - 1 else 5


def reply_at(reply: str, sequence: int, delivered: int) -> str:
    """The reply subject of another message of the same consumer, from that of one."""
    tokens = reply.split(".")
    at = _positions(tokens)
    return ".".join([*tokens[:at], str(sequence), str(delivered), *tokens[at + 2 :]])


def parse(message: Msg) -> StreamMessage:
    """A message of the log.

    Raises:
        ValueError: not the reply subject of a JetStream message.
    """
    tokens = message.reply.split(".")
    if len(tokens) < ACK_TOKENS:
        raise ValueError(message.reply)
    at = _positions(tokens)
    sequence, delivered, nanos, pending = map(int, tokens[at : at + 4])
    message_id = message.headers.get(MESSAGE_ID, "").partition(AGAIN)[0] if message.headers else ""
    return StreamMessage(sequence, Millis(nanos // 1_000_000), delivered, pending, message.data, message_id)
