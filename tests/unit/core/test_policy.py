"""Which rules an upload counts for."""

import pytest

from uploadpp.core.model import PolicyRef
from uploadpp.core.policy import Choice, Judged, counted

DRY, OURS, THEIRS = (PolicyRef(name, 1, "all") for name in ("dry", "ours", "theirs"))
CHOICE = Choice(ref=OURS)


@pytest.mark.parametrize(
    ("judged", "policy", "expected"),
    [
        (Judged(), None, ()),
        (Judged(None, (DRY,)), None, (DRY,)),
        (Judged(CHOICE, (DRY, OURS)), OURS, (DRY, OURS)),
        (Judged(CHOICE, (DRY,)), OURS, (DRY,)),
        (Judged(CHOICE, (DRY, OURS)), THEIRS, (DRY, THEIRS)),
        (Judged(CHOICE, (DRY, OURS)), None, (DRY,)),
        (Judged(None, (DRY,)), THEIRS, (DRY, THEIRS)),
    ],
    ids=["none", "a dry run", "both", "one in error", "of a former owner", "taken back", "not known here"],
)
def test_an_upload_counts_for_the_rule_of_its_steps_and_for_dry_runs(
    judged: Judged, policy: PolicyRef | None, expected: tuple[PolicyRef, ...]
) -> None:
    assert counted(judged, policy) == expected
