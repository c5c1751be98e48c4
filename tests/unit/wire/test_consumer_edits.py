"""Consumers that somebody has edited: what matters is told, what does not is not."""

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from uploadpp.wire.consumer_edits import breaks_step, hinders_owner, looks_cut_off, slows_step

SUBJECT = "main-queue"
WAIT = 3600.0
UNREADABLE = {
    "another subject": (ConsumerConfig(filter_subject="other"), "filter other"),
    "other subjects": (ConsumerConfig(filter_subjects=["a", "b.>"]), "filter a, b.>"),
    "headers only": (ConsumerConfig(headers_only=True), "headers_only"),
    "pushed": (ConsumerConfig(deliver_subject="x"), "deliver_subject"),
}
READABLE = [
    ConsumerConfig(),
    ConsumerConfig(filter_subject=SUBJECT),
    ConsumerConfig(filter_subject=">"),
    ConsumerConfig(filter_subjects=["other", "*"]),
    ConsumerConfig(filter_subject="", filter_subjects=[], headers_only=False),
]


@pytest.mark.parametrize(("config", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_keeps_messages_away_concerns_everybody(config: ConsumerConfig, words: str) -> None:
    assert words in hinders_owner(config, SUBJECT, 100, WAIT)
    assert words in breaks_step(config, SUBJECT)


@pytest.mark.parametrize("config", READABLE, ids=str)
def test_what_lets_them_through_concerns_nobody(config: ConsumerConfig) -> None:
    assert hinders_owner(config, SUBJECT, 100, WAIT) == ""
    assert breaks_step(config, SUBJECT) == ""


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ConsumerConfig(max_ack_pending=1), "only 1 messages"),
        (ConsumerConfig(max_ack_pending=100), ""),
        (ConsumerConfig(max_ack_pending=-1), ""),
        (ConsumerConfig(ack_wait=30), "after 30 s"),
        (ConsumerConfig(ack_wait=WAIT), ""),
        (ConsumerConfig(ack_wait=WAIT, backoff=[1, 60]), "after 1 s"),
        (ConsumerConfig(max_deliver=1, inactive_threshold=60), ""),  # nothing is handed out twice
    ],
)
def test_what_the_operator_needs(config: ConsumerConfig, words: str) -> None:
    found = hinders_owner(config, SUBJECT, 100, WAIT)
    assert words in found
    assert bool(words) is bool(found)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ConsumerConfig(max_deliver=1), "max_deliver"),
        (ConsumerConfig(max_deliver=-1), ""),
        (ConsumerConfig(ack_wait=0.01), "after 0.01 s"),
        (ConsumerConfig(ack_wait=1), ""),
        (ConsumerConfig(ack_wait=30, backoff=[0.1, 30], max_deliver=-1), "after 0.1 s"),
        (ConsumerConfig(ack_policy=AckPolicy.ALL), "must be explicit"),
        (ConsumerConfig(ack_policy=AckPolicy.NONE), "must be explicit"),
        (ConsumerConfig(max_ack_pending=1), ""),
    ],
)
def test_what_a_step_needs(config: ConsumerConfig, words: str) -> None:
    found = breaks_step(config, SUBJECT)
    assert words in found
    assert bool(words) is bool(found)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ConsumerConfig(max_ack_pending=1), "max_ack_pending"),
        (ConsumerConfig(max_ack_pending=1000), ""),
        (ConsumerConfig(inactive_threshold=60), "inactive_threshold"),
        (ConsumerConfig(), ""),
    ],
)
def test_what_makes_a_step_slow(config: ConsumerConfig, words: str) -> None:
    found = slows_step(config, 64)
    assert words in found
    assert bool(words) is bool(found)


@pytest.mark.parametrize(
    ("data", "headers", "cut"),
    [
        (b"", {"Nats-Msg-Size": "7"}, True),
        (b"", {}, False),
        (b"", None, False),
        (b"x", {"Nats-Msg-Size": "7"}, False),
    ],
)
def test_a_body_that_was_left_out(data: bytes, headers: dict[str, str] | None, cut: bool) -> None:  # noqa: FBT001 -- expected
    assert looks_cut_off(Msg(Client(), SUBJECT, "", data, headers)) is cut
