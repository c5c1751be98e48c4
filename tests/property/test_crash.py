"""Killed anywhere, the log tells the same story again, and nothing goes out a second time (invariant 2.3)."""

import os
from dataclasses import dataclass

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.property.invariants import dateless
from uploadpp.core.breaker import Breaker
from uploadpp.core.commands import Command, Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.decision import AnyDecision, UnknownDecision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import (
    BytesReceived,
    CleanUpload,
    Follows,
    Foremost,
    Granted,
    Input,
    Published,
    Resume,
    SpecChanged,
    StepFinished,
    Tick,
    UploadReady,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, PolicyRef, RestartRequest, StepPlan, Streak, Upload
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.replay import Position, apply, wanted
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import CancelPolicy, DesiredState, OnExhausted, OnTooLarge, RestartMode, Stage
from uploadpp.testing.builders import (
    FRESH_URL,
    NOT_FROM_THE_LOG,
    SECOND,
    START,
    STREAM,
    UPLOAD_ID,
    URL,
    UploadScenario,
    arrival,
)

EXAMPLES = int(os.environ.get("EXAMPLES", "300"))
LIFE = Millis(1_000_000)
"""How long a URL lives: some expire on the way."""


@dataclass(frozen=True)
class Entry:
    """One message of the log."""

    event: Input
    at: Position
    now: Millis
    id: str
    """That of the command, when it is one of ours."""


@dataclass(frozen=True)
class Moment:
    """The upload after something has happened; `length` is how much of the log there was."""

    upload: Upload
    length: int
    silent: bool
    """Whether a timer or a person changed the upload without publishing anything."""


class Life(UploadScenario):
    """A story that writes the log down, and every moment at which the state may be stored."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.log: list[Entry] = []
        self.moments: list[Moment] = []
        self.last: AnyDecision = UnknownDecision()
        self._id = ""
        self.streak: Streak | None = None

    def tell(self, event: Input, *, after: Millis = SECOND) -> AnyDecision:
        """Something happens."""
        event = self._with_streak(event, Millis(self.now + after))
        decision = super().tell(event, after=after)
        told = isinstance(event, NOT_FROM_THE_LOG)
        if self.state is not None:
            silent = told and decision.ignored is None and not decision.commands
            self.moments.append(Moment(self.upload, len(self.log), silent))
        return decision

    def _with_streak(self, event: Input, now: Millis) -> Input:
        """The event as the pipeline would hand it over; the other uploads at the step are well."""
        upload, self.streak = self.state, None
        if not isinstance(event, StepFinished | Tick) or upload is None or upload.stage is not Stage.RUNNING:
            return event
        if upload.current_step in self.config.breaker_after:
            own = upload.step.streak
            self.streak = Breaker(self.config.breaker_after[upload.current_step], own).failure(own, now)
        return evolve(event, streak=self.streak)

    def _take(self, decision: AnyDecision) -> None:
        self.last = decision
        super()._take(decision)

    def read_own_event(self, command: Command) -> AnyDecision:
        """One of our commands comes back."""
        self._id = command.mark.event_id(UPLOAD_ID)
        return super().read_own_event(command)

    def _apply(self, event: Input) -> AnyDecision:
        at = Position(STREAM, self.sequence)
        if isinstance(event, Published):
            event = evolve(event, streak=self.streak)
        self.log.append(Entry(event, at, self.now, self._id))
        self._id = ""
        return super()._apply(event)


@dataclass
class Replay:
    """What a new owner makes of the log: a state, and commands that nobody has published."""

    config: Config
    upload: Upload | None
    held: dict[str, Command]

    def read(self, log: list[Entry]) -> None:
        """Read the log; commands met in it need not go out."""
        for entry in log:
            self.held.pop(entry.id, None)
            decision = apply(self.upload, UPLOAD_ID, entry.event, entry.at, entry.now, self.config)
            self._take(decision)

    def look(self, event: Input, now: Millis) -> None:
        """Look at the spec, or let a timer ring."""
        self._take(decide(self.upload, UPLOAD_ID, event, now, self.config))

    def _take(self, decision: AnyDecision) -> None:
        self.upload = decision.upload
        self.held.update({command.mark.event_id(UPLOAD_ID): command for command in decision.commands})

    @property
    def due(self) -> set[str]:
        """The ids of the commands that go out once the log is read."""
        return {i for i, c in self.held.items() if self.upload is None or wanted(self.upload, c)}


def published(log: list[Entry]) -> set[str]:
    """The ids of our own events in the log."""
    return {entry.id for entry in log if entry.id}


def after_abort(log: list[Entry], owner: Replay) -> list[Mark]:
    """Orders in the log, or about to go out, that follow an abort of the same run (F14)."""
    marks = [entry.event.mark for entry in log if isinstance(entry.event, Published)]
    marks += [owner.held[each].mark for each in owner.due]
    orders = [mark for mark in marks if mark.kind is Kind.FINISH]
    aborted: set[int] = set()
    late = []
    for mark in orders:
        late += [mark] if mark.run in aborted else []
        aborted |= {mark.run} if mark.detail == "abort" else set()
    return late


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Up to three steps with short budgets."""
    names = draw(st.lists(st.sampled_from(["a", "b", "delay", "c"]), max_size=3, unique=True))
    limited = draw(st.frozensets(st.sampled_from(["a", "b", "c"]), max_size=2))
    return Config(
        steps=tuple(draw(plans(name)) for name in names),
        max_in_flight=dict.fromkeys(limited, 1),
        breaker_after=draw(st.sampled_from([{}, {}, {"a": 1}, {"a": 2, "b": 1}])),
        max_finish_resends=1,
        max_releases=1,
    )


@st.composite
def plans(draw: st.DrawFn, name: str) -> StepPlan:
    """A step that may time out before or after it is reported."""
    timeout = draw(st.sampled_from([None, 60, 900]))
    return StepPlan(
        name=name,
        timeout=Millis(timeout * 1000) if timeout else None,
        max_retries=draw(st.integers(0, 2)),
        on_exhausted=draw(st.sampled_from(OnExhausted)),
        max_filesize=draw(st.sampled_from([None, None, 1])),
        on_too_large=draw(st.sampled_from(OnTooLarge)),
        delay=Millis(60_000),
    )


@st.composite
def choices(draw: st.DrawFn) -> Choice | None:
    """What the policies say of the upload."""
    action = draw(st.sampled_from([None, None, None, *PolicyAction]))
    if action is None:
        return None
    plan = draw(st.none() | st.just((StepPlan(name="a"), StepPlan(name="d"))))
    return Choice(ref=PolicyRef("default", 1, "rule"), action=action, plan=plan)


def _live(draw: st.DrawFn, life: Life) -> None:
    """One more thing happens."""
    upload = life.upload
    match draw(st.sampled_from(["timer"] * 5 + ["answer"] * 6 + ["ready"] * 2 + ["person"] * 3 + ["other"])):
        case "timer" if wake_at(upload, life.config) is not None:
            life.timer()
        case "timer" | "answer" if upload.stage is Stage.QUEUED:
            life.granted()
        case "timer" | "answer" if upload.stage is Stage.AWAITING_TURN:
            life.tell(Foremost())
        case "ready":
            life.ready(failed=draw(st.booleans()))
        case "person":
            life.edited(draw(controls(upload.control, len(life.moments))))
        case "other":
            life.tell(draw(st.sampled_from(OTHERS)))
        case _:
            life.answers(draw(st.sampled_from(["continue", "continue", "retry", "retry", "abort", "delete"])))


OTHERS: tuple[Input, ...] = (
    arrival(FRESH_URL),
    arrival(URL, expires_at=Millis(START + LIFE)),
    Resume(),
    Resume(),
    Resume(step="a"),
    StepFinished("b", "continue"),
    CleanUpload(),
)


@st.composite
def controls(draw: st.DrawFn, now: Control, number: int) -> Control:
    """What a person may make of the spec."""
    request = RestartRequest(token=f"t{number}", mode=draw(st.sampled_from(RestartMode)))
    request = evolve(request, from_step=draw(st.sampled_from(["", "", "b", "absent"])))
    restart = draw(st.sampled_from([now.restart, request]))
    desired = draw(st.sampled_from(DesiredState))
    if now.desired is DesiredState.CANCELLED and restart is now.restart:
        desired = DesiredState.CANCELLED  # the API server admits nothing else
    policy = draw(st.sampled_from(CancelPolicy)) if desired is DesiredState.CANCELLED else now.cancel_policy
    return evolve(now, desired=desired, restart=restart, cancel_policy=policy)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """An upload that arrived, and what became of it."""
    life = Life(draw(configs()))
    announced = arrival(expires_at=draw(st.sampled_from([None, None, Millis(START + LIFE)])))
    follows = draw(st.sampled_from([None, None, Follows("earlier", 1)]))
    life.tell(evolve(announced, follows=follows, choice=draw(choices())))
    for _ in range(draw(st.integers(0, 15))):
        _live(draw, life)
    return life


def replayed(life: Life, moment: Moment | None, log: list[Entry]) -> Replay:
    """A new owner: the resource as stored at a moment, its spec as it is now, and the whole log."""
    stored = None if moment is None else evolve(moment.upload, control=life.upload.control)
    owner = Replay(life.config, stored, {})
    owner.read(log)
    return owner


def same(one: Upload | None, other: Upload | None) -> bool:
    """Whether two states are the same but for times and words, and two things the log cannot tell.

    Whether a request was granted or refused before something else took its place is not published.

    Nor is whether an upload had failed before it was cancelled: its resource already asks for that when a
    replay meets the failure. The upload then keeps its place among those of its file (docs/adr/0052).
    """
    if one is None or other is None:
        return False
    cancelled = one.control.desired is other.control.desired is DesiredState.CANCELLED
    one = evolve(one, restarts=other.restarts, order=other.order if cancelled else one.order)
    return dateless(one) == dateless(other)


def tell(life: Life, index: int, owner: Replay) -> str:
    """A counterexample that a person can read."""
    lines = [f"log {entry.at.sequence} {_brief(entry.event)}" for entry in life.log]
    lines += [f"moment {i}: {m.length} {m.upload.stage}" for i, m in enumerate(life.moments[index:], index)]
    for name in Upload._fields:
        live, told = (getattr(upload, name, None) for upload in (life.upload, owner.upload))
        if live != told:
            lines.append(f"{name}: live {live}, replayed {told}")
    return "\n".join(["", *lines])


def _brief(event: Input) -> str:
    mark = event.mark if isinstance(event, Published) else None
    return f"{type(event).__name__} {mark.encode() if mark else event}"


@settings(max_examples=EXAMPLES, deadline=None)
@given(lives(), st.data())
def test_the_log_tells_the_same_story_again(life: Life, data: st.DataObject) -> None:
    """Nothing is lost when everything that was decided since the checkpoint is in the log."""
    index = data.draw(st.integers(0, len(life.moments) - 1))
    since = life.moments[index:]
    assume(not any(moment.silent for moment in since[1:]))
    # The resource shows what its spec asks for now, not what it asked for when the log was written.
    assume(len({moment.upload.control.desired is DesiredState.SUSPENDED for moment in since}) == 1)
    owner = replayed(life, life.moments[index], life.log)
    assert owner.due == set(), tell(life, index, owner)
    assert same(owner.upload, life.upload), tell(life, index, owner)


@settings(max_examples=EXAMPLES, deadline=None)
@given(lives(), st.data())
def test_nothing_in_the_log_goes_out_again(life: Life, data: st.DataObject) -> None:
    """Whatever a person or a timer did in silence, and however old the checkpoint is."""
    moment = data.draw(st.sampled_from([None, *life.moments]))
    if moment is None and isinstance(life.log[0].event, BytesReceived):
        assume(life.upload.control == Control())
    owner = replayed(life, moment, life.log)
    assert not owner.due & published(life.log)
    if owner.upload is None:
        return
    owner.look(SpecChanged(life.upload.control), life.now)
    owner.look(Tick(), life.now)
    owner.look(Granted(), life.now)
    owner.look(Foremost(), life.now)
    assert not owner.due & published(life.log)
    assert not after_abort(life.log, owner)


def _check_what_goes_out(life: Life) -> None:
    """The very last thing is missing in the log, and goes out; nothing else does."""
    lost = {command.mark.event_id(UPLOAD_ID) for command in life.last.commands}
    last = life.log.pop()
    while life.log and isinstance(life.log[-1].event, Published) and len(lost) > 1:
        life.log.pop()
    assert last.id in lost
    before = life.moments[-2] if len(life.moments) > 1 else None
    owner = replayed(life, before, life.log)
    if owner.upload is not None:
        owner.look(SpecChanged(life.upload.control), life.now)
        owner.look(Tick(life.streak), life.now)
        if life.upload.stage is not Stage.QUEUED:  # else nobody has granted a slot
            owner.look(Granted(), life.now)
        if life.upload.stage is not Stage.AWAITING_TURN:
            owner.look(Foremost(), life.now)
    assert owner.due == lost, tell(life, len(life.moments) - 2, owner)


@settings(max_examples=EXAMPLES, deadline=None)
@given(lives())
def test_what_was_decided_and_not_published_goes_out_now(life: Life) -> None:
    """Killed between deciding and publishing."""
    assume(life.last.commands)
    _check_what_goes_out(life)


def test_the_wish_of_an_upload_that_stays_queued_goes_out_now() -> None:
    """An example that random lives rarely meet."""
    life = Life(Config(steps=(StepPlan(name="a"),), max_in_flight={"a": 1}))
    life.arrives()
    life.edited(evolve(Control(), restart=RestartRequest(token="t", mode=RestartMode.RESUME_STEP)))
    assert life.upload.stage is Stage.QUEUED
    _check_what_goes_out(life)


def test_a_cancellation_after_a_failure_is_met_before_it() -> None:
    """An example that random lives rarely meet: only the place among the uploads of the file differs."""
    life = Life(Config(max_releases=1))
    life.arrives()
    life.ready(failed=True)
    life.timer()
    life.ready(failed=True)
    assert life.upload.stage is Stage.UPLOAD_FAILED
    life.edited(evolve(Control(), desired=DesiredState.CANCELLED))
    owner = replayed(life, life.moments[0], life.log)
    assert owner.upload is not None
    assert (life.upload.order.left, owner.upload.order.left) == (True, False)
    assert (owner.due, same(owner.upload, life.upload)) == (set(), True)


def test_an_answer_may_be_given_and_lost_any_number_of_times() -> None:
    """The example of the invariants above, in full: a step times out, is tried again, and passes."""
    life = Life(Config(steps=(StepPlan(name="a", timeout=Millis(60_000)),)))
    life.arrives()
    life.timer()
    life.timer()
    life.answers("continue")
    life.tell(UploadReady(failed=False))
    for moment in life.moments:
        owner = replayed(life, moment, life.log)
        assert (owner.due, same(owner.upload, life.upload)) == (set(), True)
