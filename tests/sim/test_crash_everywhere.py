"""One upload, and the operator killed or paused at every boundary of its work, one after another."""

import pytest

from uploadpp.testing.scenarios import (
    CASES,
    LONG_SECONDS,
    NAP_SECONDS,
    SHORT_SECONDS,
    crashes,
    one_upload,
    pauses,
)


@pytest.mark.parametrize("case", CASES)
def test_without_a_crash(case: str) -> None:
    result = one_upload(case)
    assert not result.violations, result.report()
    assert result.boundaries >= 10


@pytest.mark.parametrize("outage", [SHORT_SECONDS, LONG_SECONDS], ids=["short", "long"])
@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_boundary(case: str, outage: float) -> None:
    for result in crashes(case, outage):
        assert not result.violations, result.report()


@pytest.mark.parametrize("nap", [NAP_SECONDS, LONG_SECONDS], ids=["nap", "long"])
@pytest.mark.parametrize("case", ["kept for long"])
def test_paused_at_every_boundary(case: str, nap: float) -> None:
    for result in pauses(case, nap):
        assert not result.violations, result.report()


@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_boundary_and_started_again_in_its_pod(case: str) -> None:
    """The next one begins while what the last one has sent may still be arriving."""
    for result in crashes(case, 0.0, "pod-1"):
        assert not result.violations, result.report()


@pytest.mark.parametrize("case", ["kept for long"])
def test_two_in_one_pod_are_kept_apart_all_the_same(case: str) -> None:
    """It cannot be, says the kubelet; the older one wakes up and finds that it may do nothing."""
    for result in pauses(case, NAP_SECONDS, "pod-1"):
        assert not result.violations, result.report()


@pytest.mark.parametrize("outage", [SHORT_SECONDS, LONG_SECONDS], ids=["short", "long"])
def test_killed_at_every_boundary_where_nats_has_one_place(outage: float) -> None:
    """Between the old consumer and the new one only the Lease says where to read on."""
    for result in crashes("kept for long", outage, places=1):
        assert not result.violations, result.report()


def test_paused_at_every_boundary_where_nats_has_one_place() -> None:
    for result in pauses("kept for long", NAP_SECONDS, places=1):
        assert not result.violations, result.report()
