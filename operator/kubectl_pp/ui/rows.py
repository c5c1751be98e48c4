"""One upload as a row of the page: ten fields to show, and what is needed to sort, filter and count."""

from kubectl_pp.sanitize import Json
from kubectl_pp.screen import Color, clip, harmless
from kubectl_pp.upload import Stage, Upload, stage_color, stage_icon
from kubectl_pp.words import current

LONG_SECONDS = 300
"""An upload that is in one stage for this long is worth a look, although nothing is wrong yet."""
MAX_RETRIES = 14
"""The default of maxRetries."""
_MAX_WHY = 160
_MAX_FILE = 200
_RETRYING = frozenset({Stage.BACKING_OFF, Stage.RELEASE_BACKING_OFF})
_PATIENT = frozenset({Stage.DELAYING, Stage.SUSPENDED})
"""Stages that last as long as somebody has asked for."""
_NEWS = frozenset({Stage.BACKING_OFF, Stage.HELD})
"""Stages in which the last words of the step say why."""
_TONES = {
    Color.GOOD: "good",
    Color.BUSY: "busy",
    Color.WAITING: "waiting",
    Color.BAD: "bad",
    Color.FAINT: "faint",
}

ATTENTION, RETRYING, LONG, OTHER, ENDED = range(5)
"""How soon a person should look at it; rows are sorted by this first."""

Answer = tuple[str, float, float]
"""A step, when it has answered, and after how many seconds."""


class Row:
    """What the page knows of one upload."""

    __slots__ = (
        *("answers", "completed", "created", "ended", "failed", "fields", "key", "next", "number", "since"),
        *("stage", "stamp", "status", "step", "stuck", "text", "user"),
        *("retries", "unwell"),
    )

    def __init__(self, upload: Upload, number: int) -> None:
        self.number = number
        self.key = upload.key
        self.stage = upload.stage
        self.status = upload.status_word
        self.stuck = upload.stuck
        self.ended = upload.ended and not self.stuck
        self.failed = upload.failed
        self.step = upload.step
        self.unwell = round(upload.unwell_since or 0)
        self.user = harmless(str(upload.file.get("userID", "")))
        self.created = upload.created
        self.since = upload.since
        self.completed = (upload.time("completionTime") or upload.since) if upload.ended else 0.0
        self.next = None if upload.ended else upload.time("nextAttemptTime")
        self.retries = upload.retries
        self.stamp = str(upload.meta.get("resourceVersion", ""))
        self.answers: tuple[Answer, ...] = tuple(
            (step.name, step.finished, step.seconds)
            for step in upload.steps
            if step.finished is not None and step.seconds is not None
        )
        file = clip(harmless(str(upload.file.get("filename", ""))), _MAX_FILE)
        why = "" if self.stage == Stage.RUNNING and not self.stuck else _why(upload)
        self.text = "\n".join((file, upload.name, harmless(upload.id))).lower()
        self.fields: list[object] = [
            upload.namespace,
            upload.name,
            file,
            self.step,
            self.status,
            look(upload),
            round(self.since),
            retries(upload),
            round(self.next) if self.next is not None else None,
            clip(why, _MAX_WHY),
        ]

    def rank(self, now: float, unwell: "frozenset[str]") -> int:
        """ATTENTION to ENDED."""
        if self.stuck:
            return ATTENTION
        if self.ended:
            return ENDED
        if self.stage == Stage.QUEUED and self.step in unwell:
            return ATTENTION
        if self.stage in _RETRYING:
            return RETRYING
        if now - self.since > LONG_SECONDS and self.stage not in _PATIENT:
            return LONG
        return OTHER

    def order(self, now: float, unwell: "frozenset[str]") -> tuple[int, float, int]:
        """Sorts: what needs a person, then the oldest; of what has ended the newest first."""
        rank = self.rank(now, unwell)
        return rank, -self.completed if rank == ENDED else self.since, self.number


def look(upload: Upload) -> str:
    """Shape and tone, as two words: the page has a drawing and a colour for each."""
    stuck = upload.stuck
    icon = stage_icon(upload.stage, stuck=stuck)
    return f"{icon.name.lower()} {_TONES[stage_color(upload.stage, stuck=stuck)]}"


def tone(color: Color) -> str:
    """The word of a colour."""
    return _TONES[color]


def most_retries(upload: Upload, plan: Json) -> int:
    """How many retries a step of that plan has."""
    policy = upload.spec.get("retryPolicy")
    found = plan.get("maxRetries", policy.get("maxRetries") if isinstance(policy, dict) else None)
    return found if isinstance(found, int) else MAX_RETRIES


def retries(upload: Upload) -> str:
    """Those of the upload; where a step has begun to use them up, of how many."""
    step = current(upload)
    if step is None or not step.retries or upload.ended:
        return str(upload.retries)
    return f"{step.retries} of {most_retries(upload, step.plan)}"


def _why(upload: Upload) -> str:
    step = current(upload)
    if step is not None and step.message and upload.stage in _NEWS:
        return step.message
    return upload.message
