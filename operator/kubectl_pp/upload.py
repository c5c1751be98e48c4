"""A resource as the verbs see it; reads what is there and never stumbles over what is not."""

from __future__ import annotations

from kubectl_pp.sanitize import Json, sanitized_spec, sanitized_status
from kubectl_pp.screen import Color, Icon, harmless
from kubectl_pp.times import parse_time
from uploadpp.core.naming import VOID_ANNOTATION, resource_name
from uploadpp.core.states import (
    ENDED,
    STALLED,
    STALLED_STAGES,
    UNSERVED,
    DesiredState,
    Outcome,
    Stage,
    StepReason,
    StepState,
)

GROUP = "uploadpp.io"
VERSION = "v1alpha1"
PLURAL = "uploadpostprocessings"
KIND = "UploadPostprocessing"
BASE = f"/apis/{GROUP}/{VERSION}"
QUALIFIED = f"uploadpostprocessing.{GROUP}"
VIRUS_STEP = "virusscan"
FINISHED = "finished"
"""The current step of an upload that waits for the storage."""

SUCCEEDED = "Succeeded"
LEFT_ALONE = "LeftAlone"
"""The state of a resource that is not the one of its upload."""

__all__ = ["ENDED", "DesiredState", "Outcome", "Stage", "StepReason", "StepState", "Upload", "resource_name"]

_CEILING = 6
"""Which word of "3 slots now, between 2 and 40, ..." is the ceiling."""
_ENDED = frozenset(str(stage) for stage in ENDED)  # the server may know stages we do not
_SILENT = {str(reason): stage for reason, stage in STALLED_STAGES.items()}


def collection(namespace: str | None) -> str:
    """The path of the uploads of a namespace, or of all."""
    return f"{BASE}/{PLURAL}" if namespace is None else f"{BASE}/namespaces/{namespace}/{PLURAL}"


class Step:
    """One step: what the plan says and what has happened."""

    def __init__(self, plan: Json, status: Json) -> None:
        self.plan = plan
        self.name: str = status.get("name") or harmless(str(plan.get("name", "?")))
        self.state: str = status.get("state", StepState.WAITING)
        self.attempts: int = status.get("attempts", 0)
        self.retries: int = status.get("retries", 0)
        self.outcome: str = status.get("outcome", "")
        self.reason: str = status.get("reason", "")
        self.message: str = status.get("message", "")
        self.started = parse_time(status.get("startTime"))
        self.finished = parse_time(status.get("finishTime"))
        self.open_since = parse_time((status.get("streak") or {}).get("openTime"))
        """Since when its breaker is open, if the upload has failed there since."""

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took."""
        if self.started is None or self.finished is None:
            return None
        return self.finished - self.started


class Upload:
    """One UploadPostprocessing."""

    def __init__(self, raw: Json) -> None:
        self.raw = raw
        meta = raw.get("metadata")
        self.meta: Json = meta if isinstance(meta, dict) else {}
        self.meta.pop("managedFields", None)  # kubectl hides them as well
        self.spec: Json = sanitized_spec(raw.get("spec"))
        self.status: Json = sanitized_status(raw.get("status"))
        self.file: Json = self.spec.get("upload", {})
        self.name = str(self.meta.get("name", ""))
        self.namespace = str(self.meta.get("namespace", ""))

    @property
    def id(self) -> str:
        """The upload's id in the storage."""
        return str(self.file.get("id", ""))

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def left_alone(self) -> str:
        """Why the operator never does anything with this resource, as it has noted there; empty otherwise."""
        annotations = self.meta.get("annotations")
        why = annotations.get(VOID_ANNOTATION) if isinstance(annotations, dict) else None
        goes_on = self.name == resource_name(self.id) and (self.status or self.spec.get("sealed"))
        return harmless(str(why)) if why and not goes_on else ""

    @property
    def stage(self) -> str:
        """The reason of Succeeded, or what that of Stalled says; Pending before the operator wrote any."""
        if self.left_alone:
            return LEFT_ALONE
        reason = str(self.condition(SUCCEEDED).get("reason", Stage.PENDING))
        silent = self.condition(STALLED).get("reason") if reason == STALLED else None
        return str(_SILENT.get(str(silent), reason))

    @property
    def status_word(self) -> str:
        """What the column STATUS shows; the server knows no `LeftAlone`."""
        if self.left_alone:
            return LEFT_ALONE
        shown = self.condition(UNSERVED if self.unserved else SUCCEEDED)
        return str(shown.get("reason", Stage.PENDING))

    @property
    def unserved(self) -> bool:
        """Whether no service listens for its step."""
        return not self.left_alone and self.condition(UNSERVED).get("status") == "True"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens unless a person asks for it."""
        over = self.stage in _ENDED or self.condition("Finished").get("status") == "True"
        return over or bool(self.left_alone)

    @property
    def succeeded(self) -> bool:
        """Whether the file was released."""
        return not self.left_alone and self.condition(SUCCEEDED).get("status") == "True"

    @property
    def failed(self) -> bool:
        """Whether it ended without success."""
        return self.ended and not self.succeeded

    @property
    def stuck(self) -> bool:
        """Whether somebody does not answer, or a person has to decide."""
        if self.left_alone:
            return False
        stalled = self.condition(STALLED).get("status") == "True"
        return stalled or self.stage == Stage.HELD or self.unserved

    @property
    def step(self) -> str:
        """The current step, `finished` while the storage is awaited, empty before and after."""
        return str(self.status.get("currentStep", ""))

    @property
    def outcome(self) -> str:
        """What the storage was told."""
        return str(self.status.get("outcome", ""))

    @property
    def retries(self) -> int:
        """Retries of all steps in this run."""
        return int(self.status.get("retryCount", 0))

    @property
    def desired(self) -> str:
        """What a person wants of it."""
        return str(self.spec.get("desiredState", DesiredState.ACTIVE))

    @property
    def message(self) -> str:
        """What is out of the ordinary, or else what it waits for."""
        if self.left_alone:
            return f"this resource is left alone: {self.left_alone}"
        shown = self.condition(UNSERVED if self.unserved else SUCCEEDED)
        return str(self.status.get("message") or shown.get("message", ""))

    @property
    def refusal(self) -> str:
        """Why a request was refused; empty when it was not."""
        text = self.message
        return text.removeprefix("restart refused: ") if text.startswith("restart refused: ") else ""

    @property
    def observed_token(self) -> str:
        """The last request in spec.restart that the operator has acted on."""
        return str(self.status.get("observedToken", ""))

    @property
    def created(self) -> float:
        """When the resource was made."""
        return parse_time(self.meta.get("creationTimestamp")) or 0.0

    @property
    def newest(self) -> tuple[float, float]:
        """Sorts by age; creation times have whole seconds only."""
        return self.created, parse_time(self.file.get("receivedTime")) or 0.0

    @property
    def since(self) -> float:
        """Since when it stands where it stands."""
        return self.time("stageTime") or self.created

    @property
    def steps(self) -> list[Step]:
        """All steps, those not reached too."""
        plan: list[Json] = self.spec.get("steps") or []
        status: list[Json] = self.status.get("steps") or []
        if not status:
            return [Step(each, {}) for each in plan]
        plans = {each.get("name"): each for each in plan}
        return [Step(plans.get(each.get("name"), {}), each) for each in status]

    @property
    def unwell_since(self) -> float | None:
        """Since when the breaker of its step is open, as far as this upload tells."""
        if self.ended:
            return None
        return next((step.open_since for step in self.steps if step.name == self.step), None)

    @property
    def slots(self) -> tuple[int, int, int] | None:
        """Slots, floor and ceiling of an adaptive limit, as they were when the upload was queued."""
        words = self.message.split(maxsplit=7)
        if self.stage != Stage.QUEUED or words[2:6:3] != ["now,", "and"] or len(words) <= _CEILING:
            return None
        numbers = words[0], words[4], words[_CEILING].rstrip(",")
        if not all(each.isascii() and each.isdecimal() for each in numbers):
            return None
        slots, floor, ceiling = map(int, (each[:9] for each in numbers))
        return slots, floor, ceiling

    @property
    def virus(self) -> Step | None:
        """The virusscan that rejected the file, if one did."""
        found = (s for s in self.steps if s.name == VIRUS_STEP and s.reason == StepReason.REJECTED)
        return next(found, None)

    def condition(self, kind: str) -> Json:
        """A condition; empty where it is absent."""
        conditions: list[Json] = self.status.get("conditions") or []
        return next((c for c in conditions if c.get("type") == kind), {})

    def time(self, field: str) -> float | None:
        """A time of the status."""
        return parse_time(self.status.get(field))

    def path(self) -> str:
        """Where the API server has it."""
        return f"{collection(self.namespace)}/{self.name}"


_COLORS: dict[str, Color] = {
    Stage.RUNNING: Color.BUSY,
    Stage.DELAYING: Color.BUSY,
    Stage.AWAITING_READY: Color.BUSY,
    Stage.BACKING_OFF: Color.WAITING,
    Stage.RELEASE_BACKING_OFF: Color.WAITING,
    Stage.AWAITING_URL: Color.WAITING,
    Stage.QUEUED: Color.WAITING,
    Stage.AWAITING_TURN: Color.WAITING,
    Stage.SUSPENDED: Color.WAITING,
    Stage.PENDING: Color.FAINT,
    Stage.COMPLETED: Color.GOOD,
    Stage.CANCELLED: Color.FAINT,
    Stage.CLEANED: Color.FAINT,
    Stage.GONE: Color.FAINT,
    LEFT_ALONE: Color.FAINT,
}
_ICONS: dict[str, Icon] = {
    Color.GOOD: Icon.DONE,
    Color.BUSY: Icon.RUNNING,
    Color.WAITING: Icon.RETRYING,
    Color.FAINT: Icon.SKIPPED,
    Color.BAD: Icon.FAILED,
}
STEP_LOOKS: dict[str, tuple[Icon, Color]] = {
    StepState.WAITING: (Icon.WAITING, Color.FAINT),
    StepState.RUNNING: (Icon.RUNNING, Color.BUSY),
    StepState.BACKING_OFF: (Icon.RETRYING, Color.WAITING),
    StepState.HELD: (Icon.HELD, Color.BAD),
    StepState.SUCCEEDED: (Icon.DONE, Color.GOOD),
    StepState.FAILED: (Icon.FAILED, Color.BAD),
    StepState.SKIPPED: (Icon.SKIPPED, Color.FAINT),
}


def stage_color(stage: str, *, stuck: bool = False) -> Color:
    """The colour of a stage; whatever needs a person is bad."""
    return Color.BAD if stuck else _COLORS.get(stage, Color.BAD)


def stage_icon(stage: str, *, stuck: bool = False) -> Icon:
    """The icon of a stage."""
    if stage in (Stage.HELD, Stage.SUSPENDED):
        return Icon.HELD
    if stage in (Stage.PENDING, Stage.QUEUED, Stage.AWAITING_TURN):
        return Icon.WAITING
    if stuck:
        return Icon.HELD
    return _ICONS[stage_color(stage)]
