"""Creates the stream, and consumers within the limits of the server, the account and the stream."""

import logging
import re
from collections.abc import Collection
from functools import partial

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, ConsumerInfo, StreamConfig
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from uploadpp.wire.workers import AT_ONCE, for_each

log = logging.getLogger(__name__)

NO_JETSTREAM = (
    "JetStream is not available (503): enable it on this server or in its cluster; JetStream in another "
    "domain, behind a leaf node, is not used"
)
NO_ANSWERS = (
    "the stream {0} does not acknowledge messages (no_ack), so the operator cannot tell whether they are "
    "stored; to change that, run: nats stream edit {0} --ack"
)
NO_PLACE = "maximum consumers limit"
NO_PLACE_CODE = 10026
_MAX_PENDING = re.compile(r"max ack pending exceeds \w+ limit of (\d+)")


class ConsumerLimitError(APIError):
    """The stream or the account has reached its limit of consumers."""

    def __init__(self, error: APIError, stream: str, consumer: str) -> None:
        super().__init__(error.code, error.description, error.err_code)
        self._words = (
            f"NATS: {error.description}: the stream {stream} has no room for the consumer {consumer}; raise "
            "max_consumers of the stream or the account, or delete a consumer that is no longer needed"
        )

    def __str__(self) -> str:
        return self._words


def explained(error: APIError, stream: str, consumer: str) -> APIError:
    """The error, with the remedy if it says that a limit of consumers is reached."""
    full = error.err_code == NO_PLACE_CODE or NO_PLACE in (error.description or "")
    return ConsumerLimitError(error, stream, consumer) if full else error


def limit_of(error: APIError) -> int | None:
    """The limit of unacknowledged messages that an error is about."""
    match = _MAX_PENDING.search(error.description or "")
    return int(match[1]) if match is not None and int(match[1]) > 0 else None


async def no_answers(js: JetStreamContext, stream: str) -> str:
    """That a stream answers no publication, and what ends that; empty when it does answer.

    Raises:
        NatsError, TimeoutError: it cannot be told.
    """
    return NO_ANSWERS.format(stream) if (await js.stream_info(stream)).config.no_ack else ""


def unusable(config: StreamConfig, stream: str) -> str:
    """That a stream takes no event, or hands it to nobody, and what ends that; empty when it is in order."""
    all_of_it = {stream, "*", ">"}
    if config.sealed:
        return f"the stream {stream} is sealed: it takes no message ever again; remove it to have another"
    if config.subjects and all_of_it.isdisjoint(config.subjects):
        return (
            f"the stream {stream} takes no messages on {stream}; "
            f"to change that, run: nats stream edit {stream} --subjects {stream}"
        )
    transform = config.subject_transform
    if transform is not None and transform.src in {*all_of_it, ""} and transform.dest not in all_of_it:
        return (
            f"the stream {stream} stores messages under another subject (subject_transform), "
            "where services do not find them; remove that setting"
        )
    return ""


async def ensure(js: JetStreamContext, config: StreamConfig) -> None:
    """Make a stream when it is missing; leave it as it is when it is there.

    Raises:
        APIError: it cannot be made: too many streams, no room, or its subject belongs to another one.
        NatsError: the server has no JetStream for us.
    """
    name = config.name or ""
    try:
        await js.stream_info(name)
    except NotFoundError:
        await _make_stream(js, name, config)
    except ServiceUnavailableError as error:
        if error.description:
            raise
        raise NatsError(NO_JETSTREAM) from error


async def _make_stream(js: JetStreamContext, name: str, config: StreamConfig) -> None:
    try:
        await js.add_stream(config)
    except APIError as error:
        try:
            await js.stream_info(name)  # somebody else was faster
        except NotFoundError:
            raise error from None  # what the server said is the reason, not that there is no stream
    else:
        log.info("stream created", extra={"stream": name})


async def make(js: JetStreamContext, stream: str, config: ConsumerConfig) -> ConsumerInfo:
    """Make a consumer, with fewer unacknowledged messages where a server or a stream has a limit for them.

    Raises:
        ConsumerLimitError: there are as many consumers as there may be.
    """
    while True:
        try:
            made = await js.add_consumer(stream, config)
        except APIError as error:
            most = limit_of(error)
            if most is None or most >= (config.max_ack_pending or 0):
                raise explained(error, stream, config.name or "") from error
            log.warning("reading fewer messages ahead: NATS allows %d", most)
            config = config.evolve(max_ack_pending=most)
        else:
            if not made.config.metadata:
                await js.delete_consumer(stream, made.name)
                raise NatsError("NATS is older than 2.10: it does not keep the metadata of consumers")
            if made.config.inactive_threshold:
                log.warning(
                    "the stream's consumer_limits delete the operator's consumer after %d s without a reader",
                    made.config.inactive_threshold,
                    extra={"consumer": config.name},
                )
            return made


async def make_unless_there(js: JetStreamContext, stream: str, config: ConsumerConfig) -> None:
    """Create a consumer. If another replica was faster, its position counts."""
    try:
        await make(js, stream, config)
    except APIError as error:
        try:
            await js.consumer_info(stream, config.name or "")
        except NotFoundError:
            raise error from None  # what the server said is the reason, not that there is no consumer


async def remove(js: JetStreamContext, stream: str, names: Collection[str]) -> None:
    """Remove consumers; those that are gone already are fine.

    Raises:
        NatsError, TimeoutError: one is not known to be gone. Others may be.
    """
    workers = 1 if len(names) < AT_ONCE else AT_ONCE
    await for_each(names, partial(_remove_one, js, stream), workers)


async def _remove_one(js: JetStreamContext, stream: str, name: str) -> None:
    await js.delete_consumer(stream, name)
