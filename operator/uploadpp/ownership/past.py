"""Whether the resources know more of the stream than the stream itself (docs/adr/0051)."""

from collections.abc import Iterable

from nats.js import JetStreamContext

from uploadpp.core.model import Upload
from uploadpp.wire.errors import TailLostError
from uploadpp.wire.noted_position import STORED_SLACK, moment, stored_at
from uploadpp.wire.stream import STREAM, ConsumerPosition


async def check_past(js: JetStreamContext, position: ConsumerPosition, uploads: Iterable[Upload]) -> None:
    """Make sure that no upload has seen positions that the stream has not reached.

    Raises:
        TailLostError: one has. What is stored now gets positions that count as read. So all that is not
            acknowledged is read as a new incarnation: some of it may be in the resources already.
    """
    mine = [each for each in uploads if each.log.stream == position.stream]
    seen = max((max(each.log.sequence, each.log.start or 0) for each in mine), default=0)
    if seen < position.first + position.backlog:
        return
    last = (await js.stream_info(STREAM)).state.last_seq  # messages that were removed are not in the backlog
    beyond = [each for each in mine if max(each.log.sequence, each.log.start or 0) > last]
    if beyond:
        lost_at = moment(max(each.since for each in beyond)) + STORED_SLACK
        raise TailLostError(await stored_at(js, STREAM, position.first) or lost_at)
