"""What a server answers to a pull, and what to ask for next."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

CREDIT = 512
EXPIRES_SECONDS = 30.0
HEARTBEAT_SECONDS = 3.0
PULLS_AT_ONCE = 8
"""Where one pull may ask for little, so many are sent; the server takes 512 by default."""
MOST_BYTES = 4 << 20
"""The most that is asked for at once. The server cuts a client off that leaves 64 MiB unread, by default. A
few overlapping pulls stay far below that."""
LARGEST_BYTES = 64 << 20
OVERHEAD_BYTES = 64 << 10
"""Subjects and headers count too."""
DONE = "batch completed"
"""What the server says of a pull with a limit of bytes that has brought all of its messages."""
SPENT = "exceeds maxbytes"
"""What the server says when the next message does not fit into what a pull may still bring."""
SHORTEST_SECONDS = 0.05
"""With a shorter one, we would only send requests."""
MOST_DIGITS = 19
_BATCH = re.compile(r"MaxRequestBatch of ([0-9]{1,9})(?![0-9])")
_EXPIRES = re.compile(
    r"MaxRequestExpires of (?:([0-9]{1,6})h)?(?:([0-9]{1,6})m(?!s))?"
    r"(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)s)?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)ms)?"
)
NOBODY = "503"
"""Nobody answers pulls: the consumer is gone, or a new leader of it is being elected."""
_FINAL = ("consumer deleted", "push based")


class Answer(StrEnum):
    """What a status means for the reader."""

    AGAIN = "ask again soon"
    ADAPTED = "ask again now, for less"
    OVER = "this consumer cannot be read"


@dataclass(frozen=True, slots=True)
class Terms:
    """What one pull asks for."""

    batch: int = CREDIT
    expires_seconds: float = EXPIRES_SECONDS
    most_bytes: int = MOST_BYTES

    @property
    def heartbeat_seconds(self) -> float:
        """The server wants at most half of the time a pull is valid for."""
        return min(HEARTBEAT_SECONDS, self.expires_seconds / 3)

    @property
    def credit(self) -> int:
        """How many messages are asked for at once."""
        return min(CREDIT, self.batch * PULLS_AT_ONCE)

    def bytes_of_a_pull(self, max_payload: int) -> int:
        """How many bytes one pull may bring. The largest message always fits."""
        pulls = -(-self.credit // self.batch)
        return max(self.most_bytes // pulls, max_payload + OVERHEAD_BYTES)

    def request(self, batch: int, max_payload: int) -> dict[str, int]:
        """The body of a pull for so many messages."""
        return {
            "batch": batch,
            "max_bytes": self.bytes_of_a_pull(max_payload),
            "expires": int(self.expires_seconds * 1_000_000_000),
            "idle_heartbeat": int(self.heartbeat_seconds * 1_000_000_000),
        }

    @property
    def larger(self) -> "Terms":
        """More bytes for a pull: the next message does not fit, because max_payload was larger once."""
        return replace(self, most_bytes=min(self.most_bytes * 4, LARGEST_BYTES))


def left_of(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """What an ended pull has not brought; None when the status says something else.

    Returns:
        The messages that are left, and the bytes that were left when the next message did not fit, or 0.
    """
    status, said = headers.get("Status", ""), headers.get("Description", "").lower()
    messages = count(headers.get("Nats-Pending-Messages", ""))
    if status == "408" or (status == "409" and DONE in said):  # its time is over, or it has brought all
        return messages, 0
    if status == "409" and SPENT in said:
        return messages, count(headers.get("Nats-Pending-Bytes", ""))
    return None


def count(text: str) -> int:
    """A count in an answer; 0 when it is not one, as a client that may publish to our inbox can name it."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else 0


def judge(terms: Terms, status: str, description: str) -> tuple[Answer, Terms]:
    """What a status other than a heartbeat or a timeout means, and what to ask for from now on."""
    if status != "409":
        return Answer.AGAIN if status == NOBODY else Answer.OVER, terms
    if (match := _BATCH.search(description)) is not None:
        less = max(int(match[1]), 1)
        return (Answer.ADAPTED, replace(terms, batch=less)) if less < terms.batch else (Answer.AGAIN, terms)
    if (match := _EXPIRES.search(description)) is not None:
        hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
        most = hours * 3600 + minutes * 60 + seconds + millis / 1000
        if SHORTEST_SECONDS <= most < terms.expires_seconds:
            return Answer.ADAPTED, replace(terms, expires_seconds=most)
        return Answer.AGAIN, terms
    # A change of leaders, a shutdown, too many pulls of others: all pass, and what is unknown may.
    final = any(each in description.lower() for each in _FINAL)
    return Answer.OVER if final else Answer.AGAIN, terms


def words(status: str, description: str) -> str:
    """A status as a person may read it."""
    if status == NOBODY:
        return (
            "no response to a pull request (503): JetStream is not available, the consumer is gone, or a new "
            "leader of it is being elected"
        )
    if "Consumer Deleted" in description:
        return f"the consumer is gone ({status} {description})"
    return f"NATS rejected a pull request: {status} {description}"
