"""Whether the legacy service still runs, as `uploadpp adopt` and `release` look for it."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.js.api import ConsumerConfig, ConsumerInfo, SequenceInfo

from uploadpp.migration import site as module
from uploadpp.migration.report import RefusedToRunError, Report
from uploadpp.migration.site import Site, check_legacy_service
from uploadpp.wire.stream import STREAM

SITE = cast("Site", SimpleNamespace(js=None))


def pulling(delivered: int, waiting: int = 0) -> ConsumerInfo:
    """Its consumer between two requests, or within one."""
    config = ConsumerConfig(durable_name="postprocessing-pull")
    at = SequenceInfo(consumer_seq=delivered, stream_seq=delivered)
    made = datetime.now(UTC)
    return ConsumerInfo(
        "postprocessing-pull", STREAM, config, made, delivered=at, ack_floor=at, num_waiting=waiting
    )


async def look(monkeypatch: pytest.MonkeyPatch, *seen: ConsumerInfo) -> int:
    """What comes of what is seen, one after the other; returns how often it was looked at."""
    looks = 0

    async def listed(_js: Any) -> list[ConsumerInfo]:  # noqa: ANN401 -- not looked at
        nonlocal looks
        looks += 1
        return [seen[min(looks, len(seen)) - 1]]

    monkeypatch.setattr(module, "list_consumers", listed)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    await check_legacy_service(SITE, Report("adopt"), force=False)
    return looks


async def test_a_service_between_two_requests_is_found_by_what_it_has_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(RefusedToRunError, match="postprocessing-pull"):
        await look(monkeypatch, pulling(5), pulling(5), pulling(6))


async def test_a_service_that_asks_seldom_is_found_by_a_later_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedToRunError, match="postprocessing-pull"):
        await look(monkeypatch, pulling(5), pulling(5), pulling(5), pulling(5, waiting=1))


async def test_who_is_gone_is_looked_for_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await look(monkeypatch, pulling(5)) == 4, "once for which kind of consumer it has"
