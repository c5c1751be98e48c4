"""Messages that were removed before they were read are counted, and said now and then."""

import logging

import pytest
from prometheus_client import Counter

from uploadpp.core.commands import Notice
from uploadpp.pipeline import missed_messages
from uploadpp.pipeline.missed_messages import Missed


def test_what_was_missed_is_told_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, told = 0.0, list[Notice]()
    monkeypatch.setattr(missed_messages, "monotonic", lambda: now)
    counter = Counter("missed", "For this test.", registry=None)
    tell = Missed(counter, told.append)
    caplog.set_level(logging.ERROR)
    tell(4, 15)
    for number in range(20, 4000, 2):  # a stream that keeps losing some
        tell(number, number)
    assert [notice.reason for notice in told] == ["MessagesMissed"]
    assert "12 messages were removed before they were read, the last ones 4 to 15" in told[0].message
    assert len(caplog.records) == 1
    now = 61.0
    tell(5000, 5000)
    assert "1991 messages" in told[1].message
    assert next(iter(counter.collect())).samples[0].value == 12 + 1990 + 1
