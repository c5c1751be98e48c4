"""Writers give way to events, but not for ever."""

import pytest

from uploadpp.runtime.pace import (
    EASE_SECONDS,
    MAX_WINDOW,
    PATIENCE_SECONDS,
    QUIET_SECONDS,
    Load,
    width,
)

WRITERS = 8


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (Load(QUIET_SECONDS, 0, 1), WRITERS),
        (Load(QUIET_SECONDS / 2, PATIENCE_SECONDS / 2, 1), 0),
        (Load(QUIET_SECONDS / 2, PATIENCE_SECONDS, 1), 1),
        (Load(QUIET_SECONDS / 2, PATIENCE_SECONDS + 2 * EASE_SECONDS, 1), 3),
        (Load(QUIET_SECONDS / 2, 3600, 1), WRITERS),
        (Load(QUIET_SECONDS / 2, 0, MAX_WINDOW + 1), WRITERS),
    ],
)
def test_width(load: Load, expected: int) -> None:
    assert width(load, WRITERS) == expected
