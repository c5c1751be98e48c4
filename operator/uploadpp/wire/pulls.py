"""What a server says to a pull, and what to ask for next: its words are read, not guessed."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

CREDIT = 512
EXPIRES_SECONDS = 30.0
HEARTBEAT_SECONDS = 3.0
PULLS_AT_ONCE = 8
"""Where one pull may ask for little, so many are sent; the server takes 512 by default."""
_BATCH = re.compile(r"MaxRequestBatch of (\d+)")
_EXPIRES = re.compile(r"MaxRequestExpires of (?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
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

    @property
    def heartbeat_seconds(self) -> float:
        """The server wants at most half of the time a pull is valid for."""
        return min(HEARTBEAT_SECONDS, self.expires_seconds / 3)

    @property
    def credit(self) -> int:
        """How many messages are asked for at once."""
        return min(CREDIT, self.batch * PULLS_AT_ONCE)


def judge(terms: Terms, status: str, description: str) -> tuple[Answer, Terms]:
    """What a status other than a heartbeat or a timeout means, and what to ask for from now on."""
    if status != "409":
        return Answer.OVER, terms
    if (match := _BATCH.search(description)) is not None:
        less = max(int(match[1]), 1)
        return (Answer.ADAPTED, replace(terms, batch=less)) if less < terms.batch else (Answer.AGAIN, terms)
    if (match := _EXPIRES.search(description)) is not None:
        hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
        most = hours * 3600 + minutes * 60 + seconds + millis / 1000
        if 0 < most < terms.expires_seconds:
            return Answer.ADAPTED, replace(terms, expires_seconds=most)
        return Answer.AGAIN, terms
    # A change of leaders, a shutdown, too many pulls of others: all pass, and what is unknown may.
    final = any(each in description.lower() for each in _FINAL)
    return Answer.OVER if final else Answer.AGAIN, terms


def words(status: str, description: str) -> str:
    """A status as a person may read it."""
    if status == "503":
        return "nobody answers a pull (503): JetStream is not available, or the consumer is gone"
    if "Consumer Deleted" in description:
        return f"the consumer is gone ({status} {description})"
    return f"NATS refuses a pull: {status} {description}"
