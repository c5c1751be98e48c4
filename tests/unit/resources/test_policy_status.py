"""The status of policies: conditions and counts, and when they are written."""

import asyncio
from typing import Any

import pytest

from uploadpp.core.model import Millis, PolicyRef
from uploadpp.kube.errors import ConflictError, ForbiddenError, NotFoundError
from uploadpp.resources import policy_status
from uploadpp.resources.policy_counts import PolicyCounts
from uploadpp.resources.policy_status import Judgement, PolicyStatusWriter

NOW = Millis(1_700_000_000_000)
NOW_TEXT = "2023-11-14T22:13:20.000Z"
GOOD = Judgement(1, ready=True, reason="Accepted", message="")
CONDITION = {
    "type": "Ready", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
    "lastTransitionTime": NOW_TEXT,
}  # fmt: skip


def policy(version: str = "1", status: dict[str, Any] | None = None, generation: int = 1) -> dict[str, Any]:
    meta = {"name": "p", "uid": "u", "resourceVersion": version, "generation": generation}
    return {"metadata": meta, "spec": {"rules": [{"name": "a"}, {"name": "b"}]}, "status": status or {}}


class Server:
    """The API server, with one policy."""

    def __init__(self) -> None:
        self.stored = policy()
        self.writes: list[dict[str, Any]] = []
        self.refusal: Exception | None = None

    async def list_all(self) -> list[dict[str, Any]]:
        return [self.stored]

    async def get(self, name: str) -> dict[str, Any] | None:
        assert name == "p"
        return self.stored

    async def write_status(self, name: str, version: str, status: dict[str, Any]) -> dict[str, Any]:
        assert name == "p"
        if self.refusal is not None:
            raise self.refusal
        if version != self.stored["metadata"]["resourceVersion"]:
            raise ConflictError("changed")
        self.writes.append(status)
        generation = self.stored["metadata"]["generation"]
        self.stored = policy(str(int(version) + 1), self.stored["status"] | status, generation)
        return self.stored


class Process:
    """One process of the operator."""

    def __init__(self, server: Server, *, leads: bool = True) -> None:
        self.judgement: Judgement | None = GOOD
        self.counts = PolicyCounts(lambda: NOW)
        self.writer = PolicyStatusWriter(
            server, self.counts, lambda _: self.judgement, lambda: leads, lambda: NOW
        )
        self.writer.take([server.stored])

    def matches(self, rule: str, number: int = 1) -> None:
        for _ in range(number):
            self.counts.add([PolicyRef("p", 1, rule)])


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_status, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(policy_status, "PAUSE_SECONDS", 0.0)


async def working(process: Process, rounds: int = 20) -> None:
    task = asyncio.create_task(process.writer.run())
    for _ in range(rounds):
        await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_first_status_has_a_condition_and_every_rule() -> None:
    server = Server()
    await working(Process(server))
    rules = [{"name": "a", "matched": 0}, {"name": "b", "matched": 0}]
    assert server.writes == [
        {"rules": rules, "matched": 0, "observedGeneration": 1, "conditions": [CONDITION]}
    ]


async def test_nothing_is_written_without_a_change() -> None:
    server = Server()
    process = Process(server)
    await working(process)
    await working(process)
    assert len(server.writes) == 1
    process.matches("b", 3)
    await working(process)
    assert server.writes[1:] == [
        {
            "rules": [{"name": "a", "matched": 0}, {"name": "b", "matched": 3, "lastMatchedTime": NOW_TEXT}],
            "matched": 3,
        }
    ]


async def test_replicas_add_up() -> None:
    server = Server()
    first, second = Process(server), Process(server, leads=False)
    first.matches("a", 2)
    second.matches("a", 3)
    second.matches("b")
    await working(first)
    await working(second)
    first.matches("a")
    await working(first)
    assert server.stored["status"]["matched"] == 7
    assert [each["matched"] for each in server.stored["status"]["rules"]] == [6, 1]


async def test_only_the_owner_of_the_first_shard_writes_conditions() -> None:
    server = Server()
    process = Process(server, leads=False)
    await working(process)
    assert server.writes == []
    process.matches("a")
    await working(process)
    assert server.writes[0].keys() == {"rules", "matched"}


async def test_a_wrong_expression_is_said_and_later_taken_back() -> None:
    server = Server()
    process = Process(server)
    process.judgement = Judgement(1, ready=False, reason="InvalidExpression", message="rule a: ...")
    await working(process)
    (said,) = server.writes[0]["conditions"]
    assert (said["status"], said["reason"], said["message"]) == ("False", "InvalidExpression", "rule a: ...")
    process.judgement = GOOD
    await working(process)
    assert server.writes[1] == {"conditions": [CONDITION]}


async def test_what_was_judged_is_the_generation_that_is_there() -> None:
    server = Server()
    server.stored = policy(generation=2)
    process = Process(server)
    await working(process)
    assert "conditions" not in server.stored["status"]
    process.judgement = None
    await working(process)
    assert "conditions" not in server.stored["status"]


async def test_a_rule_that_is_gone_takes_its_count_along() -> None:
    server = Server()
    old = [{"name": "a", "matched": 2, "lastMatchedTime": NOW_TEXT}, {"name": "gone", "matched": 5}, "odd"]
    server.stored = policy(status={"rules": old, "matched": 7, "conditions": [CONDITION, {"type": "Other"}]})
    await working(Process(server))
    assert server.stored["status"]["rules"] == [
        {"name": "a", "matched": 2, "lastMatchedTime": NOW_TEXT},
        {"name": "b", "matched": 0},
    ]
    assert server.stored["status"]["matched"] == 2
    assert server.stored["status"]["conditions"] == [CONDITION, {"type": "Other"}]


@pytest.mark.parametrize("refusal", [ForbiddenError("no permission"), ConflictError("never")])
async def test_what_could_not_be_written_is_written_later(refusal: Exception) -> None:
    server = Server()
    process = Process(server)
    process.matches("a")
    server.refusal = refusal
    await working(process)
    assert server.writes == []
    server.refusal = None
    await working(process)
    assert server.stored["status"]["matched"] == 1


async def test_a_policy_that_is_gone_is_forgotten() -> None:
    server = Server()
    process = Process(server)
    process.matches("a")
    server.refusal = NotFoundError("gone")
    await working(process)
    server.refusal = None
    await working(process)
    assert server.writes == []
    process.writer.take([])
    process.writer.take([server.stored])
    await working(process)
    assert server.stored["status"]["matched"] == 0


async def test_a_policy_is_written_once_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_status, "PAUSE_SECONDS", 10.0)
    server = Server()
    process = Process(server)
    await working(process)
    process.matches("a")
    await working(process)
    assert len(server.writes) == 1


async def test_clocks_of_replicas_do_not_turn_time_back() -> None:
    server = Server()
    later = "2099-01-01T00:00:00.000Z"
    server.stored = policy(status={"rules": [{"name": "a", "matched": 1, "lastMatchedTime": later}]})
    process = Process(server)
    process.matches("a")
    await working(process)
    assert server.stored["status"]["rules"][0] == {"name": "a", "matched": 2, "lastMatchedTime": later}
