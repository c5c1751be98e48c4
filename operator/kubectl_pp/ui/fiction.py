"""One made-up upload, in the form in which the operator would have written it."""

import time
from random import Random
from uuid import UUID

from kubectl_pp.sanitize import Json
from kubectl_pp.upload import GROUP, KIND, VERSION
from uploadpp.core.states import STALLED

STEPS = ("policies", "virusscan", "thumbnail")
"""The last one is new: pictures have it in their plan, and nobody has started a service for it."""
NAMESPACE = "ocis"
STALL_SECONDS = 600.0
_KINDS = ("pdf", "odp", "docx", "mp4", "zip", "csv", "txt", "pptx")
_PICTURES = ("jpg", "png")
_WORDS = (
    *("tax", "slides", "budget", "holiday", "minutes", "offer", "plan", "invoice", "thesis", "contract"),
    *("poster", "roster", "survey", "recipe", "notes", "letter", "photo", "report", "draft", "backup"),
)
_ERRORS = ("clamd:3310: connection refused", "clamd: timeout after 300 s", "download: 502 Bad Gateway")
_TYPICAL = {"policies": 0.2, "virusscan": 2.4, "thumbnail": 1.1}
HOSTILE = (
    '<img src=x onerror="document.title=1">.pdf',
    "invoice\u202efdp.exe",
    "a\x1b]0;x\x07b\x00c\u200bd.txt",
    "\u05d3\u05d5\u05d7 \u05e9\u05e0\u05ea\u05d9 2026.pdf",
    "</script><script>document.title='owned'</script>",
    "javascript:alert(1)//.html",
    "very-" + "long-" * 40 + "name.bin",
)
"""Names that a page must survive."""


class Fiction:
    """One upload and what has happened to it."""

    def __init__(self, random: Random, number: int, created: float, *, picture: bool = False) -> None:
        self.name = str(UUID(int=random.getrandbits(128), version=4))
        self.file = f"{random.choice(_WORDS)}-{number}.{random.choice(_PICTURES if picture else _KINDS)}"
        self.size = int(10 ** random.uniform(3, 8.5))
        self.user = str(UUID(int=random.randrange(1, 13) << 64, version=4))
        self.created = created
        self.state, self.step, self.since = "Running", STEPS[0], created
        self.message, self.next, self.completed, self.outcome = "", 0.0, 0.0, ""
        self.version = 1
        self.plan = STEPS if picture else STEPS[:-1]
        self.steps: dict[str, Json] = {name: {"name": name, "state": "Waiting"} for name in self.plan}
        self.reason = self.stalled = ""

    @classmethod
    def arrived(cls, random: Random, number: int, now: float, *, picture: bool) -> "Fiction":
        """One that has just come."""
        made = cls(random, number, now, picture=picture)
        made.begin(STEPS[0], now)
        return made

    @classmethod
    def ended(cls, random: Random, number: int, now: float) -> "Fiction":
        """One that came and went within the last hour."""
        made = cls(random, number, now - random.uniform(12, 3900))
        at = made.created
        for step in made.plan:
            made.begin(step, at)
            at = min(at + _took(random, step), now - 1)
            made.answer(step, "continue", at)
        made.end("Completed", "continue", at, "all steps passed; the storage released the file")
        if random.random() < 0.03:  # noqa: PLR2004 -- a few
            made.answer("virusscan", "delete", made.since, "Eicar-Test-Signature")
            made.end("Deleted", "delete", at, "step virusscan answered delete: Eicar-Test-Signature")
        return made

    @classmethod
    def in_flight(cls, random: Random, number: int, now: float, slots: int) -> "Fiction":
        """One of those that are there when somebody looks: most are queued, some are in trouble."""
        stalled, thumbnail = number % 40 == 3, number % 9 == 1  # noqa: PLR2004 -- one in forty
        made = cls(random, number, now, picture=stalled or thumbnail)
        if stalled:
            made.stall(random, now - random.uniform(700, 2000))
        elif thumbnail:
            made.pass_until(random, "thumbnail", now - random.uniform(1, 500))
        elif number % 11 == 5:  # noqa: PLR2004 -- one in eleven
            made.pass_until(random, "virusscan", now - random.uniform(1, 40))
            made.back_off(random, now)
        elif number % 80 == 7:  # noqa: PLR2004 -- one in eighty
            made.hold(random, now - random.uniform(900, 5000))
        elif number < slots * 4 and number % 4 == 0:
            made.pass_until(random, "virusscan", now - random.uniform(0.1, 3))
        else:
            made.pass_until(random, "virusscan", now - random.uniform(1, 240))
            made.queue(made.since)
        return made

    @classmethod
    def hostile(cls, number: int, file: str, now: float) -> "Fiction":
        """One with a name that is an attack, or only unusual."""
        made = cls(Random(number), number, now - 30)  # noqa: S311 -- made up
        made.file = file
        made.pass_until(Random(number), "virusscan", now - 20)  # noqa: S311 -- made up
        made.queue(now - 20)
        return made

    def pass_until(self, random: Random, last: str, at: float) -> None:
        """Arrive, pass the steps before one, and begin that one at a moment."""
        took = [(step, _took(random, step)) for step in STEPS[: STEPS.index(last)]]
        self.created = begun = at - sum(seconds for _, seconds in took) - 0.1
        for step, seconds in took:
            self.begin(step, begun)
            begun += seconds
            self.answer(step, "continue", begun)
        self.begin(last, at)

    def queue(self, at: float) -> None:
        """All slots of the scanner are taken."""
        self.steps["virusscan"] = {
            **{key: value for key, value in self.steps["virusscan"].items() if key == "retries"},
            "name": "virusscan",
            "state": "Waiting",
        }
        self.step, self.state, self.since, self.next = "virusscan", "Queued", at, 0.0
        self.message = "waiting for a slot at step virusscan"
        self.version += 1

    def begin(self, step: str, at: float) -> None:
        """A step starts."""
        known = self.steps[step]
        retries = int(known.get("retries", 0))
        more = {"retries": retries} if retries else {}
        begun = {"name": step, "state": "Running", "attempts": retries + 1, "startTime": iso(at), **more}
        self.steps[step] = begun
        self.step, self.state, self.since, self.next, self.message = step, "Running", at, 0.0, ""
        self.version += 1

    def answer(self, step: str, outcome: str, at: float, message: str = "") -> None:
        """A step answers."""
        state = "Succeeded" if outcome == "continue" else "Failed"
        self.steps[step] |= {"state": state, "outcome": outcome, "finishTime": iso(at)}
        if outcome == "delete":
            self.steps[step] |= {"reason": "Rejected", "message": message}
        self.since = at
        self.version += 1

    def end(self, state: str, outcome: str, at: float, message: str) -> None:
        """The storage has confirmed."""
        self.state, self.step, self.outcome, self.message = state, "", outcome, message
        self.completed = self.since = at
        self.version += 1

    def stall(self, random: Random, at: float) -> None:
        """Nobody answers for the thumbnail."""
        if self.step != "thumbnail":
            self.pass_until(random, "thumbnail", at)
        self.stalled, self.reason = "NoAnswerFromStep", STALLED
        self.message = (
            "step thumbnail has not answered for 600 s; is a service for it running? "
            "resume starts the step again"
        )

    def hold(self, random: Random, at: float) -> None:
        """No retry is left."""
        self.pass_until(random, "virusscan", at - 0.4)
        self.steps["virusscan"] |= {
            "state": "Held",
            "outcome": "retry",
            "reason": "RetriesExhausted",
            "attempts": 15,
            "retries": 14,
            "message": _ERRORS[0],
            "finishTime": iso(at),
        }
        self.state, self.since = "Held", at
        self.message = (
            f"step virusscan has no retries left: {_ERRORS[0]}; resume, restart or cancel the upload"
        )

    def back_off(self, random: Random, now: float) -> None:
        """The scanner was not reached."""
        known = int(self.steps["virusscan"].get("retries", 0))
        attempts, error = known + 1 if known else random.randrange(1, 4), random.choice(_ERRORS)
        at = min(self.since + random.uniform(0.1, 2), now)
        self.steps["virusscan"] |= {
            "state": "BackingOff",
            "outcome": "retry",
            "message": error,
            "attempts": attempts,
            "retries": attempts,
            "finishTime": iso(at),
        }
        self.state, self.since, self.next = "BackingOff", at, now + random.uniform(10, 200)
        self.message = f"step virusscan failed: {error}; the operator retries it automatically"
        self.version += 1

    def advance(self, random: Random, now: float) -> bool:
        """Let what is due happen; whether anything has."""
        if self.stalled or self.completed or self.state in {"Held", "Queued"}:
            return False
        if self.state == "BackingOff":
            if now < self.next:
                return False
            self.queue(now)
        elif self.step == "thumbnail":
            if now - self.since < STALL_SECONDS:
                return False
            self.stall(random, self.since)
        elif self.step == "policies":
            self.answer("policies", "continue", min(self.since + _took(random, "policies"), now))
            self.queue(now)
        elif random.random() < 0.12:  # noqa: PLR2004 -- one in eight
            self.back_off(random, now)
        else:
            self.answer("virusscan", "continue", now)
            if "thumbnail" in self.plan:
                self.begin("thumbnail", now)
            else:
                self.end("Completed", "continue", now, "all steps passed; the storage released the file")
        self.version += 1
        return True

    def resource(self) -> Json:
        """As the API server would have it."""
        ended = bool(self.completed)
        succeeded = "True" if self.state == "Completed" else "False" if ended else "Unknown"
        message = self.message if self.stalled or ended else ""
        conditions = [
            _condition("Succeeded", succeeded, self.reason or self.state, self.since, message),
            _condition("Finished", str(ended), "Ended" if ended else "InProgress", self.since),
        ]
        if self.stalled:
            conditions.append(_condition(STALLED, "True", self.stalled, self.since + STALL_SECONDS, message))
        passed = sum(1 for step in self.steps.values() if step["state"] in {"Succeeded", "Skipped"})
        retries = sum(int(step.get("retries", 0)) for step in self.steps.values())
        status: Json = {
            "observedGeneration": 1,
            "conditions": conditions,
            "currentStep": self.step,
            "progress": f"{passed}/{len(self.plan)}",
            "stageTime": iso(self.since),
            "startTime": iso(self.created),
            "run": 1,
            "retryCount": retries,
            "steps": list(self.steps.values()),
            "message": self.message,
        }
        if self.next:
            status["nextAttemptTime"] = iso(self.next)
        if ended:
            status |= {"completionTime": iso(self.completed), "outcome": self.outcome}
            status["expirationTime"] = iso(self.completed + 86400)
        upload = {
            "id": self.name,
            "receivedTime": iso(self.created),
            "filesize": self.size,
            "filename": self.file,
            "userID": self.user,
            "spaceID": self.user,
        }
        meta = {
            "name": self.name,
            "namespace": NAMESPACE,
            "uid": self.name,
            "resourceVersion": str(self.version),
            "generation": 1,
            "creationTimestamp": iso(self.created)[:19] + "Z",
        }
        plan = [{"name": step, **({"maxInFlight": 8} if step == "virusscan" else {})} for step in self.plan]
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": meta,
            "spec": {"upload": upload, "steps": plan},
            "status": status,
        }

    def events(self, kind: str) -> list[Json]:
        """What the operator would have said."""
        told: list[tuple[float, str, str, str]] = [
            (self.created, "Normal", "Received", "the upload has arrived")
        ]
        for step in self.steps.values():
            if step.get("retries"):
                at = _seconds(step["finishTime"])
                text = f"step {step['name']} failed: {step.get('message', '')}"
                told.append((at, "Warning", "StepRetried", text))
        if self.stalled:
            told.append((self.since + STALL_SECONDS, "Warning", "Stalled", self.message))
        if self.completed:
            told.append((self.completed, "Normal", self.state, self.message))
        about = {"kind": kind, "name": self.name, "namespace": NAMESPACE}
        return [
            {
                "type": word,
                "reason": reason,
                "message": text,
                "lastTimestamp": iso(at),
                "involvedObject": about,
            }
            for at, word, reason, text in told
        ]


def iso(at: float) -> str:
    """A moment as the API server writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03}Z"


def _seconds(text: str) -> float:
    from kubectl_pp.times import parse_time  # noqa: PLC0415 -- for a page that is open only

    return parse_time(text) or 0.0


def _took(random: Random, step: str) -> float:
    return float(_TYPICAL[step] * random.lognormvariate(0, 0.7))


def _condition(kind: str, status: str, reason: str, at: float, message: str = "") -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": iso(at),
        "observedGeneration": 1,
    }
