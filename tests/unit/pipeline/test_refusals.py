"""When what could not be written is tried again."""

import logging

import pytest

from uploadpp.core.commands import Notice
from uploadpp.core.evolve import evolve
from uploadpp.core.states import Stage
from uploadpp.kube.errors import ApiError, Refusal, RefusedError, UnavailableError
from uploadpp.kube.store import Stored
from uploadpp.pipeline.refusals import (
    IN_A_ROW,
    KEPT_AFTER_END_SECONDS,
    LONGEST_PAUSE_AWAY_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MOST_KEPT_AFTER_END,
    PROBES_PER_SECOND,
    Refusals,
)
from uploadpp.pipeline.tracked_upload import Refused, TrackedUpload
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.builders import PASSED, after

POLICY = RefusedError("422 no", Refusal.POLICY)
AWAY = UnavailableError("no route")


class Desk:
    """Refusals on a clock of their own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.metrics = Metrics()
        self.news: list[Notice] = []
        self.refusals = Refusals(self.metrics, lambda: self.now, self.news.append)

    def tracked(self, name: str = "u1") -> TrackedUpload:
        return TrackedUpload(name, after(*PASSED[:1], upload_id=name), version=1)

    def until_due(self) -> float:
        """Let time pass until something is due; how long that took."""
        wait = self.refusals.next_in()
        assert wait is not None
        self.now += wait
        return wait


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_while_it_is_tried_again_an_upload_counts_as_refused(desk: Desk) -> None:
    """An API server that hangs kept the gauge at 0 for so long that an alert forgot the upload."""
    tracked = desk.tracked()
    desk.refusals.park(tracked, "create", POLICY)
    words = desk.refusals.words
    desk.until_due()
    assert desk.refusals.due() == [tracked]
    assert (desk.refusals.refused, desk.refusals.words) == (1, words)
    desk.refusals.park(tracked, "create", POLICY)
    assert desk.refusals.refused == 1
    desk.until_due()
    assert desk.refusals.due() == [tracked]
    desk.refusals.written(tracked, ("create",))
    assert (desk.refusals.refused, desk.refusals.words) == (0, "")


def test_one_that_is_forgotten_while_it_is_tried_again_is_not_counted(desk: Desk) -> None:
    tracked = desk.tracked()
    desk.refusals.park(tracked, "create", POLICY)
    desk.until_due()
    assert desk.refusals.due() == [tracked]
    tracked.gone = True
    assert desk.refusals.refused == 0
    tracked.gone = False
    assert desk.refusals.refused == 1
    tracked.gone = True
    assert desk.refusals.due() == []
    tracked.gone = False
    assert desk.refusals.refused == 0, "nothing is kept of it"


@pytest.mark.parametrize(
    ("error", "longest"), [(POLICY, LONGEST_PAUSE_SECONDS), (AWAY, LONGEST_PAUSE_AWAY_SECONDS)]
)
def test_pauses_grow_up_to_a_limit(desk: Desk, error: ApiError, longest: float) -> None:
    tracked, pauses = desk.tracked(), []
    for _ in range(40):
        desk.refusals.park(tracked, "create", error)
        pauses.append(desk.until_due())
        assert desk.refusals.due() == [tracked]
    assert pauses[0] <= 0.1
    assert max(pauses) <= longest
    assert min(pauses[-10:]) >= longest / 2
    assert len(set(pauses[-10:])) > 5  # not all uploads at the same moment


def test_all_together_they_ask_no_more_often_than_a_few_times_a_second(desk: Desk) -> None:
    entries = [desk.tracked(f"u{number}") for number in range(2_000)]
    for tracked in entries:
        desk.refusals.park(tracked, "create", POLICY)
    tried, end = 0, desk.now + 1000
    while desk.now < end:
        desk.until_due()
        for tracked in desk.refusals.due():
            tried += 1
            desk.refusals.park(tracked, "create", POLICY)
    assert tried < 1000 * PROBES_PER_SECOND * 2 + len(entries)


def test_the_first_that_succeeds_wakes_those_that_failed_for_the_same_reason(desk: Desk) -> None:
    one, two, other = desk.tracked("u1"), desk.tracked("u2"), desk.tracked("u3")
    quota = RefusedError("403 no", Refusal.QUOTA)
    for tracked, error in ((one, POLICY), (two, POLICY), (other, quota)):
        tracked.refused = Refused(error.reason, 10)
        desk.refusals.park(tracked, "create", error)
    desk.now += 1
    assert desk.refusals.due() == []
    desk.refusals.written(one, ("create", "status"))
    assert two in desk.refusals.due()
    assert desk.refusals.next_in() != 0.0  # `other` still waits
    assert one.refused is None


def test_new_uploads_are_not_tried_while_all_fail(desk: Desk) -> None:
    for number in range(IN_A_ROW):
        assert not desk.refusals.blocks("create")
        desk.refusals.park(desk.tracked(f"u{number}"), "create", POLICY)
    assert desk.refusals.blocks("create")
    assert not desk.refusals.blocks("status")
    new = desk.tracked("new")
    desk.refusals.park(new, "create")
    assert new.refused is not None
    assert new.refused.reason is Refusal.POLICY
    desk.refusals.written(desk.tracked("other"), ("create", "status"))
    assert not desk.refusals.blocks("create")


def test_a_pause_that_the_server_asks_for_is_kept(desk: Desk) -> None:
    desk.refusals.park(desk.tracked(), "status", UnavailableError("429", 3.0))
    assert desk.until_due() == pytest.approx(3.0)


def test_an_upload_that_is_gone_is_neither_counted_nor_tried(desk: Desk) -> None:
    tracked = desk.tracked()
    desk.refusals.park(tracked, "create", POLICY)
    assert (len(desk.refusals), desk.refusals.refused, desk.refusals.words) == (1, 1, "422 no")
    tracked.gone = True
    assert (len(desk.refusals), desk.refusals.refused, desk.refusals.words) == (0, 0, "")
    desk.until_due()
    assert desk.refusals.due() == []


def test_a_reason_is_said_once_and_again_after_it_was_over(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tracked = desk.tracked()
    for number in range(20):
        desk.refusals.park(desk.tracked(f"u{number}"), "create", POLICY)
    assert [notice.reason for notice in desk.news] == ["UploadsNotRecorded"]
    assert "Policy" in desk.news[0].message
    desk.now += LONGEST_PAUSE_SECONDS
    for each in desk.refusals.due():
        assert "all uploads are recorded again" not in caplog.text
        desk.refusals.written(each, ("create",))
    assert "all uploads are recorded again" in caplog.text
    desk.refusals.park(tracked, "create", POLICY)
    assert len(desk.news) == 2


def test_an_api_server_that_is_away_is_no_refusal(desk: Desk) -> None:
    desk.refusals.park(desk.tracked(), "create", AWAY)
    assert desk.refusals.refused == 0
    assert desk.news == []
    assert desk.refusals.disabled == ""  # one failure is nothing to be called not ready for
    desk.now += 3
    assert desk.refusals.disabled == "no route"


@pytest.mark.parametrize(("error", "disables"), [(POLICY, False), (AWAY, True)])
def test_only_what_concerns_all_makes_not_ready(desk: Desk, error: ApiError, *, disables: bool) -> None:
    tracked = desk.tracked()
    desk.refusals.park(tracked, "create", error)
    desk.now += 10
    assert bool(desk.refusals.disabled) is disables
    tracked.gone = True
    desk.refusals.due()
    assert desk.refusals.disabled == ""  # nothing is left that could not be recorded


def test_an_end_without_a_resource_is_kept_for_a_while(desk: Desk) -> None:
    ended = desk.tracked("ended")
    ended.upload = evolve(ended.upload, stage=Stage.COMPLETED)
    running, recorded, away = desk.tracked("running"), desk.tracked("recorded"), desk.tracked("away")
    recorded.upload = away.upload = ended.upload
    recorded.stored = Stored("1", "1", 1)
    for tracked, error in ((ended, POLICY), (running, POLICY), (recorded, POLICY), (away, AWAY)):
        desk.refusals.park(tracked, "create", error)
    assert desk.refusals.in_doubt() == [ended]
    for tracked in (ended, running, recorded, away):
        tracked.maybe_made = False
    found = [tracked.is_unrecorded_end for tracked in (ended, running, recorded, away)]
    assert found == [True, False, False, False]
    desk.refusals.ended(ended)
    assert desk.refusals.expired() == []
    desk.now += KEPT_AFTER_END_SECONDS
    assert desk.refusals.expired() == [ended]
    assert desk.refusals.expired() == []


def test_of_very_many_ends_without_a_resource_the_oldest_are_forgotten(desk: Desk) -> None:
    entries = [desk.tracked(f"u{number}") for number in range(MOST_KEPT_AFTER_END + 3)]
    for tracked in entries:
        tracked.upload = evolve(tracked.upload, stage=Stage.COMPLETED)
        desk.refusals.park(tracked, "create", POLICY)
        tracked.maybe_made = False
        desk.refusals.ended(tracked)
    assert desk.refusals.expired() == entries[:3]
