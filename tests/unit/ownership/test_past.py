"""Resources that have seen more than the stream holds."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.js.errors import NotFoundError

from uploadpp.core.evolve import evolve
from uploadpp.core.model import LogPosition, Millis, Upload
from uploadpp.ownership.past import check_past
from uploadpp.testing.builders import NOW, after, arrival
from uploadpp.wire.errors import TailLostError
from uploadpp.wire.stream import ConsumerPosition

LIFE = "main-queue@20261002T080000.000000"
PLACE = ConsumerPosition(LIFE, "uploadpp-0-e2", 2, first=101, backlog=5)
STORED = datetime(2026, 10, 2, 9, 0, tzinfo=UTC)


class Stream:
    """Ends at 105; the messages from `first` on are there."""

    def __init__(self, first: int = 1) -> None:
        self.first = first

    async def stream_info(self, _: str) -> object:
        return SimpleNamespace(state=SimpleNamespace(last_seq=105))

    async def get_msg(self, _: str, *, seq: int) -> object:
        if seq < self.first:
            raise NotFoundError
        return SimpleNamespace(time=STORED)


def at(sequence: int, start: int | None = None, life: str = LIFE) -> Upload:
    return evolve(after(arrival()), log=LogPosition(life, sequence, start), since=NOW)


async def look(*uploads: Upload, first: int = 1) -> None:
    await check_past(cast("Any", Stream(first)), PLACE, uploads)


@pytest.mark.parametrize("upload", [at(105), at(90, 105), at(106, life=f"{LIFE}+1"), at(0)])
async def test_up_to_the_end_of_the_stream_everything_may_be_seen(upload: Upload) -> None:
    await look(upload)


async def test_removed_messages_are_no_loss() -> None:
    """With three of the five removed, the backlog says that the stream ends earlier."""
    await check_past(cast("Any", Stream()), ConsumerPosition(LIFE, "x", 2, 101, 2), [at(105)])


@pytest.mark.parametrize("upload", [at(106), at(90, 106)])
async def test_beyond_it_what_is_not_acknowledged_is_read_anew(upload: Upload) -> None:
    with pytest.raises(TailLostError) as found:
        await look(at(100), upload)
    assert found.value.lost_after == STORED


async def test_where_nothing_is_unread_what_follows_is_new() -> None:
    with pytest.raises(TailLostError) as found:
        await look(at(106), evolve(at(109), since=Millis(NOW + 500)), first=1000)
    assert found.value.lost_after == datetime.fromtimestamp((NOW + 501) / 1000, UTC)
    assert timedelta(0) < found.value.lost_after - datetime.fromtimestamp(NOW / 1000, UTC)
