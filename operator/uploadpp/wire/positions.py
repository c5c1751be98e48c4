"""How far a consumer has acknowledged, for all versions of the server.

NATS 2.10 to 2.12 say `ack_floor.stream_seq = 0` until something is acknowledged. Newer ones say where the
consumer began. Taken at its word, a zero means: read everything again.
"""

from datetime import UTC, datetime

from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, DeliverPolicy, StreamState
from nats.js.errors import NotFoundError

BEGINNING = 0


def acknowledged(info: ConsumerInfo) -> int | datetime:
    """The sequence up to which everything is acknowledged.

    A time where the server does not know the sequence: everything stored before it counts as acknowledged.
    """
    floor, delivered, config = info.ack_floor, info.delivered, info.config
    if floor is not None and floor.stream_seq > 0:
        return floor.stream_seq
    if delivered is None or delivered.consumer_seq == 0:
        return delivered.stream_seq if delivered is not None else BEGINNING
    match config.deliver_policy:
        case DeliverPolicy.BY_START_SEQUENCE:
            return max(config.opt_start_seq or 1, 1) - 1
        case DeliverPolicy.BY_START_TIME if config.opt_start_time is not None:
            return config.opt_start_time
        case DeliverPolicy.NEW:
            return info.created
    return BEGINNING  # ALL; LAST and LAST_PER_SUBJECT may leave gaps, and reading too much loses nothing


def first_of(made: ConsumerInfo) -> int:
    """The first sequence that a consumer will hand over which has just been made."""
    return (made.delivered.stream_seq if made.delivered is not None else 0) + 1


def last_sign_of(info: ConsumerInfo) -> datetime:
    """When the consumer was last used, as far as the server knows; it forgets that when it is restarted."""
    times = (info.ack_floor, info.delivered)
    return next((each.last_active for each in times if each and each.last_active), info.created)


async def last_before(js: JetStreamContext, stream: str, moment: datetime, state: StreamState) -> int:
    """The last sequence stored before a moment; the one before the first when all are younger."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    low, high = max(state.first_seq, 1), state.last_seq + 1
    while low < high:
        middle = (low + high) // 2
        try:
            found = await js.get_msg(stream, seq=middle, subject=stream, next=True)
        except NotFoundError:
            high = middle
            continue
        if found.time is None or found.time >= moment:
            high = middle
        else:
            low = max(found.seq or middle, middle) + 1
    return low - 1


async def still_holds(js: JetStreamContext, stream: str, sequence: int, stored_at: int) -> bool:
    """Whether a message that was read is in its place, or may have been removed by an age limit.

    The stream has this sequence, or has had it.

    Raises:
        NatsError, TimeoutError: that cannot be told.
    """
    try:
        stored = (await js.get_msg(stream, seq=sequence)).time
    except NotFoundError:
        return True  # removed by an age limit, or the stream is new: its consumer is then gone as well
    return stored is None or abs(stored.timestamp() * 1000 - stored_at) <= 1
