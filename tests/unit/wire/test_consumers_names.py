"""Names of consumers are other people's input: only plausible ones are ours."""

import logging

import pytest

from uploadpp.core.sharding import Shard
from uploadpp.wire import consumers
from uploadpp.wire.consumers import MAX_EPOCH, next_epoch, parse_name


@pytest.mark.parametrize("shard", [Shard(), Shard(0, 2), Shard(63, 64)])
@pytest.mark.parametrize("epoch", [0, 7, 2**31, MAX_EPOCH])
def test_ours(shard: Shard, epoch: int) -> None:
    assert parse_name(f"{shard.consumer_prefix}{epoch}") == (shard, epoch)


@pytest.mark.parametrize(
    "name",
    [
        "uploadpp-0of20000000-e1",
        "uploadpp-0of65-e1",
        "uploadpp-2of2-e1",
        "uploadpp-1-e1",
        "uploadpp-0of0-e1",
        "uploadpp-0of1-e1",
        "uploadpp-00-e1",
        "uploadpp-0of02-e1",
        "uploadpp-0-e01",
        "uploadpp-0-e9999999999999",
        "uploadpp-0-e" + "9" * 4000,
        "uploadpp-0-e\u0661",
        "uploadpp-0-e1 ",
        "uploadpp-0-e1\n",
        "uploadpp-0-e-1",
    ],
)
def test_not_ours(name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "_warned", set())
    for _ in range(3):
        assert parse_name(name) is None
    assert [record.levelno for record in caplog.records] in ([logging.WARNING], [])


def test_a_step_is_nothing_to_warn_about(caplog: pytest.LogCaptureFixture) -> None:
    assert parse_name("uploadpp-step-virusscan") is None
    assert not caplog.records


def test_the_highest_epoch_locks_nobody_out() -> None:
    assert next_epoch(3, [7, MAX_EPOCH]) == 8
    assert next_epoch(9, [7]) == 9
    assert next_epoch(2**31, [2**31]) == 2**31 + 1
