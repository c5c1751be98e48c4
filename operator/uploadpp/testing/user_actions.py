"""What people and other tools do in a run: edit, restart, delete, resume, and tell what is not so."""

from collections.abc import Callable

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.naming import resource_name
from uploadpp.core.states import CancelPolicy, DesiredState, RestartMode
from uploadpp.testing.simulation import Simulation

PERSON = "person"


class UserActions:
    """Does one thing at a time, by chance, to some upload."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._random = sim.random
        self._tokens = 0
        self._hand_made = 0

    def act(self) -> None:
        """Do something."""
        uploads = list(self._sim.world.sessions)
        if not uploads:
            return
        deed = self._random.choice(self._deeds())
        upload = self._random.choice(uploads)
        self._sim.trace.add(PERSON, f"{deed.__name__.strip('_')} {upload}")
        deed(upload)

    def _deeds(self) -> list[Callable[[str], None]]:
        return [
            self._suspend, self._suspend, self._cancel, self._restart, self._restart, self._label,
            self._delete, self._resume, self._resume_step, self._clean, self._announce_same,
            self._announce_fresh, self._stray_answer, self._stray_ready, self._unknown, self._make_by_hand,
            self._nonsense, self._forget, self._make_anew,
        ]  # fmt: skip

    def _forget(self, upload: str) -> None:
        self._sim.world.forget(upload)

    # -- edits ----------------------------------------------------------------------------

    def _edit(self, upload: str, **spec: object) -> bool:
        name = resource_name(upload)
        if name in self._sim.server.resources:
            self._sim.server.edit(PERSON, name, **spec)
            self._sim.doings.edited.add(upload)
            return True
        return False

    def _suspend(self, upload: str) -> None:
        if self._edit(upload, desiredState=DesiredState.SUSPENDED.value) and self._random.random() < 0.8:  # noqa: PLR2004
            self._sim.kernel.after(self._random.uniform(0.01, 10), self._activate, upload)

    def _activate(self, upload: str) -> None:
        resource = self._sim.server.resources.get(resource_name(upload))
        if resource and resource["spec"].get("desiredState") == DesiredState.SUSPENDED:
            self._sim.trace.add(PERSON, f"activates {upload}")
            self._edit(upload, desiredState=DesiredState.ACTIVE.value)

    def _cancel(self, upload: str) -> None:
        policy = self._random.choice(list(CancelPolicy))
        self._edit(upload, desiredState=DesiredState.CANCELLED.value, cancelPolicy=policy.value)

    def _restart(self, upload: str) -> None:
        self._tokens += 1
        mode = self._random.choice(list(RestartMode))
        request = {"token": f"t{self._tokens}", "mode": mode.value}
        names = [plan.name for plan in self._sim.config.steps]
        if names and self._random.random() < 0.3:  # noqa: PLR2004
            request["fromStep"] = self._random.choice(names)
        if self._edit(upload, restart=request, desiredState=DesiredState.ACTIVE.value):
            self._sim.doings.tokens[upload] += 1
            self._sim.doings.again.add(upload)

    def _label(self, upload: str) -> None:
        name = resource_name(upload)
        resource = self._sim.server.resources.get(name)
        if resource is not None:
            labels = {**resource["metadata"]["labels"], "team": "blue"}
            self._sim.server.label(PERSON, name, labels)

    def _delete(self, upload: str) -> None:
        if resource_name(upload) in self._sim.server.resources:
            self._sim.server.delete(PERSON, resource_name(upload))
            self._sim.doings.deleted.add(upload)
            self._sim.doings.tokens[upload] += 1  # what is not acknowledged yet makes it anew
            self._sim.doings.again.add(upload)

    def _make_by_hand(self, _: str) -> None:
        self._hand_made += 1
        upload = f"hand-{self._hand_made}"
        self._sim.doings.tokens[upload] += 1
        if self._random.random() < 0.7:  # noqa: PLR2004
            self._sim.world.know(upload)
        self._make(upload, upload)

    def _make_anew(self, _: str) -> None:
        """As Argo CD does, or from a backup without the status: a resource of before, perhaps cancelled."""
        if not self._hand_made:
            return
        upload = f"hand-{self._random.randint(1, self._hand_made)}"
        name = upload if self._random.random() < 0.7 else f"{upload}-anew"  # noqa: PLR2004
        if name in self._sim.server.resources:
            return
        self._sim.doings.tokens[upload] += 1
        cancelled = {"desiredState": DesiredState.CANCELLED.value}
        self._make(name, upload, **(cancelled if self._random.random() < 0.3 else {}))  # noqa: PLR2004

    def _make(self, name: str, upload: str, **spec: object) -> None:
        resource = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": "uploads", "labels": {}},
            "spec": {"upload": {"id": upload}, **spec},
        }
        self._sim.server.create(PERSON, resource)

    # -- events ---------------------------------------------------------------------------

    def _publish(self, event: str, upload: str, **payload: object) -> None:
        self._sim.journal.publish(event, {"UploadID": upload, **payload})

    def _resume(self, upload: str) -> None:
        self._sim.doings.again.add(upload)
        self._publish("ResumePostprocessing", upload, Step="")

    def _resume_step(self, _: str) -> None:
        names = [plan.name for plan in self._sim.config.steps]
        self._sim.doings.again.update(self._sim.world.sessions)
        self._publish("ResumePostprocessing", "", Step=self._random.choice([*names, "finished"]))

    def _clean(self, upload: str) -> None:
        self._sim.doings.strays.add(upload)
        self._publish("CleanUpload", upload)

    def _announce_same(self, upload: str) -> None:
        self._sim.doings.again.add(upload)
        self._sim.world.announce(upload, fresh=False)

    def _announce_fresh(self, upload: str) -> None:
        self._sim.doings.again.add(upload)
        self._sim.world.announce(upload)

    def _stray_answer(self, upload: str) -> None:
        names = [plan.name for plan in self._sim.config.steps]
        word = self._random.choice(["continue", "retry"])
        step = self._random.choice([*names, "foreign"])
        self._publish("PostprocessingStepFinished", upload, FinishedStep=step, Outcome=word, Result=None)

    def _stray_ready(self, upload: str) -> None:
        self._sim.doings.strays.add(upload)
        self._publish("UploadReady", upload, Failed=self._random.random() < 0.5)  # noqa: PLR2004

    def _unknown(self, _: str) -> None:
        event = self._random.choice(["UploadReady", "CleanUpload", "ResumePostprocessing", "FileUploaded"])
        self._publish(event, "nobody-knows", Step="")

    def _nonsense(self, upload: str) -> None:
        self._publish("PostprocessingStepFinished", upload, FinishedStep=7, Outcome=None)
