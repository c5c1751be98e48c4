"""Durations and times, as kubectl writes them and as people do."""

import pytest

from kubectl_pp.errors import UsageError
from kubectl_pp.times import human, parse_age, parse_duration, parse_time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (2.44, "2.4s"),
        (9.0, "9s"),
        (119, "119s"),
        (192, "3m12s"),
        (600, "10m"),
        (10_799, "179m"),
        (12_600, "3h30m"),
        (86_400, "24h"),
        (180_000, "2d2h"),
        (86_400 * 400, "400d"),
        (-5, "0ms"),
    ],
)
def test_lengths_of_time_as_kubectl_writes_them(seconds: float, text: str) -> None:
    assert human(seconds) == text


def test_lengths_of_time_as_people_write_them() -> None:
    assert parse_duration("90", "--x") == parse_duration("1m30s", "--x") == 90
    assert parse_duration("1.5h", "--x") == 5400
    for wrong in ("", "-1s", "1y", "s"):
        with pytest.raises(UsageError):
            parse_duration(wrong, "--x")


@pytest.mark.parametrize("text", ["5", "30", "007", "9" * 60])
def test_an_age_has_a_unit(text: str) -> None:
    """`prune --older 5` would remove what ended five seconds ago."""
    with pytest.raises(UsageError, match="has no unit") as found:
        parse_age(text, "--older")
    assert f"{text}d" in found.value.remedy
    assert parse_age(f"{text}s", "--older") == parse_duration(text, "--timeout")
    assert parse_age("0", "--older") == 0


def test_times_that_cannot_be_read_are_absent() -> None:
    assert parse_time("2026-11-23T01:00:00.5Z") == parse_time("2026-11-23T01:00:00.5") == 1795395600.5
    assert parse_time("soon") is parse_time("") is parse_time(None) is None


@pytest.mark.parametrize(
    "text", ["1" * 100_000, "1." * 50_000, "1s" * 50_000, "1m" * 50_000 + "x", "\u0661s", "1e3s"]
)
def test_what_is_not_a_length_of_time_is_refused_at_once(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration") as error:
        parse_duration(text, "--since")
    assert len(str(error.value)) < 200
