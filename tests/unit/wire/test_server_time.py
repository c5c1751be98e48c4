"""The time by the clock of NATS: whatever is done to the clock of this machine."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from nats.aio.msg import Msg

from uploadpp.wire.client import SafeClient
from uploadpp.wire.server_time import KEPT_SECONDS, WRONG_SECONDS, ServerTime

HOUR = 3600.0
TOMORROW = datetime.now(timezone(timedelta(hours=2))).replace(microsecond=0) + timedelta(days=1)
TRUE = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()


class Machine:
    """A machine whose clock differs from that of NATS, and an operator on it."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.passed = 0.0
        self.ahead = ahead
        self.of_nats = 0.0
        self.time = ServerTime(lambda: TRUE + self.passed + self.ahead, lambda: 100.0 + self.passed)

    def answers(self, delay: float = 0.0) -> None:
        """NATS answers; the answer takes so long."""
        said = datetime.fromtimestamp(TRUE + self.passed + self.of_nats, UTC).isoformat()
        self.passed += delay
        self.time.heard(said)

    @property
    def error(self) -> float:
        """Seconds by which the operator is ahead of NATS."""
        return round(self.time() / 1000 - TRUE - self.passed - self.of_nats, 3)


@pytest.mark.parametrize("ahead", [0, HOUR, -HOUR])
def test_a_wrong_clock_counts_until_nats_has_answered(ahead: float) -> None:
    machine = Machine(ahead)
    assert machine.error == ahead
    machine.answers()
    assert machine.error == 0


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_is_set_later_changes_nothing(jump: float) -> None:
    machine = Machine()
    machine.answers()
    machine.passed += 30
    machine.ahead = jump
    assert machine.error == 0
    machine.passed += 24 * HOUR  # without any answer
    assert machine.error == 0


def test_the_answer_that_took_the_least_time_counts() -> None:
    machine = Machine()
    machine.answers(delay=2)
    assert machine.error == -2
    machine.answers(delay=0.01)
    machine.answers(delay=4)
    assert machine.error == -0.01


def test_when_the_clock_of_nats_is_set_back_the_operator_follows() -> None:
    machine = Machine()
    machine.answers()
    machine.of_nats = -HOUR
    machine.answers()
    assert machine.error == HOUR, "it may as well be an answer that was on its way for an hour"
    for _ in range(2):
        machine.passed += KEPT_SECONDS
        machine.answers()
    assert machine.error == 0


def test_when_the_clock_of_nats_is_set_the_operator_follows_at_once() -> None:
    machine = Machine()
    machine.answers()
    machine.of_nats = HOUR
    machine.answers()
    assert machine.error == 0


@pytest.mark.parametrize(("ahead", "words"), [(HOUR, "3600 s ahead of that"), (-HOUR, "3600 s behind that")])
def test_a_wrong_clock_is_told_once_and_its_end_as_well(
    ahead: float, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine(ahead)
    machine.answers()
    machine.answers()
    [told] = caplog.messages
    assert words in told
    machine.ahead = 0
    machine.answers()
    assert caplog.messages[1:] == ["the clock of this machine and that of NATS agree again"]


@pytest.mark.parametrize("years", [-2, 2, 7000])
def test_a_time_of_another_age_is_not_believed(years: float) -> None:
    machine = Machine()
    machine.of_nats = years * 366 * 24 * HOUR
    machine.answers()
    machine.of_nats = 0
    assert machine.error == 0


def test_clocks_that_differ_as_usual_are_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine(WRONG_SECONDS - 1)
    machine.answers(delay=0.5)
    assert caplog.messages == []


class Asked(SafeClient):
    """A client whose server gives one answer."""

    answer: dict[str, Any]

    async def request(self, subject: str, *_: object, **__: object) -> Msg:
        return Msg(self, subject, data=json.dumps(self.answer).encode())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"ts": f"{TOMORROW:%Y-%m-%dT%H:%M:%S}.123456789+02:00"}, TOMORROW.timestamp() + 0.123),
        ({"ts": f"{TOMORROW:%Y-%m-%dT%H:%M:%S}+02:00", "cluster": {"leader": ""}}, None),
        ({"ts": f"{TOMORROW:%Y-%m-%dT%H:%M:%S}+02:00", "cluster": {"leader": "n1"}}, TOMORROW.timestamp()),
        ({"ts": "9999-12-31T23:59:59Z"}, None),
        ({"ts": "nonsense"}, None),
        ({"ts": ""}, None),
        ({"ts": 7}, None),
        ({}, None),
    ],
    # Each test worker has a time of its own, and all must call a test alike.
    ids=["nanoseconds", "no leader", "a leader", "far away", "nonsense", "empty", "a number", "none"],
)
def test_information_about_a_stream_tells_it(said: dict[str, Any], expected: float | None) -> None:
    client = Asked(None)
    client.answer = said
    before = client.server_time()
    asyncio.run(client.jetstream()._api_request("$JS.API.CONSUMER.INFO.s.c"))
    assert 0 <= client.server_time() - before < 60_000, "the leader of a consumer gives messages no time"
    asyncio.run(client.jetstream()._api_request("$JS.API.STREAM.INFO.s"))
    now = client.server_time()
    if expected is None:
        assert 0 <= now - before < 60_000
    else:
        assert 0 <= now / 1000 - expected < 60
