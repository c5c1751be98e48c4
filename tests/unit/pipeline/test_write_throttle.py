"""Writers give way to events, but not forever."""

import pytest

from uploadpp.pipeline.write_throttle import (
    BUSY_RATE,
    BUSY_SECONDS,
    EASE_SECONDS,
    MAX_WINDOW,
    PATIENCE_SECONDS,
    QUIET_SECONDS,
    RATE_SECONDS,
    LoadSample,
    MessageRate,
    max_writers,
)

WRITERS = 8
BUSY = QUIET_SECONDS / 2
FEW, MANY = BUSY_RATE, BUSY_RATE + 1


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        pytest.param(LoadSample(QUIET_SECONDS, MANY, 0, 1), WRITERS, id="idle: everything at once"),
        pytest.param(LoadSample(BUSY, FEW, PATIENCE_SECONDS / 2, 1), 0, id="events go first"),
        pytest.param(LoadSample(BUSY, FEW, PATIENCE_SECONDS, 1), 1, id="not forever"),
        pytest.param(
            LoadSample(BUSY, FEW, PATIENCE_SECONDS + 2 * EASE_SECONDS, 1),
            3,
            id="sooner while few events come",
        ),
        pytest.param(
            LoadSample(BUSY, MANY, 3 * BUSY_SECONDS, 1),
            3,
            id="later while many do",
        ),
        pytest.param(LoadSample(BUSY, MANY, BUSY_SECONDS / 2, 1), 0, id="longer while many come"),
        pytest.param(LoadSample(BUSY, MANY, 3600, 1), WRITERS, id="in the end all"),
        pytest.param(LoadSample(BUSY, MANY, 0, MAX_WINDOW + 1), WRITERS, id="before memory runs out"),
    ],
)
def test_width(load: LoadSample, expected: int) -> None:
    assert max_writers(load, WRITERS) == expected


def test_the_rate_is_that_of_late() -> None:
    message_rate = MessageRate()
    for now, count, rate in [
        (1e6, 50, 0),  # since ever
        (1e6 + RATE_SECONDS / 2, 80, 0),  # not counted yet
        (1e6 + 2 * RATE_SECONDS, 90, 20 / RATE_SECONDS),
        (1e6 + 4 * RATE_SECONDS, 90, 0),
    ]:
        message_rate.seen(now, count)
        assert message_rate.rate == pytest.approx(rate, abs=1)


def test_it_is_quiet_when_nothing_has_come_between_two_looks() -> None:
    """However long the first of them took."""
    message_rate = MessageRate()
    for now, count, quiet in [(10.0, 5, 0), (10.5, 900, 0), (10.51, 900, 0.01), (10.6, 901, 0)]:
        message_rate.seen(now, count)
        assert message_rate.quiet_seconds == pytest.approx(quiet)
