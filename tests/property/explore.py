"""Breadth-first search through everything that can happen to an upload.

States are told apart by what they mean, not by when or after how many restarts they were
reached, so the search ends although everything may happen at any time, any number of times.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

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
    Millis,
    Origin,
    RestartRequest,
    StepStatus,
    Streak,
    Upload,
)
from uploadpp.core.policy import Choice
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import (
    UNHEARD,
    CancelPolicy,
    DesiredState,
    Outcome,
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
RETOLD = 7
"""Where an own event is in a log that is read again; live, all of them are at 1."""
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


class Node(NamedTuple):
    """A state that was reached, when, and which of our commands have not come back yet."""

    upload: Upload | None
    now: Millis
    unproven: tuple[Input, ...] = ()


class Move(NamedTuple):
    """One input and what it did; `now` is when."""

    before: Node
    event: Input
    now: Millis
    decision: AnyDecision
    retold: Upload | None = None
    """What becomes of it where only what was published survives a crash; None where nothing was."""


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
                for ended in (None, Outcome.ABORT, Outcome.DELETE):  # made anew, as the log says
                    yield Node(evolve(edited, lost_status=True, outcome=ended), START)
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
    said: dict[object, tuple[Input, ...]] = {}
    while queue:
        node = queue.popleft()
        key = meaning(node.upload, node.now, scene)
        if key in seen:
            continue
        seen.add(key)
        for event in _events(node, scene, said):
            due = wake_at(node.upload, scene.config) if node.upload and isinstance(event, Tick) else None
            now = Millis(max(node.now + SECOND, due or 0))
            decision = decide(node.upload, UPLOAD_ID, event, now, scene.config)
            survivors = list(_survivors(node, event, now, decision, scene.config))
            yield Move(node, event, now, decision, survivors[-1].decision.upload if survivors else None)
            yield from survivors
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
        own_event = told_of(event, come_back(command, RETOLD, decision.upload))
        told = decide(upload, UPLOAD_ID, own_event, now, config)
        yield Move(Node(upload, now), own_event, now, told)
        upload = told.upload


def told_of(event: Input, own_event: Input) -> Input:
    """An own event that is met in a replay, with the streak that its cause was told of."""
    if isinstance(event, Tick) and isinstance(own_event, Published):
        return evolve(own_event, streak=event.streak)
    return own_event


def _events(node: Node, scene: Scene, said: dict[object, tuple[Input, ...]]) -> Iterator[Input]:
    """Everything that can happen; `said` remembers what does not depend on the state itself."""
    upload = node.upload
    begun = upload is not None and upload.run > 0
    swapped = scene.url_life is None and upload is not None and upload.origin.url == FRESH_URL
    key = (upload and upload.current_step, begun, swapped)
    if key not in said:
        said[key] = tuple(_said(scene, upload.current_step if upload else "a", begun=begun, swapped=swapped))
    yield from said[key]
    yield from node.unproven
    if upload is not None:
        yield SpecChanged(upload.control)
        yield from _edits(upload.control)


def _said(scene: Scene, step: str, *, begun: bool, swapped: bool) -> Iterator[Input]:
    """What other services, timers and other uploads tell."""
    expires_at = None if scene.url_life is None else Millis(START + scene.url_life * SECOND)
    earlier = Follows("earlier", 1) if scene.follows and not begun else None
    known, other = (FRESH_URL, URL) if swapped else (URL, FRESH_URL)
    yield evolve(arrival(known, expires_at=expires_at), follows=earlier, choice=scene.choice)
    yield arrival(other)
    yield arrival(other, user=RESTART_USER)
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


@lru_cache(1_000)
def _edits(control: Control) -> tuple[Input, ...]:
    """What a person may change."""
    return tuple(SpecChanged(changed) for changed in _controls(control))


def _controls(control: Control) -> Iterator[Control]:
    generation = control.generation + 1
    now = evolve(control, generation=generation)
    for desired in DesiredState:
        yield evolve(now, desired=desired)
    yield evolve(now, desired=DesiredState.CANCELLED, cancel_policy=CancelPolicy.DELETE)
    for request in REQUESTS:
        fresh = evolve(request, token=f"t{generation}")
        yield evolve(now, restart=fresh, desired=DesiredState.ACTIVE)
    yield evolve(now, restart=evolve(RESTART, token=f"t{generation}"), desired=control.desired)


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
    return (
        (url, origin.needs_renewal(now, ZERO)),
        upload.plan,
        upload.plan_fixed,
        (
            control.desired,
            control.cancel_policy if cancelled else CancelPolicy.ABORT,
            None if answered else control.restart,
        ),
        upload.stage,
        min(upload.run, 1),
        upload.cursor,
        () if over else _meaning_of_steps(upload),
        upload.outcome,
        0 if over else min(upload.finishes - upload.releases, 2),
        upload.releases if continues else 0,
        min(upload.url_requests, 2) if upload.stage is Stage.AWAITING_URL else 0,
        upload.stalled_at is None,
        upload.observed_generation == control.generation,
        upload.log.start is None,
        upload.lost_status,
        upload.policy,
        upload.policy_holds,
        _meaning_of_order(upload) if scene.follows else FileOrder(),
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
