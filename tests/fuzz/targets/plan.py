"""The lines in which events and statuses carry a plan and the rule that chose it."""

from dataclasses import replace

from tests.fuzz.target import Target
from uploadpp.core.commands import Mark
from uploadpp.core.plan_text import plan_text, planned_text, policy_text, read_plan, read_planned, read_policy
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult
from uploadpp.testing.builders import ARRIVAL, after

UPLOAD = after(ARRIVAL)


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    text = data.decode("utf-8", "replace")
    check_plan(text)
    check_policy(text)
    check_mark(text)


def check_plan(text: str) -> None:
    """A plan that is read is written as one that means the same."""
    try:
        planned = read_planned(text)
    except ValueError:
        return
    written = planned_text(planned)
    assert read_planned(written) == planned
    assert read_plan(plan_text(planned.plan)) == planned.plan
    assert written.isascii()
    for step in planned.plan:
        assert replace(step) == step
        assert isinstance(step.on_exhausted, OnExhausted)
        assert isinstance(step.on_too_large, OnTooLarge)
        assert isinstance(step.require_result, RequiredResult)


def check_policy(text: str) -> None:
    """So is the rule that chose it."""
    ruled = read_policy(text)
    assert ruled == read_policy(text)
    if ruled is None:
        return
    upload = UPLOAD._replace(
        policy=ruled.policy,
        priority_class=ruled.priority_class,
        policy_holds=bool(ruled.held),
        message=ruled.held,
    )
    assert read_policy(policy_text(ruled.policy, upload)) == ruled


def check_mark(text: str) -> None:
    """So is a mark."""
    try:
        mark = Mark.decode(text)
    except ValueError:
        return
    assert Mark.decode(mark.encode()) == mark
    assert mark.event_id("id") == Mark.decode(mark.encode()).event_id("id")


TARGET = Target(
    check,
    words=(
        "virusscan",
        "/t=",
        "/s=",
        "/r=",
        "/b=",
        "/m=",
        "/x=Hold",
        "/d=",
        "/f=",
        "/l=Skip",
        "/q=Scan",
        "@",
        "%20",
        "/p=",
        "/h=",
    ),
)
