"""What works on a shard is built in one go, from objects that are given each other."""

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest

from uploadpp.api.codec import ALL_SHOWN
from uploadpp.core.commands import Notice, NoticeType
from uploadpp.core.config import Config
from uploadpp.core.model import StepPlan
from uploadpp.core.sharding import Shard
from uploadpp.kube.events import LEASE, About
from uploadpp.ownership.dependencies import Dependencies
from uploadpp.ownership.wiring import Components, Hearing, wire
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.operator_process import MARKS, PlainSeals
from uploadpp.testing.pipelines import CONFIG, NOW
from uploadpp.wire.stream import StartFrom


class World:
    """Dependencies that nothing is asked of before work begins."""

    def __init__(self, config: Config = CONFIG) -> None:
        self.posted: list[tuple[str, str, About]] = []
        me, self.client = cast("Any", self), SimpleNamespace(new_inbox=lambda: "_INBOX.x")
        self.deps = Dependencies(
            config=config,
            client=cast("Any", self.client),
            store=me,
            events=me,
            seals=PlainSeals(),
            marks=MARKS,
            metrics=Metrics(),
            namespace="ocis",
            shown=ALL_SHOWN,
            writers=1,
            max_recorded=100,
            start_from=StartFrom.ALL,
            clock=lambda: NOW,
            watch=me,
        )
        self.lease = cast("Any", SimpleNamespace(name="uploadpp-shard-0", uid="lease-uid"))

    def post(self, name: str, uid: str, notice: Notice, about: About) -> None:
        del notice
        self.posted.append((name, uid, about))

    def wired(self, shard: Shard) -> Components:
        hearing = Hearing(has_read=lambda _: True, may_resend=lambda: True)
        return wire(self.deps, self.lease, shard, hearing)


async def test_news_of_the_shard_are_said_on_its_lease() -> None:
    world = World()
    world.wired(Shard()).news(Notice(NoticeType.WARNING, "Reason", "text"))
    assert world.posted == [("uploadpp-shard-0", "lease-uid", LEASE)]


async def test_shards_share_what_may_be_recorded_and_kept_in_memory() -> None:
    works = World().wired(Shard(1, 4))
    assert works.limit._most == 25
    assert works.uploads.text_budget._budget == World().wired(Shard()).uploads.text_budget._budget // 4


@pytest.mark.parametrize("limited", [True, False])
async def test_slots_are_looked_after_only_where_a_step_has_a_limit(*, limited: bool) -> None:
    """Where none has, no upload pays for it."""
    config = Config(steps=(StepPlan(name="a"),), max_in_flight={"a": 1} if limited else {})
    works = World(config).wired(Shard())
    parts = works.uploads._admission, works.applier._admission
    assert parts == ((works.admission, works.admission) if limited else (None, None))


async def test_nobody_changes_what_was_built() -> None:
    works = World().wired(Shard())
    with pytest.raises(dataclasses.FrozenInstanceError):
        works.acks = None  # type: ignore[misc, assignment]
