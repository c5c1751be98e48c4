"""The core against a model written from the prose: same commands, same status, whatever happens."""

from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.property.model import RELEASING, Book
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Follows, Foremost, SpecChanged, StepFinished, Tick
from uploadpp.core.model import Millis, PolicyRef, RestartRequest, StepPlan, Streak
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import CancelPolicy, DesiredState, OnExhausted, Outcome, RestartMode, Stage
from uploadpp.testing.builders import FRESH_URL, START, URL, UploadScenario, arrival

SECOND = 1000
REF = PolicyRef("default", 1, "rule")
LATER = Choice(ref=PolicyRef("default", 2, "rule"), action=PolicyAction.SKIP)
"""What the policies say once they were changed."""
NAMES = ("a", "b", "delay", "c")
DISTURBANCES = (
    "somebody_answers",
    "arrives_again",
    "storage_speaks",
    "resume",
    "resume",
    "clean",
    "suspend_or_go_on",
    "suspend_or_go_on",
    "cancel",
    "restart",
    "look_again",
    "storage_lost_it",
    "an_earlier_upload_shows_up",
)
Draw = Callable[[st.SearchStrategy[Any]], Any]


class Comparison(RuleBasedStateMachine):
    """One upload, twice."""

    @initialize(
        steps=st.lists(st.sampled_from(NAMES), max_size=3, unique=True),
        retries=st.integers(0, 2),
        policy=st.sampled_from(OnExhausted),
        timeout=st.sampled_from([0, 0, 40, 1000]),
        queues=st.tuples(*[st.frozensets(st.sampled_from(["a", "b", "c"]), max_size=2)] * 2),
        follows=st.booleans(),
        rule=st.sampled_from([*[None] * 4, *PolicyAction]),
    )
    def arrive(  # noqa: PLR0913 -- all that an upload may begin with
        self,
        steps: list[str],
        retries: int,
        policy: OnExhausted,
        timeout: int,
        queues: tuple[frozenset[str], frozenset[str]],
        *,
        follows: bool,
        rule: PolicyAction | None,
    ) -> None:
        """The upload arrives."""
        plans = tuple(
            StepPlan(
                name=name,
                max_retries=retries,
                on_exhausted=policy,
                timeout=Millis(timeout * SECOND) if timeout else None,
                delay=Millis(60 * SECOND),
            )
            for name in steps
        )
        limited, guarded = queues
        config = Config(
            steps=plans if rule is None else (StepPlan(name="c"), StepPlan(name="of nobody")),
            max_in_flight=dict.fromkeys(limited, 1),
            breaker_after=dict.fromkeys(guarded, 2),
            max_finish_resends=2,
            max_releases=2,
        )
        self.story = UploadScenario(config)
        queued = limited | guarded
        steps = [] if rule is PolicyAction.SKIP else steps
        self.book = Book(steps, retries, policy.lower(), timeout, limited=queued, follows=follows)
        self.book.rule = rule.lower() if rule is not None else ""
        self.tokens = 0
        self.heard: list[str] = []
        earlier = Follows("earlier", 1) if follows else None
        choice = Choice(ref=REF, action=rule, plan=plans) if rule is not None else None
        self.story.tell(evolve(arrival(URL), follows=earlier, choice=choice), after=Millis(0))
        self.hear(self.book.arrives(URL, self.now))

    def others(self, step: str) -> list[str]:
        """The other steps."""
        return [name for name in self.book.steps if name != step]

    @property
    def now(self) -> int:
        """Seconds since the beginning."""
        return (self.story.now - START) // SECOND

    def hear(self, commands: Iterable[str]) -> None:
        """What the model would publish."""
        self.heard += commands

    def pass_until(self, at: int) -> None:
        """Whatever is due by then happens then."""
        self.story.now = Millis(at)
        for _ in range(50):
            due = wake_at(self.story.upload, self.story.config)
            if due is None or due > self.story.now:
                break
            self.story.tell(Tick(), after=Millis(0))
        self.hear(self.book.passes(self.now))

    @rule(seconds=st.sampled_from([1, 5, 60, 2000]))
    def time_passes(self, seconds: int) -> None:
        """Some time goes by."""
        self.pass_until(self.story.now + seconds * SECOND)

    @precondition(lambda self: wake_at(self.story.upload, self.story.config) is not None)
    @rule(early=st.booleans())
    def timer_rings(self, *, early: bool) -> None:
        """Time goes by until the next timer, or one second less."""
        due = wake_at(self.story.upload, self.story.config) or 0
        self.pass_until(max(due - early * SECOND, self.story.now))

    @precondition(lambda self: self.story.upload.stage is Stage.QUEUED)
    @rule()
    def place_is_granted(self) -> None:
        """It is the upload's turn."""
        self.story.granted()
        self.hear(self.book.granted(self.now))

    @precondition(lambda self: self.story.upload.stage is Stage.AWAITING_TURN)
    @rule()
    def earlier_upload_ends(self) -> None:
        """It is the first of its file."""
        self.story.tell(Foremost())
        self.hear(self.book.first_in_line(self.now))

    @precondition(lambda self: self.story.upload.stage is Stage.RUNNING)
    @rule(outcome=st.sampled_from(["continue"] * 4 + ["retry"] * 5 + ["abort", "delete", "?"]))
    def current_step_answers(self, outcome: str) -> None:
        """The running step answers."""
        step = self.story.upload.current_step
        if outcome in {"retry", "?"} and step in self.story.config.breaker_after:
            counts = self.book.retries(step)
            open_since = Streak(self.story.now, self.story.now, 2, self.story.now)
            self.story.tell(StepFinished(step, outcome, streak=open_since))
            self.hear(self.book.fails_while_open(self.now))
            assert self.story.upload.retry_count == counts + sum(map(self.book.retries, self.others(step)))
            return
        self.story.answers(outcome)
        self.hear(self.book.answers(step, outcome, self.now))

    @precondition(lambda self: self.book.status() in RELEASING)
    @rule(failed=st.sampled_from([True, True, False]))
    def storage_answers(self, *, failed: bool) -> None:
        """UploadReady, when it is awaited."""
        self.storage_says(failed=failed)

    @rule(data=st.data(), what=st.sampled_from(DISTURBANCES))
    def something_else_happens(self, data: st.DataObject, what: str) -> None:
        """Whatever can come at any time; one rule, so that it does not come all the time."""
        getattr(self, what)(data.draw)

    def somebody_answers(self, draw: Draw) -> None:
        """Any step answers, running or not."""
        step, outcome = draw(st.sampled_from([*NAMES, "", "finished"])), draw(st.sampled_from(Outcome))
        self.story.answers(outcome, step=step)
        self.hear(self.book.answers(step, outcome, self.now))

    def arrives_again(self, draw: Draw) -> None:
        """BytesReceived."""
        url = draw(st.sampled_from([URL, FRESH_URL]))
        self.story.tell(evolve(arrival(url), choice=draw(st.sampled_from([None, LATER]))))
        self.hear(self.book.arrives(url, self.now))

    def storage_speaks(self, draw: Draw) -> None:
        """UploadReady at any time."""
        self.storage_says(failed=draw(st.sampled_from([True, True, True, False])))

    def storage_says(self, *, failed: bool) -> None:
        """UploadReady."""
        self.story.ready(failed=failed)
        self.hear(self.book.ready("failed" if failed else "ok", self.now))

    def resume(self, draw: Draw) -> None:
        """ResumePostprocessing."""
        step = draw(st.sampled_from(["", "", self.story.upload.current_step, "a", "finished"]))
        self.story.resumed(step)
        self.hear(self.book.resumed(step, self.now))

    def clean(self, draw: Draw) -> None:
        """CleanUpload, seldom."""
        if draw(st.integers(0, 5)) == 0:
            self.story.cleaned()
            self.hear(self.book.cleaned(self.now))

    def suspend_or_go_on(self, draw: Draw) -> None:
        """A person edits; a cancelled upload stays cancelled."""
        if not self.book.cancelled:
            desired = draw(st.sampled_from([DesiredState.ACTIVE, DesiredState.SUSPENDED]))
            self.story.wanted(desired)
            self.hear(self.book.desires(desired, self.now))

    def cancel(self, draw: Draw) -> None:
        """A person cancels, seldom."""
        policy = draw(st.sampled_from(CancelPolicy))
        if draw(st.integers(0, 2)) == 0:
            self.story.wanted(DesiredState.CANCELLED, policy)
            self.hear(self.book.desires("Cancelled", self.now, policy.lower()))

    def restart(self, draw: Draw) -> None:
        """A person restarts."""
        mode = draw(st.sampled_from(RestartMode))
        step = draw(st.sampled_from(["", "", "a", "b", "absent"]))
        self.tokens += 1
        request = RestartRequest(token=f"t{self.tokens}", mode=mode, from_step=step)
        self.story.edited(evolve(self.story.upload.control, restart=request, desired=DesiredState.ACTIVE))
        self.hear(self.book.restarted(mode, request.token, step, self.now))

    def look_again(self, draw: Draw) -> None:
        """The spec is looked at again, as after downtime."""
        del draw
        self.story.tell(SpecChanged(self.story.upload.control))
        self.book.looked_at(self.now)

    def storage_lost_it(self, draw: Draw) -> None:
        """The storage is asked about the upload, and does not have it; seldom."""
        lasting = draw(st.sampled_from([False, False, True]))
        self.story.absent(lasting=lasting)
        self.hear(self.book.missing(self.now, lasting=lasting))

    def an_earlier_upload_shows_up(self, draw: Draw) -> None:
        """Another upload of the same file is released first."""
        self.story.tell(Follows(draw(st.sampled_from(["earlier", "another"]))))
        self.book.comes_after()

    @invariant()
    def same_commands(self) -> None:
        """Both have published the same."""
        assert self.story.published == self.heard

    @invariant()
    def same_status(self) -> None:
        """Both show the same to people."""
        upload = self.story.upload
        assert (upload.stage, upload.current_step) == (self.book.status(), self.book.shown_step())
        assert upload.releases == self.book.failures() or upload.outcome != "continue"


TestReference = Comparison.TestCase
TestReference.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
