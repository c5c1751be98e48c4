"""Slots at a limited step: who waits, who holds one, and whose turn is next."""

import pytest

from uploadpp.core.sharding import Shard
from uploadpp.core.shares import Share
from uploadpp.core.slots import Slots, holds_slot, share_of
from uploadpp.core.states import DesiredState
from uploadpp.testing.builders import begun


def queued(places: Slots[str], user: str, *members: str) -> None:
    """A user's uploads come to wait, the first named is the oldest."""
    for number, member in enumerate(members):
        places.wait(member, Share(user), (number,))


def granted(places: Slots[str]) -> list[str]:
    """Who is given a place now, in turn; at most ten, lest a fault give them away forever."""
    found: list[str] = []
    while len(found) < 10 and (member := places.grant()) is not None:
        found.append(member)
    return found


def test_slots_are_given_away_until_none_is_left() -> None:
    places: Slots[str] = Slots(2)
    queued(places, "mary", "a", "b", "c")
    assert (places.used, places.waiting) == (0, 3)
    assert granted(places) == ["a", "b"]
    assert (places.used, places.waiting) == (2, 1)
    places.leave("a")
    assert (places.used, places.waiting) == (1, 1)
    assert granted(places) == ["c"]
    assert (places.used, places.waiting) == (2, 0)


def test_fewer_slots_take_none_away_and_more_are_granted() -> None:
    places: Slots[str] = Slots(2)
    queued(places, "mary", "a", "b", "c", "d")
    assert granted(places) == ["a", "b"]
    places.resize(1)
    places.leave("a")
    assert (places.used, granted(places)) == (1, [])
    places.resize(3)
    assert granted(places) == ["c", "d"]


def test_a_place_is_kept_free_while_nobody_waits() -> None:
    places: Slots[str] = Slots(1)
    assert places.grant() is None
    queued(places, "mary", "a")
    places.leave("a")
    assert (places.grant(), places.waiting) == (None, 0)


def test_the_oldest_upload_of_a_user_goes_first_whenever_it_came() -> None:
    places: Slots[str] = Slots(1)
    places.wait("newer", Share("mary"), (2,))
    places.wait("older", Share("mary"), (1,))
    assert places.grant() == "older"


def test_who_waits_already_moves_to_the_present_place_in_the_queue() -> None:
    places: Slots[str] = Slots(2)
    queued(places, "mary", "a", "b", "c")
    places.wait("a", Share("mary"), (9,))
    places.wait("c", Share("paul"), (0,))
    assert (granted(places), places.waiting) == (["c", "b"], 1)
    places.leave("c")
    assert (granted(places), places.shares_waiting) == (["a"], 0)


def test_who_moves_in_the_queue_loses_no_turn() -> None:
    places: Slots[str] = Slots(1)
    queued(places, "mary", "a")
    queued(places, "paul", "b")
    places.wait("a", Share("mary"), (9,))
    assert granted(places) == ["a"]


def test_of_equals_in_a_queue_the_one_that_came_first_stays_the_first() -> None:
    places: Slots[str] = Slots(1)
    for member in ("a", "b", "a"):
        places.wait(member, Share("mary"), (1,))
    assert granted(places) == ["a"]


def test_who_moves_in_the_queue_overtakes_by_the_present_size() -> None:
    places: Slots[str] = Slots(1, small_first=9)
    places.wait("a", Share("mary"), (0, 0), 5)
    places.wait("b", Share("mary"), (7, 1), 1)
    places.wait("b", Share("mary"), (0, 1), 6)
    places.wait("c", Share("mary"), (0, 2), 9)
    places.wait("c", Share("mary"), (0, 2), 1)
    assert granted(places) == ["c"]


def test_users_with_as_many_places_take_turns() -> None:
    places: Slots[str] = Slots(4)
    queued(places, "mary", "m1", "m2", "m3")
    queued(places, "paul", "p1", "p2", "p3")
    assert granted(places) == ["m1", "p1", "m2", "p2"]


def test_who_holds_the_fewest_places_is_next() -> None:
    places: Slots[str] = Slots(3)
    queued(places, "mary", "m1", "m2", "m3")
    assert granted(places) == ["m1", "m2", "m3"]
    queued(places, "mary", "m4")
    queued(places, "paul", "p1", "p2")
    places.leave("m1")
    assert granted(places) == ["p1"]
    places.leave("m2")
    assert granted(places) == ["p2"], "of equals the one who came later, and has been waiting"
    places.leave("p1")
    assert granted(places) == ["m4"]


def test_who_has_just_given_a_place_back_is_behind_those_who_came_meanwhile() -> None:
    places: Slots[str] = Slots(1)
    queued(places, "mary", "m1", "m2")
    assert granted(places) == ["m1"]
    queued(places, "paul", "p1")
    queued(places, "ann", "a1")
    places.leave("m1")
    order = []
    for _ in range(3):
        order += granted(places)
        places.leave(order[-1])
    assert order == ["p1", "a1", "m2"]


def test_a_user_who_was_here_before_has_no_better_turn_than_others() -> None:
    places: Slots[str] = Slots(1)
    queued(places, "mary", "m1")
    queued(places, "paul", "p1")
    places.leave("m1")
    queued(places, "mary", "m2")
    assert places.grant() == "p1"


def test_one_who_gives_up_waiting_costs_the_user_no_turn() -> None:
    places: Slots[str] = Slots(1)
    queued(places, "mary", "m1", "m2")
    queued(places, "paul", "p1")
    places.leave("m1")
    assert places.grant() == "m2"


def test_an_upload_at_the_step_holds_a_place_although_nobody_has_granted_it() -> None:
    places: Slots[str] = Slots(2)
    places.hold("started before", Share("mary"))
    places.hold("another", Share("mary"))
    places.hold("one too many", Share("paul"))
    queued(places, "paul", "p1")
    assert (places.used, places.waiting, places.grant()) == (3, 1, None)
    places.leave("another")
    assert places.grant() is None
    places.leave("one too many")
    assert places.grant() == "p1"


def test_an_upload_at_the_step_counts_as_its_users() -> None:
    places: Slots[str] = Slots(2)
    places.hold("at work", Share("mary"))
    queued(places, "mary", "m1")
    queued(places, "paul", "p1")
    assert granted(places) == ["p1"]


def test_who_waits_and_is_found_at_the_step_waits_no_more() -> None:
    places: Slots[str] = Slots(2)
    queued(places, "mary", "a", "b")
    places.hold("a", Share("mary"))
    assert (places.used, places.waiting) == (1, 1)
    assert granted(places) == ["b"]


def test_to_hold_a_place_twice_is_to_hold_one() -> None:
    places: Slots[str] = Slots(2)
    queued(places, "mary", "m1", "m2")
    queued(places, "paul", "p1")
    places.hold("m1", Share("mary"))
    places.hold("m1", Share("mary"))
    assert (places.used, places.waiting) == (1, 2)
    places.leave("m1")
    assert (places.used, granted(places)) == (0, ["p1", "m2"]), "mary has had one, paul none"


def test_to_be_found_at_the_step_again_is_no_new_turn() -> None:
    places: Slots[str] = Slots(3)
    places.hold("m1", Share("mary"))
    places.hold("p1", Share("paul"))
    queued(places, "paul", "p2")
    queued(places, "mary", "m2")
    places.hold("m1", Share("mary"))
    assert places.grant() == "m2"


def test_who_has_to_wait_again_gives_the_place_back() -> None:
    places: Slots[str] = Slots(1)
    places.hold("a", Share("mary"))
    assert places.holds("a")
    queued(places, "mary", "a")
    assert not places.holds("a")
    assert (places.used, places.waiting) == (0, 1)
    assert granted(places) == ["a"]


def test_who_is_not_here_can_leave() -> None:
    places: Slots[str] = Slots(1)
    queued(places, "mary", "a")
    places.leave("unknown")
    assert (places.used, places.waiting, places.grant()) == (0, 1, "a")


def test_a_share_that_counts_twice_has_two_turns_in_each_round() -> None:
    places: Slots[str] = Slots(1)
    mary = Share("mary", weight=2)
    for number in range(6):
        places.wait(f"m{number}", mary, (number,))
    queued(places, "paul", "p0", "p1", "p2")
    order = []
    while (member := places.grant()) is not None:
        order.append(member[0])
        places.leave(member)
    assert (order.count("m"), "".join(order[:6]).count("p")) == (6, 2)


def test_a_share_that_counts_twice_gets_a_second_slot_before_others_get_theirs() -> None:
    places: Slots[str] = Slots(3)
    for number in range(3):
        places.wait(f"m{number}", Share("mary", weight=2), (number,))
    queued(places, "paul", "p0", "p1")
    assert sorted(granted(places)) == ["m0", "m1", "p0"]


@pytest.mark.parametrize(
    ("normal", "weights", "history", "expected"),
    [
        (2, (2, 3, 3), "bababab+bccc+-+-+-+-+-+-+-+-", "bacbbcabc"),
        (1, (1, 2, 3), "ccbaa+-+cccc+-+-+-+-+-+-+-+-", "cbcacccca"),
    ],
)
def test_grants_follow_the_weights_whoever_comes_and_goes_meanwhile(
    normal: int, weights: tuple[int, ...], history: str, expected: str
) -> None:
    """An upload of `a`, `b` or `c` comes, `+` grants a slot of two, and `-` ends the oldest attempt."""
    places: Slots[str] = Slots(2, normal)
    at_step, order = [], ""
    for number, what in enumerate(history):
        if what == "+" and (member := places.grant()) is not None:
            at_step.append(member)
            order += member[0]
        elif what == "-" and at_step:
            places.leave(at_step.pop(0))
        elif what in "abc":
            places.wait(f"{what}{number}", Share(what, weight=weights["abc".index(what)]), (number,))
    assert order == expected


def test_a_share_that_counts_less_than_one_user_is_not_forgotten() -> None:
    places: Slots[str] = Slots(1, normal=4)
    low, normal = Share("mary", "low", 1), Share("paul", "normal", 4)
    places.wait("low", low, (0,))
    for number in range(9):
        places.wait(f"n{number}", normal, (number,))
    order = []
    while (member := places.grant()) is not None:
        order.append(member)
        places.leave(member)
    assert 0 < order.index("low") <= 4


def small_first(places: Slots[str], *sizes: int) -> list[int]:
    """The sizes of uploads of one user, in the order in which they are granted."""
    for number, size in enumerate(sizes):
        places.wait(f"{number} {size}", Share("mary"), (number,), size)
    order = []
    while (member := places.grant()) is not None:
        order.append(int(member.split()[1]))
        places.leave(member)
    return order


def test_small_uploads_overtake_the_oldest_one_so_often_in_a_row() -> None:
    assert small_first(Slots(1), 9, 3, 1, 2) == [9, 3, 1, 2]
    assert small_first(Slots(1, small_first=1), 9, 3, 1, 2, 8) == [1, 9, 2, 3, 8]
    assert small_first(Slots(1, small_first=2), 9, 3, 1, 2, 8) == [1, 2, 9, 3, 8]
    assert small_first(Slots(1, small_first=9), 9, 3, 1, 2, 8) == [1, 2, 3, 8, 9]


def test_small_uploads_do_not_overtake_those_of_which_the_order_begins_otherwise() -> None:
    places: Slots[str] = Slots(1, small_first=9)
    places.wait("failed and small", Share("mary"), (5, 0), 1)
    places.wait("large", Share("mary"), (0, 1), 9)
    assert places.grant() == "large"


def test_who_leaves_overtakes_nobody() -> None:
    places: Slots[str] = Slots(1, small_first=9)
    places.wait("large", Share("mary"), (0,), 9)
    places.wait("small", Share("mary"), (1,), 1)
    places.leave("small")
    assert places.grant() == "large"


def test_it_is_known_how_many_shares_wait() -> None:
    places: Slots[str] = Slots(1)
    queued(places, "mary", "m0", "m1")
    queued(places, "paul", "p0")
    assert places.shares_waiting == 2
    places.grant()
    places.leave("p0")
    assert places.shares_waiting == 1


def test_an_upload_holds_a_place_while_its_step_runs_and_has_not_stalled() -> None:
    story = begun("a", "b", max_in_flight={"a": 1})
    assert not holds_slot(story.upload), "queued"
    story.granted()
    assert holds_slot(story.upload)
    story.timer()
    assert story.upload.stalled_at is not None
    assert not holds_slot(story.upload), "the others must not wait for it"
    story.answers("retry")
    assert not holds_slot(story.upload), "backing off"


def test_an_upload_holds_a_place_while_it_waits_for_the_url_that_its_step_needs() -> None:
    story = begun("a", max_in_flight={"a": 1})
    expiring = story.upload.origin._replace(url='""')
    story.state = story.upload._replace(origin=expiring)
    story.granted()
    assert story.published == ["restart a 1"]
    assert holds_slot(story.upload)


def test_a_suspended_upload_holds_no_place() -> None:
    story = begun("a", max_in_flight={"a": 1})
    story.wanted(DesiredState.SUSPENDED)
    assert not holds_slot(story.upload)


@pytest.mark.parametrize(
    ("limit", "count", "shares"),
    [(5, 1, [5]), (6, 3, [2, 2, 2]), (7, 3, [3, 2, 2]), (8, 3, [3, 3, 2]), (2, 4, [1, 1, 0, 0])],
)
def test_shards_share_the_places_as_evenly_as_can_be(limit: int, count: int, shares: list[int]) -> None:
    assert [share_of(limit, Shard(index, count)) for index in range(count)] == shares
