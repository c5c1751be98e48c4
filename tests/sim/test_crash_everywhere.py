"""One upload, and the operator killed or paused at every boundary of its work, one after another."""

import pytest

from uploadpp.testing.worlds import (
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
