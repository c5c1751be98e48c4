"""The log tells of an upload whose resource a person has made, and the watch shows that late or never."""

import pytest

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.states import Stage
from uploadpp.kube.errors import RefusedError
from uploadpp.kube.store import Store
from uploadpp.testing.configs import config, step
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.user_actions import PERSON

SAID: dict[str, tuple[str, dict[str, object], set[Stage]]] = {
    "released": ("UploadReady", {"Failed": False}, {Stage.COMPLETED}),
    "cleaned": ("CleanUpload", {}, {Stage.CLEANED}),
    "aborted by another service": (
        "PostprocessingFinished",
        {"Outcome": "abort"},
        {Stage.AWAITING_READY, Stage.ABORTED},
    ),
}


def make_by_hand(sim: Simulation) -> None:
    """A person makes a resource of an upload that nobody has announced."""
    resource = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "hand-1", "namespace": "uploads", "labels": {}},
        "spec": {"upload": {"id": "hand-1"}},
    }
    sim.server.create(PERSON, resource)


def unseen(kind: str, **payload: object) -> tuple[Simulation, OperatorProcess]:
    """Five seconds after the message nobody has told the operator of the resource."""
    sim = Simulation(3, config(step("virusscan"), ttl=3600))
    process = sim.start()
    sim.kernel.run_until(1.0)
    process.faults.watch_dropped = 1.0
    sim.doings.tokens["hand-1"] += 1
    sim.doings.strays.add("hand-1")
    make_by_hand(sim)
    sim.journal.publish(kind, {"UploadID": "hand-1", **payload})
    sim.kernel.run_until(5.0)
    return sim, process


def stage_of(sim: Simulation) -> Stage:
    return sim.checks.read(sim.server.resources["hand-1"]).stage


def floor(sim: Simulation) -> int:
    return max(consumer.floor for consumer in sim.stream.consumers.values())


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("case", SAID)
def test_what_it_says_counts(case: str, *, killed: bool) -> None:
    kind, payload, stages = SAID[case]
    sim, process = unseen(kind, **payload)
    if killed:
        process.machine.kill()
        sim.start()
    sim.kernel.run_until(60.0 if killed else 20.0)
    found = stage_of(sim)
    sim.settle()
    assert not sim.result().violations, sim.result().report()
    assert found in stages


@pytest.mark.parametrize("case", SAID)
def test_so_it_does_where_the_crd_knows_no_field_selectors(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, payload, stages = SAID[case]
    listed = Store.list_all

    def list_all(self: Store, selector: str = "", fields: str = "", newest: int = 0) -> object:
        if fields:
            raise RefusedError("GET: 400 field label not supported")
        return listed(self, selector, fields, newest)

    monkeypatch.setattr(Store, "list_all", list_all)
    sim, _ = unseen(kind, **payload)
    sim.kernel.run_until(20.0)
    found = stage_of(sim)
    sim.result()
    assert found in stages


def test_nothing_is_acknowledged_while_the_api_server_does_not_answer() -> None:
    sim, process = unseen("UploadReady", Failed=False)
    process.faults.away = True
    sim.kernel.run_until(9.0)
    meanwhile = floor(sim)
    process.faults.away = False
    sim.settle()
    found, afterwards = stage_of(sim), floor(sim)
    assert not sim.result().violations, sim.result().report()
    assert (found, meanwhile, afterwards) == (Stage.COMPLETED, 0, 1)


def test_a_resume_lets_it_begin_once() -> None:
    """Read again after a restart, it would begin a second run."""
    sim, process = unseen("ResumePostprocessing", Step="")
    process.faults.watch_dropped = 0.0
    sim.kernel.run_until(12.0)
    begun = sim.checks.read(sim.server.resources["hand-1"])
    sim.result()
    assert (begun.run, begun.log.sequence) == (1, 1)


def test_a_message_from_before_the_resource_was_made_is_about_an_earlier_upload() -> None:
    """The person wants the upload to be done again."""
    sim = Simulation(3, config(step("virusscan"), ttl=3600))
    sim.start()
    sim.kernel.run_until(1.0)
    sim.journal.publish("UploadReady", {"UploadID": "hand-1", "Failed": False})
    sim.kernel.run_until(10.0)
    acknowledged = floor(sim)
    make_by_hand(sim)
    sim.kernel.run_until(12.0)
    found = stage_of(sim)
    sim.result()
    assert (acknowledged, found.ended) == (1, False)
