"""The store goes back to an older copy at any time: each upload ends once, and the counters are right."""

import pytest

from uploadpp.testing.scenarios import PUT_BACK, store_put_back

COPIED = (1.05, 2.0, 3.5, 12.0)
"""Before the first renewal, and later; the upload is begun, between steps, backing off, over."""
LATER = (0.3, 4.0, 9.0)


@pytest.mark.parametrize("works", [False, True], ids=["killed", "working"])
@pytest.mark.parametrize("case", PUT_BACK)
def test_the_store_is_put_back(case: str, *, works: bool) -> None:
    for copied_at in COPIED:
        for later in LATER:
            result = store_put_back(case, copied_at, copied_at + later, works=works)
            assert not result.violations, (copied_at, later, result.report())
