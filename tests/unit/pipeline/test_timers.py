"""One heap of timers: the last arrangement counts, the earliest comes first."""

import asyncio
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from uploadpp.core.model import Millis
from uploadpp.pipeline.timers import Timers
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.builders import PASSED, after

UPLOAD = after(*PASSED)


class Clock:
    """Stands still until it is moved."""

    now = Millis(0)

    def __call__(self) -> Millis:
        return self.now


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.none() | st.integers(0, 50)) | st.integers(0, 20),  # set, or let pass
        max_size=40,
    )
)
def test_like_a_plain_table(actions: list[tuple[int, int | None] | int]) -> None:
    clock = Clock()
    timers = Timers(clock)
    entries = [TrackedUpload(str(number), UPLOAD) for number in range(5)]
    table: dict[TrackedUpload, int] = {}
    for action in actions:
        if isinstance(action, tuple):
            tracked, at = entries[action[0]], action[1]
            timers.set(tracked, None if at is None else Millis(at))
            table.pop(tracked, None)
            if at is not None:
                table[tracked] = at
        else:
            clock.now = Millis(clock.now + action)
            due = {tracked for tracked, at in table.items() if at <= clock.now}
            popped = timers.pop_due()
            assert set(popped) == due
            assert [table[tracked] for tracked in popped] == sorted(table[tracked] for tracked in due)
            table = {tracked: at for tracked, at in table.items() if tracked not in due}
        assert len(timers) == len(table)
        assert timers.next_due() == min(table.values(), default=None)


async def test_an_earlier_timer_wakes_a_sleeping_scheduler() -> None:
    loop = asyncio.get_running_loop()
    timers = Timers(lambda: Millis(int(loop.time() * 1000)))
    woken: asyncio.Queue[TrackedUpload] = asyncio.Queue()
    running = asyncio.create_task(timers.run(woken.put_nowait))
    late, soon = TrackedUpload("late", UPLOAD), TrackedUpload("soon", UPLOAD)
    timers.set(late, Millis(int(loop.time() * 1000) + 60_000))
    await asyncio.sleep(0.01)
    timers.set(soon, Millis(int(loop.time() * 1000) + 10))
    assert await asyncio.wait_for(woken.get(), 5) is soon
    assert woken.empty()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def test_uploads_that_are_gone_are_not_kept_until_their_time_would_have_come() -> None:
    clock = Clock()
    timers = Timers(clock)
    for number in range(10_000):
        tracked = TrackedUpload(str(number), UPLOAD)
        timers.set(tracked, Millis(600_000))
        if number:
            timers.set(tracked, None)
    assert len(timers) == 1
    assert timers.held < 5_000
    clock.now = Millis(600_000)
    assert [each.name for each in timers.pop_due()] == ["0"]
