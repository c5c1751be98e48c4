"""Random walks through the state machine: every state they meet is a reachable one."""

from collections.abc import Iterator

from hypothesis import strategies as st

from uploadpp.core.commands import Command
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import (
    Absent,
    BreakerOpened,
    BytesReceived,
    CleanUpload,
    Granted,
    Input,
    Published,
    Resume,
    SpecChanged,
    StepFinished,
    StreakEnded,
    Tick,
    UploadReady,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import (
    Control,
    FileInfo,
    Millis,
    Origin,
    PolicyRef,
    RestartRequest,
    StepPlan,
    Streak,
    Upload,
)
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.replay import Position, apply
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import (
    CancelPolicy,
    DesiredState,
    OnExhausted,
    OnTooLarge,
    RequiredResult,
    RestartMode,
)

START = Millis(1_795_000_000_000)
NAMES = ("virusscan", "policies", "delay", "größer:x")
STREAMS = ("main-queue/1", "main-queue/2")

seconds = st.integers(1, 100_000).map(lambda n: Millis(n * 1000))
waits = st.tuples(seconds, seconds).map(sorted)


@st.composite
def plans(draw: st.DrawFn) -> tuple[StepPlan, ...]:
    """Steps with unique names, whose lengths of time are whole seconds."""
    names = draw(st.permutations(NAMES))[: draw(st.sampled_from([2, 1, 3, 2, 0]))]
    return tuple(draw(_plan(name)) for name in names)


@st.composite
def _plan(draw: st.DrawFn, name: str) -> StepPlan:
    if draw(st.booleans()):
        return StepPlan(name=name)
    backoff, max_backoff = draw(waits)
    return StepPlan(
        name=name,
        timeout=draw(st.none() | seconds),
        stall_after=draw(seconds),
        max_retries=draw(st.integers(0, 3)),
        backoff=backoff,
        max_backoff=max_backoff,
        on_exhausted=draw(st.sampled_from(OnExhausted)),
        delay=draw(seconds),
        max_filesize=draw(st.none() | st.integers(1, 2**63 - 1)),
        on_too_large=draw(st.sampled_from(OnTooLarge)),
        require_result=draw(st.sampled_from(RequiredResult)),
    )


configs = st.builds(
    Config,
    steps=plans(),
    max_in_flight=st.sampled_from([{}, {"virusscan": 1}]),
    breaker_after=st.sampled_from([{}, {"virusscan": 1}]),
    max_finish_resends=st.integers(0, 2),
    max_releases=st.integers(0, 2),
    max_url_requests=st.integers(0, 2),
)
origins = st.builds(
    Origin,
    url=st.sampled_from(['"https://a"', '"https://a"', '"https://b"', '""']),
    url_received_at=st.just(START),
    filesize=st.sampled_from(["0", "48213", "18446744073709551615"]),
    announced_at=st.none(),  # set only where a resource is taken over
    url_expires_at=st.none() | st.integers(START + 10**6, START + 10**9).map(Millis),
    executing_user=st.sampled_from(["null", '{"id":{"opaque_id":"u"}}']),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
files = st.builds(
    FileInfo,
    filename=texts,
    filesize=st.integers(0, 2**63 - 1),
    user_id=texts,
    space_id=texts,
    storage_id=texts,
    opaque_id=texts,
)
restarts = st.builds(
    RestartRequest,
    token=st.sampled_from(["t1", "t2", "t-3._"]),
    mode=st.sampled_from(RestartMode),
    from_step=st.sampled_from(["", "virusscan", "policies", "absent"]),
)
controls = st.builds(
    Control,
    desired=st.sampled_from([DesiredState.ACTIVE] * 4 + list(DesiredState)),
    cancel_policy=st.sampled_from(CancelPolicy),
    restart=st.none() | restarts,
    generation=st.integers(1, 9),
)
CURRENT = "<the current step>"
streaks = st.builds(
    Streak,
    since=st.just(START),
    last=st.integers(START, START + 9_999).map(Millis),
    uploads=st.integers(1, 9),
    opened_at=st.none() | st.just(START),
)
choices = st.none() | st.builds(
    Choice,
    ref=st.builds(PolicyRef, name=st.just("default"), generation=st.integers(1, 9), rule=st.just("rule")),
    action=st.sampled_from(PolicyAction),
    plan=st.none() | plans(),
    priority_class=st.sampled_from(["", "bulk"]),
    message=texts,
)
answers = st.builds(
    StepFinished,
    step=st.sampled_from([*[CURRENT] * 9, "virusscan", "policies"]),
    outcome=st.sampled_from(["continue", "retry", "abort", "delete", "nonsense"]),
    message=st.just("") | texts | st.just("long " * 1000),
    scanned=st.booleans(),
    streak=st.none() | streaks,
)
SICK = Streak(START, START, 2, START)
announced = origins.map(lambda origin: evolve(origin, by_hand=False))
"""What the storage announces is not made by hand."""
inputs: st.SearchStrategy[Input] = st.one_of(
    st.builds(BytesReceived, origin=announced, file=files, choice=choices),
    answers,
    st.just(StepFinished(CURRENT, "continue")),
    st.just(StepFinished(CURRENT, "retry", "not now")),
    st.builds(UploadReady, failed=st.booleans()),
    st.builds(UploadReady, failed=st.booleans()),
    st.builds(Resume, step=st.sampled_from(["", *NAMES])),
    st.builds(SpecChanged, control=controls),
    st.just(Tick()),
    st.just(Tick()),
    st.just(Granted()),
    st.builds(Tick, streak=streaks),
    st.sampled_from([BreakerOpened("virusscan", SICK, "not well"), StreakEnded("virusscan", opened=True)]),
    st.builds(Absent, status=st.sampled_from([404, 410]), lasting=st.booleans()),
    st.sampled_from([*[Tick()] * 9, CleanUpload()]),
)


@st.composite
def walks(draw: st.DrawFn) -> tuple[Config, list[Upload]]:
    """A configuration, and the states an upload went through under it; those of its last life."""
    config = draw(configs)
    upload = draw(st.sampled_from([st.none(), st.none(), _hand_made(config)]).flatmap(lambda each: each))
    trail = [] if upload is None else [upload]
    for after in _steps(draw, upload, config):
        if trail and trail[-1].origin.by_hand and not after.origin.by_hand:
            trail.clear()  # the storage has announced it: nothing of the resource of a person counts
        trail.append(after)
    return config, trail


@st.composite
def _hand_made(draw: st.DrawFn, config: Config) -> Upload:
    return Upload(
        id="upload-1",
        received_at=START,
        since=START,
        origin=draw(origins),
        file=draw(files),
        plan=config.steps,
        control=draw(controls),
    )


def _steps(draw: st.DrawFn, upload: Upload | None, config: Config) -> Iterator[Upload]:
    now, sequence, stream = START, 0, STREAMS[0]
    events = draw(st.lists(inputs, min_size=draw(st.integers(1, 12)), max_size=20))
    if upload is None:
        events.insert(0, draw(st.builds(BytesReceived, origin=announced, file=files, choice=choices)))
    for event in events:
        sequence += 1
        if isinstance(event, StepFinished) and event.step == CURRENT:
            event = evolve(event, step=upload.current_step if upload else "virusscan")  # noqa: PLW2901
        if draw(st.integers(0, 19)) == 19:
            stream = STREAMS[1]
        due = wake_at(upload, config) if upload is not None and isinstance(event, Tick) else None
        now = Millis(max(now + draw(st.integers(0, 5_000)), due or 0))
        at = Position(stream, sequence)
        if isinstance(event, Tick | SpecChanged | Granted | Absent | BreakerOpened | StreakEnded):
            decision = decide(upload, "upload-1", event, now, config)
        else:
            decision = apply(upload, "upload-1", event, at, now, config)
        upload = decision.upload
        if upload is None:
            continue
        yield upload
        if draw(st.integers(0, 4)) < 4:
            for echoed in _echoed(upload, decision.commands, stream, sequence, now, config):
                upload, sequence = echoed, sequence + 1
                yield upload


def _echoed(
    upload: Upload,
    commands: tuple[Command, ...],
    stream: str,
    sequence: int,
    now: Millis,
    config: Config,
) -> Iterator[Upload]:
    """The states after our own commands have come back through the log."""
    for command in commands:
        sequence += 1
        own_event = Published(command.mark, sequence)
        decision = apply(upload, "upload-1", own_event, Position(stream, sequence), now, config)
        upload = decision.upload
        yield upload
