"""The behaviour of an upload, told a second time and differently: for comparison, not for use.

Written from the prose of the architecture's table. Where the core keeps a state and moves it,
this model keeps nothing but the list of what has happened, and reads every answer out of it.
Times are seconds. It knows one policy for all steps, and nothing of URLs that expire.
"""

from dataclasses import dataclass, field

UNHEARD = {"Gone", "Unanswered"}
RELEASING = {"AwaitingReady", "ReleaseBackOff", "UploadFailed"}
IN_STEP = {"Queued", "Running", "Delaying", "BackingOff", "Held", "Suspended", "AwaitingTurn"}
ASIDE = {"asked", "renewed", "stalled", "passed", "timeout", "heard"}
"""Facts after which an upload stands where it stood before."""


@dataclass(frozen=True)
class Fact:
    """Something that happened."""

    what: str
    at: int
    step: str = ""
    word: str = ""


@dataclass
class Book:
    """Everything that has happened to one upload, oldest first."""

    steps: list[str]
    max_retries: int
    on_exhausted: str
    timeout: int
    backoff: int = 5
    limited: frozenset[str] = frozenset()
    delay: int = 60
    ready_after: int = 600
    unanswered_after: int = 86_400
    resends: int = 2
    releases: int = 2
    release_backoff: int = 30
    order_timeout: int = 600
    follows: bool = False
    rule: str = ""
    """What a policy does with it when it arrives: run, skip or hold."""
    has_been_over: bool = False
    facts: list[Fact] = field(default_factory=list)
    url: str = ""
    suspended: bool = False
    cancelled: bool = False
    cancel_word: str = "abort"
    token: str = ""

    # -- reading the book --------------------------------------------------------------------

    def run(self) -> list[Fact]:
        """The facts since the present run began."""
        begins = [i for i, fact in enumerate(self.facts) if fact.what == "run"]
        return self.facts[begins[-1] :]

    def of(self, what: str, step: str = "", word: str = "") -> list[Fact]:
        """The facts of the present run that look like this."""
        found = [fact for fact in self.run() if fact.what == what]
        return [f for f in found if step in {"", f.step} and word in {"", f.word}]

    def last(self) -> Fact:
        """The newest fact that says where the upload stands."""
        return [fact for fact in self.run() if fact.what not in ASIDE][-1]

    def since(self, what: str, facts: list[Fact]) -> list[Fact]:
        """Those of the facts that came after the last of a sort."""
        marks = [i for i, fact in enumerate(self.facts) if fact.what == what]
        return [fact for fact in facts if not marks or self.facts.index(fact) > marks[-1]]

    def current(self) -> str:
        """The first step that is not over."""
        begin = self.run()[0].step
        left = self.steps[self.steps.index(begin) :] if begin else self.steps
        done = self.of("answer", word="continue") + self.of("heard")
        over = {fact.step for fact in done + self.of("passed")}
        return next((step for step in left if step not in over), "")

    def order_word(self) -> str:
        """What the storage was told last in this run."""
        return (["", *(fact.word for fact in self.of("order"))])[-1]

    def retries(self, step: str) -> int:
        """How often the step was tried again since somebody renewed its budget."""
        last = max([i for i, f in enumerate(self.run()) if f.what == "renewed" and f.step == step], default=0)
        return len(
            [f for f in self.run()[last:] if f.what == "answer" and f.step == step and f.word == "retry"]
        )

    def failures(self) -> int:
        """How often the storage failed to release the file since somebody asked it to."""
        last = max([i for i, f in enumerate(self.run()) if f.what == "asked"], default=0)
        return len([f for f in self.run()[last:] if f.what == "ready" and f.word == "failed"])

    def status(self) -> str:
        """Where the upload stands, in the word that people see."""
        last = self.last()
        if last.what == "start":
            return "Delaying" if last.step == "delay" else "Running"
        if last.what == "gone":
            return last.word
        if last.what == "ready" and last.word == "failed" and self.order_word() == "continue":
            return "UploadFailed" if self.failures() > self.releases else "ReleaseBackOff"
        if last.what == "ready":
            return "Completed" if last.word == "ok" else last.step
        waits = {
            "answer": "BackingOff",
            "wait": "Suspended",
            "queue": "Queued",
            "hold": "Held",
            "kept": "Held",
            "line": "AwaitingTurn",
        }
        return {**waits, "order": "AwaitingReady"}[last.what]

    def _verdict(self) -> str:
        order = self.of("order")[-1]
        uncut = order.step == "CancelledBetween"
        if uncut and self.cancelled:
            return "Cancelled"
        return ("" if uncut else order.step) or {"abort": "Aborted", "delete": "Deleted"}[order.word]

    def shown_step(self) -> str:
        """`currentStep` as people see it."""
        status = self.status()
        if self.is_kept():
            return ""
        if status in RELEASING or (status == "Unanswered" and self.order_word()):
            return "finished"
        return (self.current() or "finished") if status in IN_STEP else ""

    def is_kept(self) -> bool:
        """Whether a policy holds it, and nobody has let it go."""
        return self.last().what == "kept"

    # -- writing the book; each answers with what goes out ------------------------------------

    def note(self, what: str, at: int, step: str = "", word: str = "") -> None:
        """One more fact."""
        begun = bool(self.facts) and self.facts[-1].what != "run"
        if begun and self.status() not in IN_STEP | {"AwaitingReady", "ReleaseBackOff"}:
            self.has_been_over = True
        self.facts.append(Fact(what, at, step, word))

    def begin(self, at: int, step: str = "") -> list[str]:
        """A new run."""
        self.note("run", at, step)
        return self.go_on(at)

    def keep(self, at: int) -> list[str]:
        """A policy wants a person to decide."""
        self.note("run", at)
        self.note("kept", at)
        return []

    def go_on(self, at: int, *, placed: bool = False) -> list[str]:
        """Do what is due: the current step once there is a place, or the release; nothing while suspended."""
        step = self.current()
        if self.suspended:
            self.note("wait", at)
        elif step in self.limited and not placed:
            self.note("queue", at, step)
        elif step:
            self.note("start", at, step)
            return [f"start {step} {len(self.of('start', step))}"]
        elif self.follows and not self.has_been_over:
            self.note("line", at)
        else:
            return self.order("continue", "", at)
        return []

    def order(self, word: str, why: str, at: int) -> list[str]:
        """Tell the storage the outcome."""
        self.note("order", at, why, word)
        return [f"finish {word} {len(self.of('order'))}"]

    def fail(self, why: str, at: int) -> list[str]:
        """The current step wants to be tried again."""
        step = self.current()
        if why == "StepTimedOut":
            self.note("timeout", at, step)
        if self.retries(step) < self.max_retries:
            self.note("answer", at, step, "retry")
            return [f"retry {step} {len(self.of('start', step))}"]
        if self.on_exhausted == "hold":
            self.note("hold", at, step)
            return []
        if self.on_exhausted == "continue":
            self.note("passed", at, step)
            return self.go_on(at)
        return self.order(self.on_exhausted, why, at)

    def fails_while_open(self, at: int) -> list[str]:
        """The current step wants to be tried again, and its breaker is open: that takes no retry."""
        step, number = self.current(), len(self.of("start", self.current()))
        if self.suspended:
            self.note("wait", at)
        else:
            self.note("queue", at, step)
        return [f"retry {step} {number}"]

    def arrives(self, url: str, at: int) -> list[str]:
        """BytesReceived."""
        if not self.facts:
            self.url = url
            return self.keep(at) if self.rule == "hold" else self.begin(at)
        if self.is_kept():
            self.url = url
            return []
        refused = self.cancelled or self.order_word() in {"abort", "delete"} or self.status() == "Completed"
        known, self.url = url == self.url, url
        if known or (refused and not (self.status() == "Cleaned" and not self.cancelled)):
            return []
        undecided = self.status() == "Cleaned" and self.of("kept") and not self.of("order")
        return self.keep(at) if undecided else self.begin(at)

    def answers(self, step: str, word: str, at: int) -> list[str]:
        """StepFinished."""
        if self.status() != "Running" or step != self.current():
            return self.answers_late(step, word, at) if self.is_late(step) else []
        if word in {"abort", "delete"}:
            return self.order(word, "", at)
        if word != "continue":
            return self.fail("RetriesExhausted", at)
        self.note("answer", at, step, "continue")
        return self.go_on(at)

    def is_late(self, step: str) -> bool:
        """Whether the last thing that a step of the present run did was not to answer in time."""
        facts = [f.what for f in self.run() if f.step == step and f.what in {"start", "timeout", "heard"}]
        known = step == self.current() or any(fact.step == step for fact in self.of("passed"))
        return self.status() in IN_STEP and known and facts[-1:] == ["timeout"]

    def answers_late(self, step: str, word: str, at: int) -> list[str]:
        """StepFinished of a step that was slow: what it found counts, that it failed is known."""
        if word in {"abort", "delete"}:
            return self.order(word, "", at)
        if word != "continue":
            return []
        if step == self.current():
            self.note("answer", at, step, "continue")
            return self.go_on(at)
        self.note("heard", at, step)
        return []

    def ready(self, word: str, at: int) -> list[str]:
        """UploadReady."""
        status = self.status()
        if word != "ok" and not any(fact.what in {"start", "order"} for fact in self.facts):
            return []  # an answer to nothing: we have not said a word yet
        early = status == "Gone" and not self.order_word()
        if (early or status in IN_STEP | {"ReleaseBackOff", "UploadFailed"}) and word == "ok":
            self.note("gone", at, word="Completed")
        elif status == "AwaitingReady" or (status in UNHEARD and self.order_word()):
            ends = word == "failed" and self.order_word() != "continue"
            self.note("ready", at, self._verdict() if ends else "", word)  # a later edit changes no ending
            if word == "failed" and self.order_word() == "continue" and self.cancelled:
                return self.order(self.cancel_word, self._cut(), at)
        return []

    def cleaned(self, at: int) -> list[str]:
        """CleanUpload."""
        if self.status() in IN_STEP | {"AwaitingReady", "ReleaseBackOff"}:
            self.note("gone", at, word="Cleaned")
        return []

    def missing(self, at: int, *, lasting: bool) -> list[str]:
        """The storage says that it does not have the upload."""
        if lasting and self.status() in {"Running", "BackingOff", "AwaitingReady"}:
            self.note("gone", at, word="Gone")
        return []

    def may_resume(self) -> bool:
        """Whether there is anything to do again."""
        if self.status() in UNHEARD and self.cancelled:
            return False
        if self.status() in RELEASING | UNHEARD:
            return self.order_word() != "abort"
        return self.status() in IN_STEP - {"Queued", "AwaitingTurn"} and not self.suspended

    def resumed(self, step: str, at: int, *, folds: bool = True) -> list[str]:
        """ResumePostprocessing; one for a step means nothing to what has only just been started or told."""
        if folds and step and self.status() in {"Running", "AwaitingReady"} and self.last().at == at:
            return []
        if step not in {"", self.shown_step()} or not self.may_resume():
            return []
        if self.is_kept() or (self.status() == "Gone" and not self.order_word()):
            return self.begin(at)
        if self.status() in RELEASING | UNHEARD:
            self.note("asked", at)
            return self.order(self.order_word(), self._why(), at)
        if self.status() == "Held":
            self.note("renewed", at, self.current())
        return self.go_on(at)

    def _why(self) -> str:
        return self.of("order")[-1].step

    def desires(self, word: str, at: int, cancel_word: str = "abort") -> list[str]:
        """`spec.desiredState`."""
        self.suspended, self.cancelled = word == "Suspended", word == "Cancelled"
        self.cancel_word = cancel_word
        unanswered = self.status() == "AwaitingReady" and self.since("order", self.of("stalled"))
        if self.cancelled and unanswered:
            self.note("gone", at, word="Cancelled")
            return []
        if self.cancelled and self.status() in IN_STEP | {"ReleaseBackOff", "UploadFailed"}:
            return self.order(cancel_word, self._cut(), at)
        if (word, self.status()) in {
            ("Active", "Suspended"),
            ("Suspended", "Queued"),
            ("Suspended", "AwaitingTurn"),
        }:
            return self.go_on(at)
        return []

    def looked_at(self, at: int) -> None:
        """The same spec again: only a cancel that came too early for a stalled release is carried out now."""
        unanswered = self.status() == "AwaitingReady" and self.since("order", self.of("stalled"))
        if self.cancelled and unanswered:
            self.note("gone", at, word="Cancelled")

    def _cut(self) -> str:
        """Why the storage is told so: a step that was cut short says it for good."""
        return "Cancelled" if self.current() and not self.is_kept() else "CancelledBetween"

    def granted(self, at: int) -> list[str]:
        """A place is free, and it is this upload's turn."""
        return self.go_on(at, placed=True) if self.status() == "Queued" else []

    def comes_after(self) -> None:
        """An earlier upload of the same file is seen."""
        if self.status() in IN_STEP and not self.has_been_over:
            self.follows = True

    def first_in_line(self, at: int) -> list[str]:
        """No earlier upload of the same file is under way."""
        return self.order("continue", "", at) if self.status() == "AwaitingTurn" else []

    def restarted(self, mode: str, token: str, step: str, at: int) -> list[str]:
        """`spec.restart` with a new token, and `desiredState` Active in the same change."""
        self.suspended = self.cancelled = False
        lost = self.status() in {"Cleaned", "Completed"} or self.order_word() in {"abort", "delete"}
        if step in {"", *self.steps}:
            if mode == "Resume" and self.may_resume():
                return self.resumed("", at, folds=False)
            elsewhere = self.status() == "Suspended" and step not in {"", self.shown_step()}
            if mode == "ResumeStep" and (step or self.shown_step()) and not elsewhere:
                return [f"resume {token} 1", *self.resumed(step or self.shown_step(), at, folds=False)]
            if mode == "ForceRestart" or (mode == "Restart" and not lost):
                return self.begin(at, step)
        return self.go_on(at) if self.status() == "Suspended" else []

    def passes(self, at: int) -> list[str]:
        """Some time has passed: whatever is due happens, one thing after another."""
        sent: list[str] = []
        while (due := self._due()) is not None and due <= at:
            sent += self._ring(at)
        return sent

    def _due(self) -> int | None:
        begun, status = self.last().at, self.status()
        tries, failed = self.retries(self.current()), self.failures()
        waits = {
            "Running": self.timeout or None,
            "Delaying": self.delay,
            "BackingOff": self.backoff * 2 ** max(tries - 1, 0),
            "ReleaseBackOff": self.release_backoff * 2 ** max(failed - 1, 0),
            "AwaitingReady": self.ready_after,
            "AwaitingTurn": self.order_timeout,
        }
        if status == "AwaitingReady" and (reports := self.since("order", self.of("stalled"))):
            return reports[-1].at + self.unanswered_after
        wait = waits.get(status)
        return None if wait is None else begun + wait

    def _ring(self, at: int) -> list[str]:
        status, word = self.status(), self.order_word()
        if status == "Running":
            return self.fail("StepTimedOut", at)
        if status == "AwaitingTurn":
            return self.order("continue", "", at)
        if status == "AwaitingReady" and self.since("order", self.of("stalled")):
            self.note("gone", at, word="Unanswered")
            return []
        if status == "AwaitingReady" and (
            word == "abort" or len(self.of("order")) - 1 - self.failures() >= self.resends
        ):
            self.note("stalled", at)
            return []
        if status in RELEASING:
            return self.order(word, self._why(), at)
        if status == "Delaying":
            self.note("answer", at, "delay", "continue")
        return self.go_on(at)
