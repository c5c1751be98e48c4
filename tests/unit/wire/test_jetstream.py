"""Times in answers of JetStream, as the library reads them afterwards."""

from datetime import UTC, datetime

import pytest
from nats.js.api import Base

from uploadpp.wire.jetstream import in_utc, readable


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-10-02T08:15:30Z", datetime(2026, 10, 2, 8, 15, 30, tzinfo=UTC)),
        ("2026-10-02T08:15:30.123456789Z", datetime(2026, 10, 2, 8, 15, 30, 123456, UTC)),
        ("2026-10-02T08:15:30.5-05:00", datetime(2026, 10, 2, 13, 15, 30, 500_000, UTC)),
        ("2026-10-02T08:15:30+05:30", datetime(2026, 10, 2, 2, 45, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+00:01", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9-00:01", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("", datetime(1, 1, 1, tzinfo=UTC)),
        ("nonsense", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_the_library_reads_each_time(text: str, moment: datetime) -> None:
    assert Base._parse_utc_iso(in_utc(text)) == moment


def test_only_times_are_changed() -> None:
    answer = {
        "created": "2026-10-02T10:00:00+02:00",
        "config": {"opt_start_time": None, "metadata": {"created": "yesterday"}, "name": "time"},
        "consumers": [{"ts": "2026-10-02T10:00:00+02:00"}],
        "time": 7,
    }
    assert readable(answer) == {
        "created": "2026-10-02T08:00:00Z",
        "config": {"opt_start_time": None, "metadata": {"created": "yesterday"}, "name": "time"},
        "consumers": [{"ts": "2026-10-02T08:00:00Z"}],
        "time": 7,
    }
