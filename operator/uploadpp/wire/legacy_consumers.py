"""The consumers of the legacy service: whether they have a reader, and their positions (docs/adr/0043)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from uploadpp.core.text import clean
from uploadpp.wire.jetstream import readable, reading
from uploadpp.wire.stream import LEGACY_DURABLES, STREAM, legacy_members

REQUEST_SECONDS = 5.0
SERVERS_OWN = "_nats."
"""What metadata begins with that servers write themselves."""
STARTS = ("opt_start_seq", "opt_start_time")


class OnLegacyService(StrEnum):
    """What happens when the legacy service comes back while the operator processes uploads."""

    HOLD = "Hold"
    CONTINUE = "Continue"


class LegacyConsumer(StrEnum):
    """What happens to that service's consumer while nobody reads from it."""

    KEEP = "Keep"
    ADVANCE = "Advance"
    """It is moved to the end of the stream."""
    REMOVE = "Remove"


LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about that service."""

    on_return: OnLegacyService = OnLegacyService.HOLD
    consumer: LegacyConsumer = LegacyConsumer.ADVANCE
    look_seconds: float = LOOK_SECONDS


DEFAULT_POLICY = Policy()
ONLY_REPORT = Policy(OnLegacyService.CONTINUE, LegacyConsumer.KEEP)


async def find(js: JetStreamContext) -> list[ConsumerInfo]:
    """The consumers of that service which are there."""
    found = []
    for name in LEGACY_DURABLES:
        try:
            found.append(await js.consumer_info(STREAM, name))
        except NotFoundError:
            continue
    return found


class Readers:
    """Tells which of those consumers somebody reads through.

    A service that pulls may be seen between two of its requests. Then its position has moved since.
    """

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, int]] = {}

    def among(self, consumers: Iterable[ConsumerInfo]) -> list[str]:
        """The names of those with a reader."""
        mine = [each for each in consumers if each.name in LEGACY_DURABLES]
        before, self._read = self._read, {each.name: _progress(each) for each in mine}
        moved = {
            name
            for name, (delivered, acknowledged) in self._read.items()
            if name in before and (delivered > before[name][0] or acknowledged > before[name][1])
        }
        bound = set(legacy_members(mine))
        return [each.name for each in mine if each.name in bound | moved]


def _progress(consumer: ConsumerInfo) -> tuple[int, int]:
    delivered, floor = consumer.delivered, consumer.ack_floor
    return (
        delivered.consumer_seq if delivered is not None else 0,
        floor.consumer_seq if floor is not None else 0,
    )


def is_behind(consumer: ConsumerInfo) -> bool:
    """Whether a service that comes back would receive old messages."""
    return bool(consumer.num_pending or consumer.num_ack_pending)


async def remove(client: Client, name: str) -> bool:
    """Delete such a consumer; False if it has a reader by now, or is gone."""
    return await _take_away(client, name) is not None


async def advance(client: Client, name: str) -> int | None:
    """Recreate such a consumer at the end of the stream, with the settings that it has.

    Its position cannot be changed otherwise, and the service refuses a consumer that does not deliver from
    `new` on. Returns its position; None when somebody reads there by now, or it is gone.

    Raises:
        NatsError: it was taken away and cannot be made. The service then makes one itself, with new events.
    """
    config = await _take_away(client, name)
    if config is None:
        return None
    config["deliver_policy"] = "new"
    kept = {k: v for k, v in (config.pop("metadata", None) or {}).items() if not k.startswith(SERVERS_OWN)}
    if kept:
        config["metadata"] = kept
    # Without the subject of the filter in that of the request, so that our permissions are enough.
    body = {
        "stream_name": STREAM,
        "config": {k: v for k, v in config.items() if k not in STARTS},
        "action": "create",
    }
    answer = await _ask(client, f"CREATE.{STREAM}.{name}", body)
    if "error" in answer:
        said = answer["error"].get("description") if isinstance(answer["error"], dict) else ""
        raise NatsError(f"the consumer {name} cannot be recreated: {clean(str(said))}")
    delivered = answer.get("delivered")
    return int(delivered.get("stream_seq", 0)) if delivered else 0


async def _take_away(client: Client, name: str) -> dict[str, Any] | None:
    """Delete a consumer, unless it has a reader; returns its settings as the server has them."""
    answer = await _ask(client, f"INFO.{STREAM}.{name}", None)
    if "error" in answer or answer.get("push_bound") or answer.get("num_waiting"):
        return None
    config = answer.get("config")
    if not isinstance(config, dict):
        raise NatsError(f"the consumer {name} cannot be moved: its configuration cannot be read")
    deleted = await _ask(client, f"DELETE.{STREAM}.{name}", None)
    return None if "error" in deleted else {**config, "name": name}


async def _ask(client: Client, what: str, body: dict[str, Any] | None) -> dict[str, Any]:
    data = orjson.dumps(body) if body is not None else b""
    message = await client.request(f"$JS.API.CONSUMER.{what}", data, timeout=REQUEST_SECONDS)
    with reading(what):
        answer = orjson.loads(message.data)
        if not isinstance(answer, dict):
            raise TypeError
        return readable(answer)
