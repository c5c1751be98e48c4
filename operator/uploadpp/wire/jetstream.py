"""JetStream's API, whose answers hold what others have written.

Anybody who may make a consumer on the stream, by whatever name, chooses the times in its settings, and the
server hands them on. The library reads no time with a fraction and an offset west of Greenwich, nor one
that UTC cannot hold, and raises. One such consumer would then keep everybody from listing them all.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.manager import JetStreamManager

_TIMES = frozenset({"created", "last_active", "leader_since", "opt_start_time", "pause_until", "time", "ts"})
_FRACTION = re.compile(r"\.([0-9]{1,6})[0-9]*+")
_FIRST, _LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"
_LATE = "5000"
"""A time that no date can hold in UTC is one of the two, and they are far apart."""


class SafeJetStream(JetStreamContext):
    """The library's, for answers that hold anything."""

    @property
    def _jsm(self) -> JetStreamManager:
        return self

    async def _api_request(self, req_subject: str, req: bytes = b"", timeout: float = 5) -> dict[str, Any]:  # noqa: ASYNC109 -- the library's
        try:
            answer = await super()._api_request(req_subject, req, timeout)
        except (ValueError, TypeError, AttributeError) as error:
            raise NatsError(f"nats: the answer to {req_subject} cannot be read") from error
        if not isinstance(answer, dict):
            raise NatsError(f"nats: the answer to {req_subject} is not an object")
        return readable(answer)


def readable(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with times that the library can read."""
    for name, value in answer.items():
        if name in _TIMES and isinstance(value, str):
            answer[name] = in_utc(value)
        elif name == "metadata":
            continue  # words of others, and none of these are times
        elif isinstance(value, dict):
            readable(value)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    readable(each)
    return answer


def in_utc(text: str) -> str:
    """A time in UTC; the first or the last moment where UTC cannot hold it, or it is not a time."""
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(_FRACTION.sub(r".\1", text, count=1))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return _LAST if text[: len(_LATE)] >= _LATE else _FIRST
