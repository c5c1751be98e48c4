"""Weights and priority classes: without them nothing changes, and nobody waits longer than stated."""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.equal_slots import EqualSlots
from uploadpp.core.shares import CLASSES, Share, SharePolicy, longest_wait
from uploadpp.core.slots import Slots

POLICY = SharePolicy()
SEEDS = st.integers(0, 1 << 32)


def dice(seed: int) -> Random:
    """A history by chance; Hypothesis chooses only its seed, which is many times as fast."""
    return Random(seed)  # noqa: S311 -- a game of dice, not a secret


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(1, 9), st.integers(1, 40), st.integers(1, 100))
def test_without_settings_the_grants_are_those_of_equal_users(
    seed: int, limit: int, users: int, normal: int
) -> None:
    """Whatever waits, leaves, and is at the step without a grant, and whatever number normal weights are."""
    random = dice(seed)
    old: EqualSlots[int] = EqualSlots(limit)
    new: Slots[int] = Slots(limit, normal)
    held: list[int] = []
    for number in range(200):
        member, user = random.randrange(60), f"user {random.randrange(users)}"
        act = random.choice(["wait", "wait", "wait", "hold", "leave", "done", "done", "grant"])
        if act in {"wait", "hold"}:
            getattr(old, act)(member, user, *([(number,)] if act == "wait" else []))
            getattr(new, act)(member, Share(user, weight=normal), *([(number,)] if act == "wait" else []))
        elif act == "leave" or (act == "done" and held):
            member = held.pop(random.randrange(len(held))) if act == "done" else member
            old.leave(member)
            new.leave(member)
        else:
            granted = old.grant()
            assert new.grant() == granted
            held += [granted] if granted is not None else []
        assert (new.used, new.waiting) == (old.used, old.waiting)


@dataclass
class Wait:
    """One upload that waits."""

    share: Share
    ahead: int
    """How many of its share waited before it."""
    others: int = 0
    """How many slots other shares were granted while its share held none."""
    rivals: set[Share] = field(default_factory=set)
    """All other shares that waited meanwhile."""


class Bench:
    """A step, and how long each upload waits for it."""

    def __init__(self, random: Random, limit: int, small_first: int) -> None:
        self.random = random
        self.small_first = small_first
        self.slots: Slots[int] = Slots(limit, POLICY.normal, small_first)
        weights = {f"user {number}": random.choice([1, 1, 2, 5]) for number in range(random.randint(1, 6))}
        policy = SharePolicy(weights=weights)
        self.shares = [
            policy.share(random.choice(list(weights)), random.choice([*CLASSES, "normal"]))
            for _ in range(random.randint(1, 8))
        ]
        self.waiting: dict[int, Wait] = {}
        self.holding: dict[int, Share] = {}
        self.count = 0

    def comes(self) -> None:
        """One more upload waits."""
        self.count += 1
        share = self.random.choice(self.shares)
        ahead = sum(each.share == share for each in self.waiting.values())
        self.slots.wait(self.count, share, (0, self.count), self.random.randint(0, 9))
        self.waiting[self.count] = Wait(share, ahead)
        self.note()

    def note(self) -> None:
        """Who waits beside whom."""
        shares = {each.share for each in self.waiting.values()}
        for each in self.waiting.values():
            each.rivals |= shares - {each.share}

    def leaves(self) -> None:
        """One is done, or gives up."""
        here = [*self.waiting, *self.holding, *self.holding]
        if here:
            member = self.random.choice(here)
            self.slots.leave(member)
            self.waiting.pop(member, None)
            self.holding.pop(member, None)

    def grants(self) -> None:
        """One is granted a slot, and has not waited longer than stated."""
        member = self.slots.grant()
        if member is None:
            return
        wait = self.waiting.pop(member)
        held = set(self.holding.values())
        self.holding[member] = wait.share
        for each in self.waiting.values():
            each.others += each.share != wait.share and each.share not in held
        turns = (wait.ahead + 1) * (self.small_first + 1)
        most = turns * longest_wait(wait.share.weight, [each.weight for each in wait.rivals])
        assert wait.others <= most, f"{wait.others} of {most}"


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.integers(1, 6), st.integers(0, 3))
def test_nobody_waits_longer_than_stated(seed: int, limit: int, small_first: int) -> None:
    """For any mix of shares, weights, classes and sizes (docs/guarantees.md)."""
    random = dice(seed)
    bench = Bench(random, limit, small_first)
    acts = [bench.comes, bench.grants, bench.grants, bench.leaves]
    for _ in range(random.randint(1, 6)):
        weights = [random.random() for _ in acts]  # floods, droughts, and all between
        for act in random.choices(acts, weights, k=60):
            act()
    for _ in range(10 * len(bench.waiting)):
        bench.grants()
        bench.leaves()


def test_the_stated_wait_can_be_reached() -> None:
    """It is as small as can be: here a low share waits for all of it but one."""
    slots: Slots[int] = Slots(1, POLICY.normal)
    low, high = POLICY.share("mary", "low"), POLICY.share("paul", "high")
    for number in range(100):
        slots.wait(number, high, (number,))
    slots.wait(1000, low, (0,))
    grants = 0
    while (member := slots.grant()) != 1000 and member is not None:
        slots.leave(member)
        grants += 1
    assert grants in range(longest_wait(low.weight, [high.weight]) - 1, longest_wait(1, [8]) + 1)


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_a_share_with_a_slot_gets_another_only_up_to_its_weight(seed: int, limit: int) -> None:
    """While a share without a slot waits, no other one holds more slots than it counts as users."""
    random = dice(seed)
    bench = Bench(random, limit, 0)
    for act in random.choices([bench.comes, bench.comes, bench.grants, bench.leaves], k=200):
        before, waited = Counter(bench.holding.values()), {each.share for each in bench.waiting.values()}
        act()
        for share in (Counter(bench.holding.values()) - before) if act == bench.grants else ():
            idle = [each for each in waited if not before[each] and each != share]
            assert not (idle and before[share] * POLICY.normal >= share.weight)


def busy(
    weights: Sequence[int], limit: int, grants: int, seconds: Callable[[], float]
) -> tuple[list[float], list[int]]:
    """Shares that always have something waiting: how many slots each has held on average, and its grants."""
    slots: Slots[tuple[int, int]] = Slots(limit)
    shares = [Share(f"share {number}", weight=weight) for number, weight in enumerate(weights)]
    held, got, now = [0.0] * len(weights), [0] * len(weights), 0.0
    ends: list[tuple[float, tuple[int, int]]] = []
    for number in range(grants):
        for index, share in enumerate(shares):
            slots.wait((index, number), share, (number,))
        while (member := slots.grant()) is not None:
            took = seconds()
            held[member[0]] += took
            got[member[0]] += 1
            heapq.heappush(ends, (now + took, member))
        now, member = heapq.heappop(ends)
        slots.leave(member)
    return [each / now for each in held], got


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([1, 1, 2, 3, 5, 8]), min_size=2, max_size=8), st.data())
def test_weights_are_respected_within_one_slot(weights: list[int], data: st.DataObject) -> None:
    """In the long run, where there are no more slots than shares and all files take as long on average."""
    limit = data.draw(st.integers(1, len(weights)))
    random = dice(data.draw(st.integers(0, 99)))
    seconds = data.draw(st.sampled_from([lambda: 1.0, lambda: random.expovariate(1)]))
    held, _ = busy(weights, limit, 400, seconds)
    ideal = [limit * weight / sum(weights) for weight in weights]
    assert max(abs(one - other) for one, other in zip(held, ideal, strict=True)) < 1


@pytest.mark.parametrize("weights", [(2, 1), (5, 3, 1), (1, 1, 1, 1), (8, 4, 4, 1)])
def test_with_one_slot_the_grants_are_as_the_weights(weights: Sequence[int]) -> None:
    _, got = busy(weights, 1, 20 * sum(weights), lambda: 1.0)
    assert all(abs(count - 20 * weight) <= 2 for count, weight in zip(got, weights, strict=True)), got
