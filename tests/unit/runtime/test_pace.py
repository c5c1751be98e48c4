"""Writers give way to events, but not for ever."""

import pytest

from uploadpp.runtime.pace import (
    BEHIND,
    EASE_BEHIND_SECONDS,
    EASE_SECONDS,
    MAX_WINDOW,
    PATIENCE_SECONDS,
    QUIET_SECONDS,
    Load,
    width,
)

WRITERS = 8
BUSY = QUIET_SECONDS / 2


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        pytest.param(Load(QUIET_SECONDS, 0, 0, 1), WRITERS, id="idle: everything at once"),
        pytest.param(Load(BUSY, 0, PATIENCE_SECONDS / 2, 1), 0, id="events go first"),
        pytest.param(Load(BUSY, BEHIND + 1, PATIENCE_SECONDS, 1), 1, id="not for ever"),
        pytest.param(
            Load(BUSY, 0, PATIENCE_SECONDS + 2 * EASE_SECONDS, 1), 3, id="sooner while none is unread"
        ),
        pytest.param(
            Load(BUSY, BEHIND + 1, PATIENCE_SECONDS + 2 * EASE_BEHIND_SECONDS, 1),
            3,
            id="later while they wait",
        ),
        pytest.param(Load(BUSY, BEHIND + 1, 3600, 1), WRITERS, id="in the end all"),
        pytest.param(Load(BUSY, BEHIND + 1, 0, MAX_WINDOW + 1), WRITERS, id="before memory runs out"),
    ],
)
def test_width(load: Load, expected: int) -> None:
    assert width(load, WRITERS) == expected
