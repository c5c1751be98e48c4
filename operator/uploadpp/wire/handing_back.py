"""Hands the stream back: creates the legacy service's consumer where it is to continue, and deletes ours."""

import contextlib
from uuid import uuid4

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.errors import NotFoundError

from uploadpp.core.sharding import Shard
from uploadpp.wire.consumers import INCARNATION_KEY, SIGNED_KEY, parse_name
from uploadpp.wire.positions import acknowledged
from uploadpp.wire.stream import LEGACY_DURABLES, STREAM, list_consumers

PUSH, PULL = LEGACY_DURABLES
RELEASED = "uploadpp.io/released"
"""In the metadata of a consumer that `uploadpp release` has made: our own consumers at that time."""


async def service_consumers(js: JetStreamContext) -> list[str]:
    """Names of the consumers that the service has on the stream."""
    return [each.name for each in await list_consumers(js) if each.name in LEGACY_DURABLES]


async def prepared(js: JetStreamContext, name: str) -> int | None:
    """The position after which the service continues, if we have created its consumer and it has not begun.

    An operator that has begun since has driven uploads beyond that position, and has other consumers.
    """
    known, mine = await _info(js, name), await _lives(js)
    said = (known.config.metadata or {}).get(RELEASED) if known is not None else None
    if known is None or said is None or _is_used(known) or (mine and said != mine):
        return None
    return _position(known)


async def move_to_end(js: JetStreamContext, name: str) -> int:
    """Make the service continue at the end of the stream; returns the last position that it does not read.

    The service compares the policy of its consumer with its own, which is `new`, and refuses to start with
    another one. So the consumer is recreated. One that is prepared already stays.
    """
    known = await prepared(js, name)
    if known is not None:
        return known
    with contextlib.suppress(NotFoundError):
        await js.delete_consumer(STREAM, name)
    return _position(await js.add_consumer(STREAM, _config(name, await _lives(js))))


async def keep_position(js: JetStreamContext, behind: int, life: str) -> None:
    """Create a consumer of ours that keeps how far we have read, if no operator has created one.

    No operator has published so far, so nothing without a signature is trusted.
    """
    name = f"{Shard().consumer_prefix}0"
    config = ConsumerConfig(
        name=name,
        durable_name=name,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=behind + 1,
        ack_policy=AckPolicy.ALL,
        metadata={INCARNATION_KEY: life, SIGNED_KEY: "0"},
    )
    await js.add_consumer(STREAM, config)


def _config(name: str, mine: str) -> ConsumerConfig:
    config = ConsumerConfig(
        name=name,
        durable_name=name,
        deliver_policy=DeliverPolicy.NEW,
        ack_policy=AckPolicy.EXPLICIT,
        max_deliver=-1,
        metadata={RELEASED: mine},
    )
    if name == PULL:
        return config.evolve(ack_wait=60, max_ack_pending=10_000)
    subject = f"_INBOX.{uuid4().hex[:22]}"
    return config.evolve(deliver_subject=subject, deliver_group=name, filter_subject=STREAM)


async def _lives(js: JetStreamContext) -> str:
    """Our own consumers and their creation times: they change once another owner has taken over."""
    return " ".join(sorted(f"{each.name}@{each.created.timestamp():.6f}" for each in await _mine(js)))


async def _mine(js: JetStreamContext) -> list[ConsumerInfo]:
    return [each for each in await list_consumers(js) if parse_name(each.name) is not None]


async def _info(js: JetStreamContext, name: str) -> ConsumerInfo | None:
    return next((each for each in await list_consumers(js) if each.name == name), None)


def _is_used(info: ConsumerInfo) -> bool:
    return info.delivered is not None and info.delivered.consumer_seq > 0


def _position(info: ConsumerInfo) -> int:
    at = acknowledged(info)
    if not isinstance(at, int):
        raise TypeError(f"NATS does not report where the consumer {info.name} begins")
    return at


async def own_consumers(js: JetStreamContext) -> list[str]:
    """Names of our own consumers."""
    return sorted(each.name for each in await _mine(js))


async def delete_own(js: JetStreamContext) -> list[str]:
    """Remove our own consumers: the next operator continues behind the service, as at a first start."""
    names = await own_consumers(js)
    for name in names:
        await js.delete_consumer(STREAM, name)
    return names


async def own_with_reader(js: JetStreamContext) -> list[str]:
    """Our own consumers with a reader: an operator runs."""
    return [each.name for each in await _mine(js) if (each.num_waiting or 0) > 0]
