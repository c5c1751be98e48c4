"""An exception that nobody has foreseen, about one upload, in every place that serves all of them (S2).

Each case makes one function of the operator fail whenever it is about the victim. Found by reading every
loop over uploads or resources: a function that is called for each of them in turn stands here. The others
have to go through all their steps and be released, by the same ownership, and the victim has to say so.
"""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.model import DELAY_STEP
from uploadpp.core.rules import control
from uploadpp.kube.store import Store
from uploadpp.pipeline import (
    admission,
    applier,
    checkpoint,
    lost_uploads,
    replay_buffer,
    reports,
    resource_encoder,
    uploads,
)
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.checkpoint import Checkpoint
from uploadpp.pipeline.lost_uploads import LostUploads
from uploadpp.pipeline.outbox import Outbox
from uploadpp.pipeline.refusals import Refusals
from uploadpp.pipeline.router import Router
from uploadpp.pipeline.uploads import Uploads
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.resources.deletions import Vanished
from uploadpp.resources.event_handler import ResourceEventHandler
from uploadpp.resources.finished import FinishedUploads
from uploadpp.resources.forgotten import ForgottenResources
from uploadpp.resources.lifecycle import LifecycleHandlers
from uploadpp.resources.past_ends import PastEnds
from uploadpp.resources.url_secrets import UrlSecretReader
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import resume, upload_ready
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.trace import logged_in
from uploadpp.testing.user_actions import PERSON

VICTIM = "victim"
OTHERS = ("anna", "bert", "carl", "dora")
EVERYBODY = ("anna", VICTIM, "bert")
LATE = ("emil", f"{VICTIM}-2", "fritz")
SAID = ("OperatorFailed", "LeftAlone")


class Said(logging.Handler):
    """What the log says about the victim."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        about = getattr(record, "upload", ""), getattr(record, "resource", "")
        if any(map(concerns, about)):
            self.texts.append(record.getMessage())


class Fault(Exception):  # noqa: N818 -- the name of what nobody has foreseen
    """Nothing that the operator knows."""


def concerns(value: Any, depth: int = 3) -> bool:  # noqa: ANN401 -- whatever a function is given
    """Whether an argument is, names or holds the victim."""
    if isinstance(value, str):
        return value.startswith(VICTIM)
    if isinstance(value, dict):
        meta = value.get("metadata")
        return isinstance(meta, dict) and str(meta.get("name")).startswith(VICTIM)
    if isinstance(value, PendingMessage) or depth == 0:
        return False
    return any(
        concerns(getattr(value, name), depth - 1)
        for name in ("id", "name", "upload_id", "upload", "tracked")
        if hasattr(value, name)
    )


class Saboteur:
    """Makes functions fail about the victim, once it is told to begin."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.struck = 0
        self.is_recorded: Callable[[], bool] = lambda: False
        self.struck_when_recorded = False

    def breaks(self, owner: object, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def function(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as the real one
            if any(map(concerns, [*args, *kwargs.values()])):
                self.struck += 1
                self.struck_when_recorded |= self.is_recorded()
                raise Fault("not foreseen")
            return real(*args, **kwargs)

        self._patch.setattr(owner, name, function)


def life(sim: Simulation) -> None:
    """Everything that happens to uploads in a day, in some minutes: to the victim and the others alike."""
    sim.world.script = [""] * 3  # nobody answers at first: the storage is asked, and each is tried again
    sim.world.behaviour.ready_lost = 1.0  # and the storage is asked about what it has released
    process = sim.start()
    sim.kernel.run_until(1.0)
    for each in EVERYBODY:
        sim.world.upload(each)
    sim.kernel.run_until(1.0012)
    process.machine.kill()  # in the middle of it: the next one replays the log, with commands held
    sim.start()
    sim.kernel.run_until(20.0)
    for each in EVERYBODY:
        if each in sim.server.resources:
            sim.server.edit(PERSON, each, desiredState="Suspended")
            sim.server.edit(PERSON, each, desiredState="Active")
    sim.journal.publish("ResumePostprocessing", resume(step="virusscan"))
    sim.kernel.run_until(40.0)
    sim.world.behaviour.ready_lost = 0.0
    for each in ("carl", "dora"):
        sim.world.upload(each)
    sim.kernel.run_until(70.0)
    for each in EVERYBODY:  # they are over and evicted by now, and reloaded
        sim.journal.publish("UploadReady", upload_ready(each))
    process = sim.processes[-1]
    process.machine.kill()
    sim.start()
    sim.kernel.run_until(90.0)
    for each in LATE:
        sim.world.upload(each)
    sim.kernel.run_until(91.0)
    for each in LATE:  # while their delay runs
        if each in sim.server.resources:
            sim.server.delete(PERSON, each)
    sim.kernel.run_until(200.0)


def by_hand(sim: Simulation) -> None:
    """People make the resources, with URLs from Secrets, and the storage announces some of them."""
    sim.start()
    sim.kernel.run_until(1.0)
    for each in EVERYBODY:
        sim.world.know(each)
        spec = {"upload": {"id": each}, "urlSecretRef": {"name": each, "key": "url"}}
        meta = {"name": each, "namespace": "uploads", "labels": {}}
        sim.server.create(PERSON, {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta, "spec": spec})
    sim.kernel.run_until(1.5)
    for each in ("carl", "dora"):
        meta = {"name": each, "namespace": "uploads", "labels": {}}
        spec = {"upload": {"id": each}}
        sim.server.create(PERSON, {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta, "spec": spec})
        sim.world.upload(each)
    sim.kernel.run_until(100.0)


LIVES: dict[str, Callable[[Simulation], None]] = {"life": life, "by hand": by_hand}
CASES: list[tuple[str, object, str]] = [
    *[("life", applier, name) for name in ("apply", "encode", "decide")],
    ("life", reports, "log_transition"),
    ("life", uploads, "wake_at"),
    *[("life", Applier, name) for name in ("apply", "on_input", "_publish", "published", "adopt")],
    *[("life", Router, name) for name in ("_arrived",)],
    *[("life", Outbox, name) for name in ("put", "_send")],
    *[("life", Uploads, name) for name in ("add", "evict", "forget", "saved", "schedule", "note_end")],
    *[("life", LifecycleHandlers, name) for name in ("on_storable", "on_ended", "on_forgotten")],
    *[("life", replay_buffer, name) for name in ("resolve",)],
    *[("life", FinishedUploads, name) for name in ("evict", "_over", "_put", "drop", "defer", "_found")],
    ("life", checkpoint, "to_status"),
    *[("life", resource_encoder, name) for name in ("to_resource", "plan_to_seal")],
    *[("life", Checkpoint, name) for name in ("_write", "_create", "_post_notices", "_stored")],
    *[("life", WriteQueue, name) for name in ("put",)],
    *[("life", Refusals, name) for name in ("written",)],
    *[("life", Store, name) for name in ("create", "get", "write_status", "delete")],
    *[
        ("life", ResourceEventHandler, name)
        for name in ("_adopt", "_take", "_seen", "_prevails", "_reconcile")
    ],
    *[("life", ResourceEventHandler, name) for name in ("is_own_write",)],
    ("life", ForgottenResources, "done_with"),
    *[("life", lost_uploads, name) for name in ("is_doubtful",)],
    *[("life", LostUploads, name) for name in ("look", "_asked", "_answered", "_plan")],
    *[("life", Vanished, name) for name in ("_is_there",)],
    ("life", StepAdmission, "moved"),
    *[("life", admission, name) for name in ("share_of_upload", "holds_slot")],
    ("life", Metrics, "moved"),
    ("life", control, "concerns"),
    *[("by hand", UrlSecretReader, name) for name in ("want", "_look")],
    ("by hand", PastEnds, "is_waiting"),
    *[("by hand", ResourceEventHandler, name) for name in ("_adopt", "_met")],
    *[("by hand", Store, name) for name in ("secret", "write_sealed")],
]


@pytest.mark.parametrize(
    ("world", "owner", "name"),
    CASES,
    ids=[f"{world}-{getattr(owner, '__name__', '').split('.')[-1]}-{name}" for world, owner, name in CASES],
)
def test_s2_one_upload_never_stops_the_others(
    world: str, owner: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = step("virusscan", timeout=6), step("policies"), step(DELAY_STEP)
    sim = Simulation(1, config(*steps, ttl=60, places={"policies": 1}))
    saboteur = Saboteur(monkeypatch)
    saboteur.breaks(owner, name)
    saboteur.is_recorded = lambda: "status" in sim.server.resources.get(VICTIM, {})
    said = Said()
    with logged_in(sim.trace):
        logging.getLogger("uploadpp").addHandler(said)
        LIVES[world](sim)
        logging.getLogger("uploadpp").removeHandler(said)
    text = sim.trace.text()
    for process in sim.processes:
        process.machine.loop.kill()
    sim.kernel.run_until(sim.kernel.now)
    assert saboteur.struck, "nothing was tried"
    released = {each for each in OTHERS if sim.world.sessions[each].released}
    assert released == set(OTHERS), text
    assert "the ownership ended" not in text, text
    assert "the ownership failed" not in text, text
    assert not [line for line in sim.kernel.failures if "never retrieved" in line], text
    events = [line for line in text.splitlines() if f"event on {VICTIM}" in line]
    assert said.texts, text
    assert any(word in line for line in events for word in SAID) or not saboteur.struck_when_recorded, text
