"""Fair places against a naive telling of the same: whatever comes, waits, leaves and is granted."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from uploadpp.core.sharding import Shard
from uploadpp.core.shares import Share
from uploadpp.core.slots import ROUND, Queue, Slots, share_of

USERS = ("mary", "paul", "ann")
NORMAL = 4


@dataclass(frozen=True)
class Upload:
    """One upload of a user; a smaller number came earlier."""

    user: str
    number: int


uploads = st.builds(Upload, user=st.sampled_from(USERS), number=st.integers(0, 7))


class Naive:
    """Lists, searched from end to end."""

    def __init__(self, limit: int, shares: Mapping[str, Share]) -> None:
        self.limit = limit
        self.shares = shares
        self.waiting: list[Upload] = []
        self.holding: list[Upload] = []
        self.now = 0
        self.turns: dict[str, int] = {}
        """When each user is next, in virtual time; of equals who has had no place for longest is first."""

    def leave(self, upload: Upload) -> None:
        """Neither waits nor holds."""
        if upload in self.holding:
            self._to_the_end(upload.user)
        self.waiting = [each for each in self.waiting if each != upload]
        self.holding = [each for each in self.holding if each != upload]
        here = {each.user for each in self.waiting + self.holding}
        self.turns = {user: turn for user, turn in self.turns.items() if user in here}

    def wait(self, upload: Upload) -> None:
        """Waits."""
        if upload not in self.waiting:
            self.leave(upload)
            self.waiting.append(upload)
            self._is_here(upload.user)

    def hold(self, upload: Upload) -> None:
        """Holds."""
        if upload not in self.holding:
            self.leave(upload)
            self.holding.append(upload)
            self._is_here(upload.user)

    def grant(self) -> Upload | None:
        """Give a place away."""
        if len(self.holding) >= self.limit or not self.waiting:
            return None
        candidates = [user for user in self.turns if any(each.user == user for each in self.waiting)]
        user = min(candidates, key=lambda each: (self._rank(each), self.turns[each]))
        rivals = [each for each in candidates if self._rank(each) == self._rank(user)]
        weights = sum(self.shares[each].weight for each in rivals)
        self.now = max(self.now + math.ceil(Fraction(NORMAL * ROUND, weights)), self.turns[user])
        upload = min((each for each in self.waiting if each.user == user), key=lambda each: each.number)
        self.waiting.remove(upload)
        self.holding.append(upload)
        self._to_the_end(user)
        return upload

    def _rank(self, user: str) -> int:
        """How often a user holds all the places that count as this user."""
        held = sum(each.user == user for each in self.holding)
        return math.floor(Fraction(held * NORMAL, self.shares[user].weight))

    def _is_here(self, user: str) -> None:
        if user not in self.turns:
            self._to_the_end(user)

    def _to_the_end(self, user: str) -> None:
        self.turns.pop(user, None)
        self.turns[user] = self.now + math.floor(Fraction(NORMAL * ROUND, self.shares[user].weight))


class Comparison(RuleBasedStateMachine):
    """The same, told twice."""

    @initialize(
        limit=st.integers(1, 4), weights=st.lists(st.sampled_from([1, 4, 4, 8, 12]), min_size=3, max_size=3)
    )
    def begin(self, limit: int, weights: list[int]) -> None:
        """Some places."""
        self.shares = {user: Share(user, weight=each) for user, each in zip(USERS, weights, strict=True)}
        self.places: Slots[Upload] = Slots(limit, NORMAL)
        self.naive = Naive(limit, self.shares)

    @rule(upload=uploads)
    def waits(self, upload: Upload) -> None:
        """Comes to the step, or comes back."""
        self.places.wait(upload, self.shares[upload.user], (upload.number,))
        self.naive.wait(upload)

    @rule(upload=uploads)
    def runs(self, upload: Upload) -> None:
        """Is found to be at the step: nobody granted that, the log says so."""
        self.places.hold(upload, self.shares[upload.user])
        self.naive.hold(upload)

    @rule(upload=uploads)
    def leaves(self, upload: Upload) -> None:
        """Is cancelled, deleted, suspended."""
        self.places.leave(upload)
        self.naive.leave(upload)

    @precondition(lambda self: self.naive.holding)
    @rule(data=st.data())
    def answers(self, data: st.DataObject) -> None:
        """One of those at the step is done."""
        done = data.draw(st.sampled_from(self.naive.holding))
        self.places.leave(done)
        self.naive.leave(done)

    @rule()
    def grants_one(self) -> None:
        """One place is given away, if there is one and somebody who wants it."""
        free = len(self.naive.holding) < self.naive.limit
        wanted = bool(self.naive.waiting)
        granted = self.places.grant()
        assert granted == self.naive.grant()
        assert (granted is not None) == (free and wanted), "idle for nothing, or more than there are"

    @invariant()
    def same_counts(self) -> None:
        """Both count the same."""
        if hasattr(self, "naive"):
            assert self.places.used == len(self.naive.holding)
            assert self.places.waiting == len(self.naive.waiting)


TestComparison = Comparison.TestCase
TestComparison.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def drain(places: Slots[Upload]) -> list[Upload]:
    """Who is granted a place now."""
    granted = []
    while (each := places.grant()) is not None:
        granted.append(each)
    return granted


@given(st.integers(1, 8), st.integers(1, 500), st.integers(1, 5))
def test_nobody_waits_behind_the_many_of_another(limit: int, many: int, few: int) -> None:
    """One user has queued many; who comes later gets the next place, and then as many as the first."""
    places: Slots[Upload] = Slots(limit)
    for number in range(many):
        places.wait(Upload("bulk", number), Share("bulk"), (number,))
    at_step = drain(places)
    for number in range(few):
        places.wait(Upload("late", number), Share("late"), (number + many,))
    order: list[str] = []
    while at_step:
        places.leave(at_step.pop(0))
        came = drain(places)
        order += [each.user for each in came]
        at_step += came
        assert places.used <= limit
    assert Counter(order) == +Counter(late=few, bulk=max(many - limit, 0))
    if many > limit:
        assert order[0] == "late"
        assert order[: 2 * few].count("late") >= few - 1


def test_who_is_slow_does_not_gather_all_places() -> None:
    """The files of one take forever, those of others no time: all have as many places, nobody all of them."""
    places: Slots[Upload] = Slots(4)
    for number in range(100):
        places.wait(Upload("slow", number), Share("slow"), (number,))
        places.wait(Upload("fast", number), Share("fast"), (number,))
    for _ in range(25):
        for done in [each for each in drain(places) if each.user == "fast"]:
            places.leave(done)
    assert places.used == 2, "those of the slow one"
    assert places.waiting == 98 + 50


def test_a_queue_forgets_who_was_removed() -> None:
    """However often members come and go, it grows no larger than they are."""
    queue: Queue[str] = Queue()
    queue.put("stays", (0,))
    for number in range(10_000):
        queue.put("comes and goes", (number,))
        queue.remove("comes and goes")
    assert len(queue) == 1
    assert len(queue._heap) < 100
    assert queue.first() == "stays"


@given(st.integers(1, 64), st.integers(0, 200))
def test_shards_divide_all_places_evenly(count: int, more: int) -> None:
    shares = [share_of(count + more, Shard(index, count)) for index in range(count)]
    assert sum(shares) == count + more
    assert max(shares) - min(shares) <= 1
    assert min(shares) >= 1
