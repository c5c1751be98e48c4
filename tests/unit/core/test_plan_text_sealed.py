"""What the sealed part of a resource says of the plan, character by character: other versions read it."""

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, Origin, PolicyRef, StepPlan, Upload
from uploadpp.core.plan_text import Ruled, SealedPlan, plan_to_seal, read_sealed_plan
from uploadpp.testing.builders import START, UPLOAD_ID

REF = PolicyRef("default", 3, "big")
STEPS = (StepPlan(name="Virus Scan!", timeout=Millis(300_000)), StepPlan(name="policies"))
BARE = Upload(id=UPLOAD_ID, received_at=START, plan=STEPS)
LINE = "Virus%20Scan%21/t=300 policies"


@pytest.mark.parametrize(
    ("upload", "sealed", "read"),
    [
        (BARE, {"plan": LINE, "t": 0}, SealedPlan(STEPS, waited=0)),
        (evolve(BARE, plan=()), {"plan": "", "t": 0}, SealedPlan((), waited=0)),
        (evolve(BARE, received_at=START - 7), {"plan": LINE, "t": 7}, SealedPlan(STEPS, waited=7)),
        (
            evolve(BARE, policy=REF, priority_class="bulk", policy_holds=True, message="why"),
            {"plan": LINE, "t": 0, "policy": "default/3/big/p=bulk/h=why"},
            SealedPlan(STEPS, Ruled(REF, "bulk", "why"), 0),
        ),
    ],
)
def test_the_plan_and_the_rule_are_sealed(
    upload: Upload, sealed: dict[str, str | int], read: SealedPlan
) -> None:
    """And how long before its URL the upload was announced."""
    assert plan_to_seal(upload, Origin(url_received_at=START)) == sealed
    assert read_sealed_plan(sealed) == read


@pytest.mark.parametrize(
    "sealed", [{}, {"plan": 1}, {"plan": None}, {"plan": "a/z=1"}, {"policy": "default/3/big"}]
)
def test_what_no_version_so_far_has_sealed_says_nothing(sealed: dict[str, object]) -> None:
    assert read_sealed_plan(sealed) is None


@pytest.mark.parametrize("waited", [None, "1", 1.5])
def test_a_time_that_nobody_can_read_leaves_the_plan(waited: object) -> None:
    assert read_sealed_plan({"plan": "a", "t": waited}) == SealedPlan((StepPlan(name="a"),))


@pytest.mark.parametrize("policy", [1, "", "nonsense"])
def test_a_rule_that_nobody_can_read_leaves_the_plan(policy: object) -> None:
    assert read_sealed_plan({"plan": "a", "policy": policy, "later": 1}) == SealedPlan((StepPlan(name="a"),))
