"""Breadth-first search through everything that can happen to an upload.

States are told apart by what they mean, not by when or after how many restarts they were
reached, so the search ends although everything may happen at any time, any number of times.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from uploadpp.core.config import Config
from uploadpp.core.decision import AnyDecision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import (
    Absent,
    BreakerOpened,
    CleanUpload,
    FinishedElsewhere,
    Follows,
    Foremost,
    Granted,
    Input,
    Published,
    Resume,
    RetriedElsewhere,
    SpecChanged,
    StartedElsewhere,
    StepFinished,
    StreakEnded,
    Tick,
    UploadReady,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import (
    RELEASING,
    Control,
    FileOrder,
    LogPosition,
    Millis,
    Origin,
    PolicyRef,
    RestartRequest,
    StepPlan,
    StepStatus,
    Streak,
    Upload,
)
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import (
    UNHEARD,
    CancelPolicy,
    DesiredState,
    OnExhausted,
    OnTooLarge,
    Outcome,
    RequiredResult,
    RestartMode,
    Stage,
    StepState,
)
from uploadpp.core.transitions import begin_run
from uploadpp.testing.builders import (
    FRESH_URL,
    RESTART_USER,
    SECOND,
    START,
    UPLOAD_ID,
    URL,
    arrival,
    come_back,
)

ZERO = Millis(0)
SICKENING, SICK = Streak(START, START, 1), Streak(START, START, 2, START)
"""Streaks before and after they have opened a breaker."""
OVER = {StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED}
OUTCOMES = ("continue", "retry", "abort", "delete", "nonsense")
RESTART = RestartRequest(token="", mode=RestartMode.RESTART)
REQUESTS = (
    RestartRequest(token="", mode=RestartMode.RESUME),
    RestartRequest(token="", mode=RestartMode.RESUME_STEP),
    RESTART,
    RestartRequest(token="", mode=RestartMode.FORCE_RESTART),
    RestartRequest(token="", mode=RestartMode.FORCE_RESTART, from_step="b"),
    RestartRequest(token="", mode=RestartMode.RESTART, from_step="absent"),
)


@dataclass(frozen=True)
class Node:
    """A state that was reached, when, and which of our commands have not come back yet."""

    upload: Upload | None
    now: Millis
    unproven: tuple[Input, ...] = ()


@dataclass(frozen=True)
class Move:
    """One input and what it did; `now` is when."""

    before: Node
    event: Input
    now: Millis
    decision: AnyDecision


@dataclass(frozen=True)
class Scene:
    """A configuration to explore, and how the upload begins."""

    name: str
    config: Config
    url_life: int | None = None
    """Seconds after the beginning until the URL of the first arrival expires."""
    hand_made: bool = False
    follows: bool = False
    """Whether an earlier upload of the same file is under way when it arrives."""
    choice: Choice | None = None
    """What a policy says of every announcement with the known URL."""

    def beginnings(self) -> Iterator[Node]:
        """The upload is unknown, or made by hand."""
        yield Node(None, START)
        if self.hand_made:
            origin = Origin(by_hand=True)
            made = Upload(id=UPLOAD_ID, received_at=START, since=START, plan=self.config.steps, origin=origin)
            for desired in DesiredState:
                edited = evolve(made, control=Control(desired=desired))
                yield Node(edited, START)
                yield Node(evolve(edited, lost_status=True), START)
                if (
                    self.config.max_in_flight or self.config.breaker_after
                ):  # queued, and edited while the operator was unavailable
                    queued = begin_run(made, START, self.config).upload
                    yield Node(evolve(queued, control=edited.control), START)
                known = evolve(made, origin=arrival().origin, order=FileOrder(after="earlier"))
                begun = begin_run(known, START, self.config).upload
                if begun.stage is Stage.AWAITING_TURN:  # as above
                    yield Node(evolve(begun, control=edited.control), START)


def moves(scene: Scene) -> Iterator[Move]:
    """Every move out of every state that can be reached."""
    queue = deque(scene.beginnings())
    seen: set[object] = set()
    while queue:
        node = queue.popleft()
        key = meaning(node.upload, node.now, scene)
        if key in seen:
            continue
        seen.add(key)
        for event in _events(node, scene):
            due = wake_at(node.upload, scene.config) if node.upload and isinstance(event, Tick) else None
            now = Millis(max(node.now + SECOND, due or 0))
            decision = decide(node.upload, UPLOAD_ID, event, now, scene.config)
            yield Move(node, event, now, decision)
            yield from _survivors(node, event, now, decision, scene.config)
            if decision.ignored is not None or decision.upload is None:
                continue
            unproven = tuple(each for each in node.unproven if each != event)
            if decision.commands:
                unproven = tuple(come_back(command, 1, decision.upload) for command in decision.commands)
            queue.append(Node(decision.upload, now, unproven))


def _survivors(
    node: Node, event: Input, now: Millis, decision: AnyDecision, config: Config
) -> Iterator[Move]:
    """What the published commands of a timer, an edit or a grant tell, when nothing else survived a crash."""
    if (
        not isinstance(event, Tick | SpecChanged | Granted | Foremost)
        or node.upload is None
        or decision.upload is None
    ):
        return
    upload = evolve(node.upload, control=decision.upload.control)
    for command in decision.commands:
        own_event = told_of(event, come_back(command, 1, decision.upload))
        told = decide(upload, UPLOAD_ID, own_event, now, config)
        yield Move(Node(upload, now), own_event, now, told)
        upload = told.upload


def told_of(event: Input, own_event: Input) -> Input:
    """An own event that is met in a replay, with the streak that its cause was told of."""
    if isinstance(event, Tick) and isinstance(own_event, Published):
        return evolve(own_event, streak=event.streak)
    return own_event


def _events(node: Node, scene: Scene) -> Iterator[Input]:
    upload = node.upload
    expires_at = None if scene.url_life is None else Millis(START + scene.url_life * SECOND)
    earlier = Follows("earlier", 1) if scene.follows and not (upload and upload.run) else None
    known, other = URL, FRESH_URL
    if scene.url_life is None and upload and upload.origin.url == FRESH_URL:
        known, other = FRESH_URL, URL
    yield evolve(arrival(known, expires_at=expires_at), follows=earlier, choice=scene.choice)
    yield arrival(other)
    yield arrival(other, user=RESTART_USER)
    step = upload.current_step if upload else "a"
    for outcome in OUTCOMES:
        yield StepFinished(step, outcome)
    yield StepFinished(step, "continue", scanned=True)
    yield StepFinished("b" if step == "a" else "a", "continue")
    yield StepFinished("b" if step == "a" else "a", "delete")
    yield StepFinished("", "continue")
    yield UploadReady(failed=False)
    yield UploadReady(failed=True)
    yield CleanUpload()
    if not scene.follows:  # which makes no difference to these
        yield StartedElsewhere(step, 1)
        yield StartedElsewhere("b" if step == "a" else "a", 1)
        yield RetriedElsewhere()
        for outcome in ("continue", "abort", "delete"):
            yield FinishedElsewhere(outcome, 1)
        yield Absent(404, lasting=False)
        yield Absent(404, lasting=True)
    yield Resume()
    yield Resume(step=step or "absent")
    yield Resume(step="absent")
    yield Tick()
    yield Granted()
    if scene.config.breaker_after and step:
        for streak in (SICKENING, SICK):
            yield StepFinished(step, "retry", streak=streak)
            yield Tick(streak)
        yield BreakerOpened(step, SICK, "waiting for a slot")
        yield BreakerOpened("absent", SICK)
        yield StreakEnded(step)
        yield StreakEnded(step, opened=True)
        yield StreakEnded("absent")
    if scene.follows:
        yield Foremost()
        if scene.hand_made:
            yield Follows("earlier")
    yield from node.unproven
    if upload is not None:
        yield SpecChanged(upload.control)
        for control in _controls(upload):
            yield SpecChanged(control)


def _controls(upload: Upload) -> Iterator[Control]:
    generation = upload.control.generation + 1
    now = evolve(upload.control, generation=generation)
    for desired in DesiredState:
        yield evolve(now, desired=desired)
    yield evolve(now, desired=DesiredState.CANCELLED, cancel_policy=CancelPolicy.DELETE)
    for request in REQUESTS:
        fresh = evolve(request, token=f"t{generation}")
        yield evolve(now, restart=fresh, desired=DesiredState.ACTIVE)
    yield evolve(now, restart=evolve(RESTART, token=f"t{generation}"), desired=upload.control.desired)


def meaning(upload: Upload | None, now: Millis, scene: Scene) -> object:
    """What is left of a state without what no rule ever looks at in it.

    That is when it was reached, the file's name, and the numbers of commands: they are
    compared with the state before in every move instead. And which of two URLs it has, unless one of them
    expires: the events then come with the known URL and with the other.
    """
    if upload is None:
        return None
    control, origin = upload.control, upload.origin
    over = upload.stage.ended and upload.stage not in UNHEARD | {Stage.UPLOAD_FAILED}
    answered = control.restart is None or control.restart.token == upload.observed_token
    cancelled = control.desired is DesiredState.CANCELLED
    continues = upload.outcome is Outcome.CONTINUE and not over
    url = origin.url if scene.url_life is not None or not origin.has_url else URL
    return Upload(
        id=upload.id,
        received_at=ZERO,
        origin=Origin(url=url, url_expires_at=_flag(origin.needs_renewal(now, ZERO) or None)),
        plan=upload.plan,
        plan_fixed=upload.plan_fixed,
        control=Control(
            desired=control.desired,
            cancel_policy=control.cancel_policy if cancelled else CancelPolicy.ABORT,
            restart=None if answered else control.restart,
        ),
        stage=upload.stage,
        run=min(upload.run, 1),
        cursor=upload.cursor,
        steps=() if over else _meaning_of_steps(upload),
        outcome=upload.outcome,
        finishes=0 if over else min(upload.finishes - upload.releases, 2),
        releases=upload.releases if continues else 0,
        url_requests=min(upload.url_requests, 2) if upload.stage is Stage.AWAITING_URL else 0,
        stalled_at=_flag(upload.stalled_at),
        observed_generation=int(upload.observed_generation == control.generation),
        log=LogPosition(start=_flag(upload.log.start)),
        lost_status=upload.lost_status,
        policy=upload.policy,
        policy_holds=upload.policy_holds,
        order=_meaning_of_order(upload) if scene.follows else FileOrder(),
    )


def _meaning_of_order(upload: Upload) -> FileOrder:
    if upload.stage.ended or upload.order.left:
        return FileOrder(left=True)
    return FileOrder(after=upload.order.after if upload.stage not in RELEASING else "")


def _meaning_of_steps(upload: Upload) -> tuple[StepStatus, ...]:
    if upload.stage not in RELEASING | UNHEARD:
        return tuple(_meaning_of_step(step) for step in upload.steps)
    decider = upload.decider  # of steps that are over nothing else is ever looked at
    return () if decider is None else (StepStatus(reason=upload.steps[decider].reason),)


@cache
def _meaning_of_step(step: StepStatus) -> StepStatus:
    retries = 0 if step.state in OVER else step.retries
    attempts = 0 if step.state in OVER else min(step.attempts, 1)  # a file may be too large for the first
    own = step.streak
    streak = own and Streak(ZERO, ZERO, 0, _flag(own.opened_at), min(own.counted, 1))
    return StepStatus(step.state, attempts, retries, reason=step.reason, streak=streak)


def _flag(at: int | None) -> Millis | None:
    return None if at is None else ZERO


def _plan(name: str, retries: int, on_exhausted: OnExhausted, timeout: int = 0) -> StepPlan:
    return StepPlan(
        name=name,
        max_retries=retries,
        on_exhausted=on_exhausted,
        timeout=Millis(timeout * 1000) if timeout else None,
        delay=Millis(60_000),
    )


def _for_small(name: str, above: OnTooLarge, *, scan: bool = False) -> StepPlan:
    """A step for files smaller than the one that arrives."""
    result = RequiredResult.SCAN if scan else RequiredResult.OPTIONAL
    return StepPlan(name=name, max_retries=1, max_filesize=1, on_too_large=above, require_result=result)


_HOLD, _SKIP = PolicyAction.HOLD, PolicyAction.SKIP


def _choice(action: PolicyAction, *steps: str) -> Choice:
    plan = tuple(_plan(step, 0, OnExhausted.HOLD) for step in steps)
    return Choice(ref=PolicyRef("default", 1, "rule"), action=action, plan=plan)


def _config(*plans: StepPlan, places: Iterable[str] = (), breakers: Iterable[str] = ()) -> Config:
    return Config(
        steps=plans,
        max_in_flight=dict.fromkeys(places, 1),
        breaker_after=dict.fromkeys(breakers, 2),
        max_finish_resends=1,
        max_releases=1,
        max_url_requests=2,
    )


def scenes() -> Iterable[Scene]:
    """Up to three steps and two retries, every policy, delays, timeouts, and URLs that expire."""
    abort, hold, go_on = OnExhausted.ABORT, OnExhausted.HOLD, OnExhausted.CONTINUE
    delay = _plan("delay", 0, abort)
    return (
        Scene("no steps, behind an earlier upload", _config(), hand_made=True, follows=True),
        Scene("one step, timeout after the stall report", _config(_plan("a", 2, abort, 900))),
        Scene("held, timeout before the stall report", _config(_plan("a", 0, hold, 60), _plan("b", 1, hold))),
        Scene(
            "passed over, deleted", _config(_plan("a", 1, go_on, 60), _plan("b", 0, OnExhausted.DELETE, 60))
        ),
        Scene("a delay between", _config(_plan("a", 1, go_on, 60), delay, _plan("b", 0, abort))),
        Scene("behind an earlier upload", _config(_plan("a", 1, go_on, 60)), follows=True),
        Scene("a delay alone, behind an earlier upload", _config(delay), hand_made=True, follows=True),
        Scene("URL expired from the start", _config(_plan("a", 1, hold)), url_life=-1, hand_made=True),
        Scene("URL expires", _config(delay, _plan("a", 0, go_on, 900), _plan("b", 0, abort)), url_life=90),
        Scene("places", _config(_plan("a", 1, hold, 60), places="a"), hand_made=True),
        Scene("breaker", _config(_plan("a", 1, hold, 60), breakers="a")),
        Scene("breaker and places", _config(_plan("a", 1, go_on), places="a", breakers="a")),
        Scene("breaker later", _config(delay, _plan("b", 1, go_on, 900), breakers="b")),
        Scene("places later", _config(_plan("a", 1, go_on, 60), _plan("b", 0, hold), places="b")),
        Scene("slow, URL expires", _config(_plan("a", 1, abort, 60), _plan("b", 0, abort)), url_life=66),
        Scene("slow, too large later", _config(_plan("a", 1, abort, 60), _for_small("b", OnTooLarge.HOLD))),
        Scene("places, URL expires", _config(delay, _plan("a", 1, hold), places="a"), url_life=90),
        Scene("a policy holds", _config(_plan("a", 0, abort)), choice=_choice(_HOLD, "b")),
        Scene("a policy holds, no steps", _config(), choice=_choice(_HOLD)),
        Scene("a policy skips", _config(_plan("a", 0, abort)), follows=True, choice=_choice(_SKIP, "b")),
        Scene("too large", _config(_for_small("a", OnTooLarge.HOLD, scan=True)), hand_made=True),
        Scene(
            "too large later",
            _config(delay, _for_small("a", OnTooLarge.SKIP), _for_small("b", OnTooLarge.HOLD), places="b"),
        ),
        Scene(
            "three steps, two retries",
            _config(_plan("a", 2, abort), _plan("b", 2, hold, 60), _plan("c", 2, go_on)),
        ),
    )
