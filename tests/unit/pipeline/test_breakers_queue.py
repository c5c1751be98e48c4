"""Who waits at a step with a breaker and few slots: in which order, and what the upload says meanwhile."""

from tests.unit.pipeline.test_breakers import SCAN, Bench
from uploadpp.core.inputs import Tick
from uploadpp.core.states import Stage
from uploadpp.testing.builders import config_of

TWO_SLOTS = config_of(SCAN, breaker_after={"scan": 2}, max_in_flight={"scan": 2})


def one_after_another(bench: Bench, uploads: int) -> list[str]:
    """So many uploads in the order in which they are at the step. Before each answer, another one arrives."""
    order = []
    for number in range(uploads):
        bench.arrive(f"later-{number}")
        (here,) = [each.upload.id for each in bench.uploads.in_memory if each.upload.stage is Stage.RUNNING]
        order.append(here)
        bench.answer(here, "continue")
    return order


def test_who_has_failed_once_waits_in_the_order_of_arrival_when_the_step_is_well() -> None:
    bench = Bench(config_of(SCAN, breaker_after={"scan": 5}, max_in_flight={"scan": 1}))
    bench.begin()
    bench.arrive("old")
    bench.answer("old", "retry")
    bench.arrive("younger")
    bench.wait(10)
    bench.applier.on_input(bench.tracked("old"), Tick())
    assert bench.stages("old", "younger") == [Stage.QUEUED, Stage.RUNNING]
    assert one_after_another(bench, 3) == ["younger", "old", "later-0"]


def test_who_has_failed_goes_on_before_those_who_came_later() -> None:
    bench = Bench(config_of(SCAN, breaker_after={"scan": 2}, max_in_flight={"scan": 1}))
    bench.begin()
    bench.arrive("one", "two")
    bench.answer("one", "retry")
    bench.answer("two", "retry")
    bench.arrive("probe", "waits")
    bench.wait(60)
    bench.answer("probe", "continue")
    assert one_after_another(bench, 4) == ["one", "two", "waits", "later-0"]


def opened_while_others_wait() -> Bench:
    """Two uploads have failed at a step with two slots. One has started between, and two others wait."""
    bench = Bench(TWO_SLOTS)
    bench.begin()
    bench.arrive("one", "two", "three", "four", "five")
    bench.answer("one", "retry")
    bench.answer("two", "retry")
    assert bench.metric()
    assert bench.stages("three", "four", "five") == [Stage.RUNNING, Stage.QUEUED, Stage.QUEUED]
    return bench


def waiting(bench: Bench) -> list[tuple[str, int]]:
    """What the uploads that wait say, and how often their states have changed."""
    uploads = [bench.tracked(each) for each in ("four", "five")]
    return [(each.upload.message, each.version) for each in uploads]


def test_a_breaker_that_closes_soon_changes_nothing_of_those_who_wait() -> None:
    """Else each of a hundred thousand would be written twice, and the answers are acknowledged only then."""
    bench = opened_while_others_wait()
    before = [
        ("2 slots, 1 other upload was queued before", 1),
        ("2 slots, 2 other uploads were queued before", 1),
    ]
    assert waiting(bench) == before
    bench.wait(28)
    bench.answer("three", "continue")
    assert not bench.metric()
    assert bench.stages("one", "two", "four", "five") == [Stage.RUNNING] * 2 + [Stage.QUEUED] * 2
    assert waiting(bench) == before


def test_who_waited_before_says_that_the_step_is_not_well_if_that_lasts() -> None:
    bench = opened_while_others_wait()
    bench.wait(30)
    told = waiting(bench)
    assert all(said.startswith("step scan is not well since 2026-") for said, _ in told)
    bench.wait(1)
    assert waiting(bench) == told, "told once"
    bench.answer("three", "continue")
    assert all(said.startswith("2 slots, ") for said, _ in waiting(bench))


def test_who_waits_says_so_again_when_it_opens_again() -> None:
    bench = opened_while_others_wait()
    bench.wait(30)
    bench.answer("three", "continue")
    bench.answer("one", "retry")
    bench.answer("two", "retry")
    assert bench.metric()
    assert bench.stages("four", "five") == [Stage.RUNNING, Stage.QUEUED]
    assert bench.upload("five").message.startswith("2 slots, ")
    bench.wait(30)
    assert bench.upload("five").message.startswith("step scan is not well since 2026-")
