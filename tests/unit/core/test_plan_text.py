"""Plans as text: short, the same whatever is configured, and never misread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.core import plan_text as module
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.plan_text import Planned, plan_text, planned_text, read_plan, read_planned
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult

numbers = st.integers(0, 2**63 - 1)
waits = st.integers(0, 10**15).map(lambda seconds: Millis(seconds * 1000))
steps = st.builds(
    StepPlan,
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    timeout=st.none() | waits,
    stall_after=waits,
    max_retries=numbers,
    backoff=waits,
    max_backoff=waits,
    on_exhausted=st.sampled_from(OnExhausted),
    delay=waits,
    max_filesize=st.none() | numbers,
    on_too_large=st.sampled_from(OnTooLarge),
    require_result=st.sampled_from(RequiredResult),
)
plans = st.lists(steps, max_size=4, unique_by=lambda step: step.name).map(tuple)


@given(plans, st.integers(0, 4))
def test_what_is_written_is_read(plan: tuple[StepPlan, ...], first: int) -> None:
    planned = Planned(plan, min(first, len(plan)))
    assert read_planned(planned_text(planned)) == planned
    assert read_plan(plan_text(plan)) == plan


def test_defaults_take_no_place() -> None:
    plan = (StepPlan(name="policies"), StepPlan(name="virusscan", timeout=Millis(300_000)))
    assert plan_text(plan) == "policies virusscan/t=300"
    assert planned_text(Planned(plan, 1)) == "1@policies virusscan/t=300"
    assert plan_text(()) == ""


def test_parts_of_a_second_are_rounded_up_as_in_the_spec() -> None:
    plan = (StepPlan(name="delay", delay=Millis(1_500), backoff=Millis(1)),)
    assert plan_text(plan) == "delay/b=1/d=2"


def test_names_hold_anything() -> None:
    plan = (StepPlan(name="a;b=c@d%2C:/\x1b"), StepPlan(name="1@ü"))
    text = plan_text(plan)
    assert text.isascii()
    assert read_planned(text) == Planned(plan)


@pytest.mark.parametrize(
    "text",
    [
        *("a/z=1", "a/t=x", "a/t=-1", f"a/r={2**63}", "a/r=" + "9" * 5000, "a/x=Never", "a/t"),
        *(" ", "a ", "/t=1", "a a", "2@a", "-1@a", "x@a"),
    ],
)
def test_what_is_no_plan_of_this_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_planned(text)


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        read_plan("a" * (module.MAX_TEXT + 1))


def test_as_many_plans_as_come_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    many = [(StepPlan(name=f"step-{number}"),) for number in range(9)]
    assert [plan_text(plan) for plan in many * 2] == [f"step-{number}" for number in range(9)] * 2
