"""The line of a plan in our events and statuses, character by character: other versions read it."""

from dataclasses import replace

import pytest

from uploadpp.core import plan_text as module
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.plan_text import Planned, plan_text, planned_text, read_plan, read_planned
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult

ALL = StepPlan(
    name="a",
    timeout=Millis(1_000),
    stall_after=Millis(2_000),
    max_retries=3,
    backoff=Millis(4_000),
    max_backoff=Millis(5_000),
    on_exhausted=OnExhausted.HOLD,
    delay=Millis(6_000),
    max_filesize=7,
    on_too_large=OnTooLarge.HOLD,
    require_result=RequiredResult.SCAN,
)
LINE = "a/t=1/s=2/r=3/b=4/m=5/x=Hold/d=6/f=7/l=Hold/q=Scan"


def test_each_setting_has_its_letter() -> None:
    assert plan_text((ALL,)) == LINE
    assert read_plan(LINE) == (ALL,)


def test_settings_are_read_in_any_order() -> None:
    name, *settings = LINE.split("/")
    assert read_plan("/".join([name, *reversed(settings)])) == (ALL,)


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (StepPlan(name="a", max_retries=0), "a/r=0"),
        (StepPlan(name="a", stall_after=Millis(0)), "a/s=0"),
        (StepPlan(name="a", max_filesize=0), "a/f=0"),
        (StepPlan(name="a", timeout=Millis(0)), "a/t=0"),
    ],
)
def test_nothing_at_all_is_a_setting_too(plan: StepPlan, line: str) -> None:
    assert plan_text((plan,)) == line
    assert read_plan(line) == (plan,)


def test_what_stands_there_as_the_default_is_read_as_well() -> None:
    """Another version may have other defaults."""
    assert read_plan("a/r=14/d=0/x=Abort/l=Skip/q=Optional") == (StepPlan(name="a"),)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a/z=1", "a setting of a step is not known"),
        ("a/t", "invalid literal"),
        ("a/t=1=2", "invalid literal"),
        ("a/x=Never", "'Never' is not a valid OnExhausted"),
        ("a/t=-1", "a setting of a step is out of range"),
        (f"a/r={2**63}", "a setting of a step is out of range"),
        ("a/r=" + "0" * 21, "a setting of a step is out of range"),
        ("/t=1", "a step has no name"),
        ("a  b", "a step has no name"),
        ("a b a", "a step is listed twice"),
        ("a%62 ab", "a step is listed twice"),
        ("2@a", "more steps are left out than there are"),
        ("-1@a", "more steps are left out than there are"),
        ("1@", "more steps are left out than there are"),
        ("@a", "invalid literal"),
        ("a" * 16_385, "the plan is too long"),
    ],
)
def test_a_line_that_is_refused_says_why(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=rf"^{why}"):
        read_planned(line)


@pytest.mark.parametrize(
    ("line", "planned"),
    [
        (f"a/r={2**63 - 1}", Planned((StepPlan(name="a", max_retries=2**63 - 1),))),
        ("a/r=" + "5".zfill(20), Planned((StepPlan(name="a", max_retries=5),))),
        ("a/r=0", Planned((StepPlan(name="a", max_retries=0),))),
        ("0@a", Planned((StepPlan(name="a"),))),
        ("1@a", Planned((StepPlan(name="a"),), 1)),
        ("1@a b", Planned((StepPlan(name="a"), StepPlan(name="b")), 1)),
        ("1@a@b", Planned((StepPlan(name="a@b"),), 1)),
        ("", Planned(())),
        ("0@", Planned(())),
        ("a" * 16_384, Planned((StepPlan(name="a" * 16_384),))),
        ("a%2Fb%3D%20%40", Planned((StepPlan(name="a/b= @"),))),
    ],
)
def test_a_line_at_the_limits_is_read(line: str, planned: Planned) -> None:
    assert read_planned(line) == planned


def test_how_many_steps_are_left_out_stands_in_front_only_where_some_are() -> None:
    plan = (StepPlan(name="a"), StepPlan(name="b"))
    assert [planned_text(Planned(plan, first)) for first in (0, 1, 2)] == ["a b", "1@a b", "2@a b"]


def test_a_name_is_written_so_that_nothing_in_it_is_a_sign_of_the_line() -> None:
    assert plan_text((StepPlan(name="a/b=c d@e"),)) == "a%2Fb%3Dc%20d%40e"


def test_a_plan_that_is_known_is_not_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all uploads share one, and each event carries it."""
    plan = (StepPlan(name="known"),)
    line = plan_text(plan)
    monkeypatch.setattr(module, "_step", lambda _: "written anew")
    assert plan_text(plan) is line
    assert plan_text((replace(plan[0]),)) == "written anew"


def test_another_plan_at_the_same_place_in_memory_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address is used again once a plan is gone."""
    plan, gone = (StepPlan(name="new"),), (StepPlan(name="gone"),)
    monkeypatch.setattr(module, "_known", {id(plan): (gone, "gone")})
    assert plan_text(plan) == "new"


@pytest.mark.parametrize("beyond", [0, 1])
def test_what_is_known_of_plans_has_an_end(monkeypatch: pytest.MonkeyPatch, beyond: int) -> None:
    """What is forgotten is written anew."""
    known: dict[int, object] = {}
    monkeypatch.setattr(module, "_known", known)
    many = [(StepPlan(name=f"step-{number}"),) for number in range(64 + beyond)]
    assert [plan_text(plan) for plan in many] == [f"step-{number}" for number in range(64 + beyond)]
    assert len(known) == (1 if beyond else 64)
