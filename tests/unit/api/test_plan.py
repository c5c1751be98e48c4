"""Whether a spec that somebody else has written leads to the plan by which an upload has begun."""

import pytest

from uploadpp.api.plan import encode_plan, tells_plan
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.testing.builders import after, arrival

PLAN = (
    StepPlan(name="policies", max_retries=2),
    StepPlan(name="virusscan", max_retries=2, timeout=Millis(60_000)),
)


def begun() -> Upload:
    return evolve(after(arrival()), plan=PLAN)


def test_the_spec_that_we_would_write_tells_the_plan() -> None:
    assert tells_plan(encode_plan(PLAN), begun())


@pytest.mark.parametrize(
    "other",
    [
        {"steps": [{"name": "policies"}, {"name": "virusscan"}]},
        {"retryPolicy": {"maxRetries": 3}},
        {"stallAfterSeconds": 7},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_value_is_another_plan(other: dict[str, object]) -> None:
    assert not tells_plan({**encode_plan(PLAN), **other}, begun())


@pytest.mark.parametrize("left_out", ["steps", "retryPolicy"])
def test_a_value_that_is_left_out_is_another_plan(left_out: str) -> None:
    spec = {name: value for name, value in encode_plan(PLAN).items() if name != left_out}
    assert not tells_plan(spec, begun())


def test_a_spec_of_another_announcement_tells_nothing() -> None:
    upload = begun()
    origin = evolve(upload.origin, announced_at=Millis(1))
    assert not tells_plan(encode_plan(PLAN), evolve(upload, origin=origin))
