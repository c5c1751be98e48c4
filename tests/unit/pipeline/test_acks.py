"""What may be acknowledged: the contiguous prefix of what is done, whatever the order of doing."""

from hypothesis import given
from hypothesis import strategies as st

from uploadpp.pipeline.acks import Ledger, Slot


@given(st.data())
def test_floor_is_the_contiguous_prefix(data: st.DataObject) -> None:
    ledger, slots = Ledger(), list[Slot]()
    waiting: dict[int, int] = {}
    sequence = start = data.draw(st.integers(0, 1000))
    ledger.start(start)
    for _ in range(data.draw(st.integers(0, 40))):
        if not waiting or data.draw(st.booleans()):
            sequence += data.draw(st.integers(1, 5))
            slots.append(ledger.add(sequence, sequence))
            waiting[sequence] = 1
        else:
            slot = data.draw(st.sampled_from([slot for slot in slots if waiting.get(slot.sequence)]))
            if data.draw(st.booleans()):
                slot.open += 1  # a state that must be stored first
                waiting[slot.sequence] += 1
            ledger.settle(slot)
            waiting[slot.sequence] -= 1
            if not waiting[slot.sequence]:
                del waiting[slot.sequence]
        done = [slot.sequence for slot in slots if slot.sequence < min(waiting, default=sequence + 1)]
        assert ledger.floor == max(done, default=start)
        assert len(ledger) == len(slots) - len(done)


def test_an_acknowledgement_is_taken_once() -> None:
    ledger = Ledger()
    first, second = ledger.add(5, 50), ledger.add(7, 70)
    assert ledger.take_ack() is None
    ledger.settle(second)
    assert (ledger.take_ack(), ledger.floor) == (None, 0)
    ledger.settle(first)
    assert (ledger.take_ack(), ledger.floor) == ((7, 70), 7)
    assert ledger.take_ack() is None


def test_an_acknowledgement_names_the_consumers_own_count() -> None:
    """Sequences 3 and 4 were gone from the stream, and so was 7."""
    ledger = Ledger()
    slots = [ledger.add(sequence, sequence - shift) for sequence, shift in ((5, 4), (6, 4), (8, 5), (9, 5))]
    acks = []
    for slot in slots:
        ledger.settle(slot)
        acks.append(ledger.take_ack())
    assert acks == [(5, 1), (6, 2), (8, 3), (9, 4)]
