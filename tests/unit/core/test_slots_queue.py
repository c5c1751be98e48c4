"""The queues of a limited step: an order of their own, from which any member may be removed."""

from dataclasses import dataclass
from weakref import WeakSet

from uploadpp.core.slots import Queue


@dataclass(frozen=True, weakref_slot=True, slots=True)
class Member:
    """Somebody in a queue; as uploads, members cannot be compared with each other."""

    name: str


A, B, C = Member("a"), Member("b"), Member("c")


def test_the_first_of_a_queue_is_the_one_with_the_lowest_order() -> None:
    queue: Queue[Member] = Queue()
    queue.put(A, (2, 0))
    queue.put(B, (1, 9))
    queue.put(C, (1, 8))
    assert (queue.first(), len(queue)) == (C, 3)


def test_of_equals_in_a_queue_the_one_that_came_first_is_first() -> None:
    queue: Queue[Member] = Queue()
    for member in (B, A, C):
        queue.put(member, (1,))
    order = []
    while queue:
        order.append(queue.first())
        queue.remove(order[-1])
    assert order == [B, A, C]


def test_a_member_that_is_put_again_has_only_its_new_place() -> None:
    queue: Queue[Member] = Queue()
    queue.put(A, (1,))
    queue.put(B, (2,))
    queue.put(A, (3,))
    assert (queue.first(), len(queue)) == (B, 2)
    queue.remove(A)
    queue.remove(B)
    assert not queue


def test_what_is_not_in_a_queue_can_be_removed_from_it() -> None:
    queue: Queue[Member] = Queue()
    queue.put(A, (1,))
    queue.remove(B)
    assert (queue.first(), len(queue)) == (A, 1)


def test_a_queue_keeps_few_of_those_who_have_left_and_all_who_have_not() -> None:
    """Whoever waits behind a long queue may see thousands of others come and go."""
    queue: Queue[Member] = Queue()
    stay = [Member(f"stays {number}") for number in range(10)]
    for number, member in enumerate(stay):
        queue.put(member, (number, 0))
    left: WeakSet[Member] = WeakSet()
    most = 0
    for number in range(500):
        member = Member(f"comes and goes {number}")
        left.add(member)
        queue.put(member, (number % 10, 1))
        queue.remove(member)
        del member
        most = max(most, len(left))
    assert 10 + most == 2 * 11 + 64, "twice as many as are in it with the last one, and 64 to spare"
    order = []
    while queue:
        order.append(queue.first())
        queue.remove(order[-1])
    assert order == stay
