"""Reading the whole log for how some uploads have ended; nothing is acknowledged.

The events of all uploads have one subject, so the server cannot pick those of one. The consumer has a name
and no filter, which is what the operator's permissions allow, and exists for as long as it is read.
"""

import contextlib
import logging
from collections.abc import Collection
from uuid import uuid4

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from uploadpp.core.model import Millis
from uploadpp.core.rules.past_ends import ended_after
from uploadpp.core.states import Outcome
from uploadpp.wire.decode import decode
from uploadpp.wire.envelope import BadMessageError
from uploadpp.wire.history import INACTIVE_SECONDS, arriving, time_of
from uploadpp.wire.stream import STREAM

log = logging.getLogger(__name__)

PREFIX = "uploadpp-ends-"


class UnreadableLogError(Exception):
    """The log cannot be read at present; the text says why."""


class Ends:
    """How some uploads have ended, as far as the log was read."""

    def __init__(self, upload_ids: Collection[str]) -> None:
        self._wanted = frozenset(upload_ids)
        self.found: dict[str, Outcome] = {}
        """The outcomes of those that have ended so that they must not begin by themselves."""

    def read(self, data: bytes, sequence: int, at: Millis) -> None:
        """The next message of the log. What cannot be understood says nothing."""
        try:
            event = decode(data, sequence, at, owns=self._wanted.__contains__)
        except BadMessageError:
            return
        except Exception as error:  # noqa: BLE001 -- no message may ever stop the log (invariant 2.7)
            log.debug("a message of the log cannot be read: %s", type(error).__name__)
            return
        if event is None or event.upload_id not in self._wanted:
            return
        ended = ended_after(self.found.pop(event.upload_id, None), event.input)
        if ended is not None:
            self.found[event.upload_id] = ended


async def read_ends(js: JetStreamContext, upload_ids: Collection[str]) -> dict[str, Outcome]:
    """The outcomes of those uploads that have ended with `abort` or `delete`, as the stream still has it.

    Raises:
        UnreadableLogError: NATS does not answer, or refuses it.
    """
    ends, name = Ends(upload_ids), f"{PREFIX}{uuid4().hex}"
    config = ConsumerConfig(
        name=name,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=INACTIVE_SECONDS,
        mem_storage=True,
    )
    try:
        info = await js.add_consumer(STREAM, config)
        reader = await js.pull_subscribe_bind(consumer=name, stream=STREAM)
        try:
            async for message in arriving(reader, info.num_pending or 0):
                ends.read(message.data, message.metadata.sequence.stream, time_of(message))
        finally:
            await reader.unsubscribe()
            with contextlib.suppress(NatsError, TimeoutError):  # it expires soon
                await js.delete_consumer(STREAM, name)
    except (NatsError, TimeoutError) as error:
        raise UnreadableLogError(str(error) or type(error).__name__) from error
    return ends.found
