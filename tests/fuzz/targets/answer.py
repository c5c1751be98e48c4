"""An answer of JetStream's API, which holds what other clients have written into their consumers."""

import json
from typing import Any

from nats.errors import Error as NatsError
from nats.js.api import ConsumerInfo, StreamInfo

from tests.fuzz.target import Target
from uploadpp.core.sharding import Shard
from uploadpp.wire.consumer_edits import hinders_owner, paused
from uploadpp.wire.consumers import is_impostor, parse_name
from uploadpp.wire.creation import unusable
from uploadpp.wire.jetstream import _whole, _whole_stream, in_utc, readable, reading
from uploadpp.wire.positions import acknowledged, last_sign_of


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    try:
        with reading("an answer"):
            answer: Any = json.loads(data)
            if not isinstance(answer, dict):
                return
            readable(answer)
            written = json.dumps(answer)
            assert json.dumps(readable(answer)) == written  # a time in UTC stays it
    except NatsError:
        return
    check_consumer(answer)
    check_stream(answer)


def check_consumer(answer: dict[str, Any]) -> None:
    """What is asked of a consumer has an answer."""
    try:
        with reading("a consumer"):
            info = _whole(ConsumerInfo.from_response(dict(answer)))
    except NatsError:
        return
    assert isinstance(in_utc(str(info.created)), str)
    parse_name(info.name)
    is_impostor(info)
    acknowledged(info)
    last_sign_of(info)
    paused(info, "main-queue")
    hinders_owner(info.config, "main-queue", 100, 3600)
    assert Shard(0, 1).consumer_prefix


def check_stream(answer: dict[str, Any]) -> None:
    """What is asked of a stream has an answer."""
    try:
        with reading("a stream"):
            info = _whole_stream(StreamInfo.from_response(dict(answer)))
    except NatsError:
        return
    unusable(info.config, "main-queue")


TARGET = Target(check, is_json=True)
