"""What may be acknowledged: the contiguous prefix of what is done, whatever the order of doing."""

from hypothesis import given
from hypothesis import strategies as st

from uploadpp.pipeline.acks import AckTracker, PendingMessage


@given(st.data())
def test_floor_is_the_contiguous_prefix(data: st.DataObject) -> None:
    acks, messages = AckTracker(), list[PendingMessage]()
    waiting: dict[int, int] = {}
    sequence = start = data.draw(st.integers(0, 1000))
    acks.start("main-queue@1", start)
    for _ in range(data.draw(st.integers(0, 40))):
        if not waiting or data.draw(st.booleans()):
            sequence += data.draw(st.integers(1, 5))
            messages.append(acks.add(sequence, sequence))
            waiting[sequence] = 1
        else:
            message = data.draw(
                st.sampled_from([message for message in messages if waiting.get(message.sequence)])
            )
            if data.draw(st.booleans()):
                message.open += 1  # a state that must be stored first
                waiting[message.sequence] += 1
            acks.release(message)
            waiting[message.sequence] -= 1
            if not waiting[message.sequence]:
                del waiting[message.sequence]
        done = [
            message.sequence for message in messages if message.sequence < min(waiting, default=sequence + 1)
        ]
        assert acks.ack_floor == max(done, default=start)
        assert len(acks) == len(messages) - len(done)


def test_an_acknowledgement_is_taken_once() -> None:
    acks = AckTracker()
    first, second = acks.add(5, 50), acks.add(7, 70)
    assert acks.take_ack() is None
    acks.release(second)
    assert (acks.take_ack(), acks.ack_floor) == (None, 0)
    acks.release(first)
    assert (acks.take_ack(), acks.ack_floor) == ((7, 70), 7)
    assert acks.take_ack() is None


def test_an_acknowledgement_names_the_consumers_own_count() -> None:
    """Sequences 3 and 4 were gone from the stream, and so was 7."""
    acks = AckTracker()
    messages = [acks.add(sequence, sequence - shift) for sequence, shift in ((5, 4), (6, 4), (8, 5), (9, 5))]
    taken = []
    for message in messages:
        acks.release(message)
        taken.append(acks.take_ack())
    assert taken == [(5, 1), (6, 2), (8, 3), (9, 4)]
