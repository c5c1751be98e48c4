"""What a step says about its consumer."""

import logging
from collections.abc import Callable
from typing import Any, cast

import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo
from nats.js.errors import APIError

from uploadpp.steps.consumer import StartConsumer
from uploadpp.wire.client import SafeClient
from uploadpp.wire.stream import STREAM

RESPONSE: dict[str, Any] = {"stream_name": STREAM, "name": "scan", "created": "2026-01-01T00:00:00Z"}
EMPTY = {"delivered": {"consumer_seq": 0, "stream_seq": 0}, "ack_floor": {"consumer_seq": 0, "stream_seq": 0}}


def info(**config: Any) -> ConsumerInfo:  # noqa: ANN401 -- any setting
    found = ConsumerInfo.from_response(RESPONSE | EMPTY | {"config": {}})
    return cast(
        "ConsumerInfo",
        found.evolve(config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=30, **config)),
    )


class JetStream:
    """Makes consumers with these settings, or finds one that was faster."""

    def __init__(self, made: ConsumerInfo | None, found: ConsumerInfo | None = None) -> None:
        self.made = made
        self.found = found

    async def add_consumer(self, _stream: str, _config: ConsumerConfig) -> ConsumerInfo:
        if self.made is None:
            raise APIError(code=400, description="consumer already exists")
        return self.made

    async def consumer_info(self, _stream: str, _name: str) -> ConsumerInfo:
        assert self.found is not None
        return self.found


def consumer() -> StartConsumer:
    return StartConsumer(cast("SafeClient", None), "scan", None, 30)


async def make(starts: StartConsumer, made: ConsumerInfo | None, found: ConsumerInfo | None = None) -> None:
    starts._judge(await starts._make(cast("JetStreamContext", JetStream(made, found))))


Said = Callable[[], list[str]]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    return lambda: [each.message for each in caplog.records if each.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("limits", "slow"),
    [
        ({"max_ack_pending": 2}, "only 2 starts may be worked on at once (max_ack_pending)"),
        ({"inactive_threshold": 60}, "NATS deletes it after 60 s without a reader"),
    ],
)
async def test_limits_of_nats_are_not_said_to_be_an_edit(
    limits: dict[str, Any], slow: str, said: Said
) -> None:
    starts = consumer()
    await make(starts, info(**limits))
    starts._judge(info(**limits))  # as at each look
    (line,) = said()
    assert line.startswith(f"NATS allows no more of the consumer {starts.name}: {slow}")
    assert "change this limit of the server, of the account" in line
    assert line.endswith(f"run: nats consumer rm {STREAM} {starts.name}")
    assert starts.problem == ""


async def test_an_edit_after_the_creation_is_said_to_be_one(said: Said) -> None:
    starts = consumer()
    await make(starts, info(max_ack_pending=1000))
    assert said() == []
    starts._judge(info(max_ack_pending=2))
    assert [each.startswith(f"somebody edited the consumer {starts.name}, or NATS") for each in said()] == [
        True
    ]
    starts._judge(info(max_ack_pending=1000))
    starts._judge(info(max_ack_pending=2))
    assert len(said()) == 2


async def test_of_a_consumer_that_another_process_has_made_both_are_possible(said: Said) -> None:
    starts = consumer()
    await make(starts, None, info(max_ack_pending=2))
    assert [each.startswith(f"somebody edited the consumer {starts.name}, or NATS") for each in said()] == [
        True
    ]
