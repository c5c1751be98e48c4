"""A live operator with real servers, driven by Hypothesis: services and people do anything, in any order.

What must hold is read from the log alone. `LIVE_EXAMPLES=50 LIVE_STEPS=40 scripts/test -n 0 THIS` tries more,
and others in each run.
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from itertools import count
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.demo.wire import Event, read_all
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, log_lines, samples, start_working
from uploadpp.testing import events
from uploadpp.testing.events import new_message

EXAMPLES = int(os.environ.get("LIVE_EXAMPLES", "3"))
STEPS_EACH = int(os.environ.get("LIVE_STEPS", "12"))
STEPS = ("a", "b")
PATIENCE = 120
SETTINGS = {"POSTPROCESSING_RETRY_BACKOFF_DURATION": "200ms", "UPLOADPP_LEASE_DURATION": "5s"}
T = TypeVar("T")


class World:
    """The servers, and a loop of its own for the connection to NATS."""

    def __init__(self, operator: Operator, nats: NatsServer, kubectl: Kubectl) -> None:
        self.operator, self.nats, self.kubectl = operator, nats, kubectl
        self.numbers = count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="world", daemon=True)
        self._thread.start()
        self.driver = Driver(nats.url, serves=lambda _step: False)
        self.run(self.driver.__aenter__())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop and wait for it."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(PATIENCE)

    def say(self, kind: str, payload: dict[str, Any]) -> None:
        self.run(self.driver.say(new_message(kind, payload)))

    def log(self, uploads: set[str]) -> list[Event]:
        """What the stream has of some uploads, in its order."""
        return [each for each in self.run(read_all(self.driver.js)) if each.upload_id in uploads]

    def close(self) -> None:
        self.run(self.driver.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class Live(RuleBasedStateMachine):
    """One history: a few uploads, and whatever happens to them."""

    world: ClassVar[World]
    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.mine: set[str] = set()
        self.left_alone: set[str] = set()
        """Nobody is told how these end: the storage has thrown them away, or a person their resource."""
        self.is_hurt = False

    @rule(target=uploads)
    def announce(self) -> str:
        name = f"live-{next(self.world.numbers)}"
        self.mine.add(name)
        self.world.run(self.world.driver.upload(name))
        return name

    @rule(upload=uploads)
    def announce_again(self, upload: str) -> None:
        self.world.run(self.world.driver.say(bytes_received(upload)))

    @rule(
        upload=uploads,
        step=st.sampled_from((*STEPS, "x")),
        outcome=st.sampled_from(("continue", "continue", "continue", "retry", "abort", "delete", "nonsense")),
        copies=st.integers(1, 2),
    )
    def answer(self, upload: str, step: str, outcome: str, copies: int) -> None:
        for _ in range(copies):
            self.world.say("PostprocessingStepFinished", events.step_finished(upload, step, outcome))

    @rule(upload=uploads)
    def answer_what_was_asked(self, upload: str) -> None:
        self.world.run(asyncio.sleep(0.05))
        answer_all(self.world, {upload})

    @rule(upload=uploads, step=st.sampled_from(("", *STEPS)))
    def resume(self, upload: str, step: str) -> None:
        self.world.say("ResumePostprocessing", events.resume(upload, step))

    @rule(upload=uploads, failed=st.booleans())
    def storage_is_ready(self, upload: str, *, failed: bool) -> None:
        self.world.say("UploadReady", events.upload_ready(upload, failed=failed))
        self.left_alone.add(upload)  # it has said so unasked

    @rule(upload=uploads)
    def storage_cleans(self, upload: str) -> None:
        self.world.say("CleanUpload", {"UploadID": upload})
        self.left_alone.add(upload)

    @rule(upload=uploads, state=st.sampled_from(("Suspended", "Active", "Cancelled")))
    def edit(self, upload: str, state: str) -> None:
        self.patch(upload, {"desiredState": state})

    @rule(upload=uploads, token=st.text("abc", min_size=1, max_size=2))
    def ask_for_a_restart(self, upload: str, token: str) -> None:
        self.patch(upload, {"restart": {"token": token, "mode": "Restart"}})

    @rule(upload=uploads)
    def delete(self, upload: str) -> None:
        self.world.kubectl("delete", "upp", upload, "--ignore-not-found", "--wait=false")
        self.left_alone.add(upload)

    def patch(self, upload: str, spec: dict[str, Any]) -> None:
        try:
            self.world.kubectl("patch", "upp", upload, "--type=merge", "-p", json.dumps({"spec": spec}))
        except KubectlError as error:
            if not any(words in str(error) for words in ("not found", "immutable", "Invalid", "invalid")):
                raise

    @precondition(lambda self: not self.is_hurt)
    @rule(what=st.sampled_from(("kill", "nats")))
    def hurt(self, what: str) -> None:
        self.is_hurt = True
        if what == "kill":
            self.world.operator.kill()
            self.world.run(start_working(self.world.operator))
        else:
            self.world.nats.restart()

    def teardown(self) -> None:
        """All come to an end once somebody answers, and the log is one that could have been."""
        settle(self.world, self.mine, self.mine - self.left_alone)
        check(self.world.log(self.mine), self.mine - self.left_alone)
        metrics = self.world.operator.metrics()
        for name in (
            "uploadpp_upload_faults_total",
            "uploadpp_bad_messages_total",
            "uploadpp_messages_missed_total",
        ):
            assert not sum(samples(metrics, name).values()), name


def answer_all(world: World, uploads: set[str]) -> None:
    """Say `continue` to each start that nobody has answered since."""
    open_starts: dict[tuple[str, str], bool] = {}
    for event in world.log(uploads):
        if event.type == "StartPostprocessingStep":
            open_starts[event.upload_id, event.payload["StepToStart"]] = True
        elif event.type == "PostprocessingStepFinished":
            open_starts[event.upload_id, event.payload["FinishedStep"]] = False
    for (upload, step), is_open in open_starts.items():
        if is_open:
            world.say("PostprocessingStepFinished", events.step_finished(upload, step, "continue"))


def settle(world: World, uploads: set[str], expected: set[str]) -> None:
    """Let all go on, and wait until the storage was told the end of those that are expected to have one."""
    deadline = time.monotonic() + PATIENCE
    missing = set(expected)
    while missing and time.monotonic() < deadline:
        for item in world.kubectl.json("get", "upp")["items"]:
            name = item["spec"]["upload"]["id"]
            if name in missing and item["spec"].get("desiredState") == "Suspended":
                world.kubectl(
                    "patch", "upp", name, "--type=merge", "-p", '{"spec":{"desiredState":"Active"}}'
                )
        answer_all(world, uploads)
        world.run(asyncio.sleep(0.2))
        missing = expected - {
            each.upload_id for each in world.log(uploads) if each.type == "PostprocessingFinished"
        }
    assert not missing, f"no end of {sorted(missing)}: {world.kubectl.json('get', 'upp')['items']}"


def check(log: list[Event], aborted_once: set[str]) -> None:
    """No step begins before the one before it has answered, and none is released without its answers."""
    ids = [each.id for each in log if each.type in {"StartPostprocessingStep", "PostprocessingFinished"}]
    assert len(ids) == len(set(ids)), "an event of ours is in the log twice"
    started: set[tuple[str, str]] = set()
    passed: set[tuple[str, str]] = set()
    aborted: list[str] = []
    for event in log:
        upload = event.upload_id
        match event.type:
            case "StartPostprocessingStep":
                step = event.payload["StepToStart"]
                assert step in STEPS
                assert STEPS.index(step) == 0 or (upload, STEPS[0]) in passed, (
                    f"{step} of {upload} began too early"
                )
                started.add((upload, step))
            case "PostprocessingStepFinished" if event.payload["Outcome"] == "continue":
                if (upload, event.payload["FinishedStep"]) in started:
                    passed.add((upload, event.payload["FinishedStep"]))
            case "PostprocessingFinished":
                outcome = event.payload["Outcome"]
                aborted += [upload] * (outcome == "abort" and upload in aborted_once)
                unanswered = [step for step in STEPS if (upload, step) not in passed]
                assert outcome != "continue" or not unanswered, f"{upload} was released without {unanswered}"
    assert len(aborted) == len(set(aborted)), "a second abort makes the storage remove the bytes"


def said(*events_of: tuple[str, str]) -> list[Event]:
    """A log of one upload: kinds of events, and their step or outcome."""
    found = []
    for number, (kind, word) in enumerate(events_of):
        outcome = {"FinishedStep": word, "Outcome": "continue"} if kind == ANSWER else {"Outcome": word}
        payload = {"UploadID": "u", "StepToStart": word} if kind == START else {"UploadID": "u", **outcome}
        found.append(Event(kind, payload, {"eventid": f"{number}"}))
    return found


START, ANSWER, END = "StartPostprocessingStep", "PostprocessingStepFinished", "PostprocessingFinished"
BOTH = ((START, "a"), (ANSWER, "a"), (START, "b"), (ANSWER, "b"))


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        (said((START, "b")), "too early"),
        (said((ANSWER, "a"), (START, "a"), (START, "b")), "too early"),
        (said((START, "a"), (ANSWER, "a"), (END, "continue")), "without"),
        (said((START, "a"), (ANSWER, "a"), (START, "b"), (END, "continue"), (ANSWER, "b")), "without"),
        (said(*BOTH, (END, "abort"), (END, "abort")), "second abort"),
        (said(*BOTH, (END, "continue"))[:1] * 2, "twice"),
    ],
)
def test_a_log_that_could_not_have_been_is_noticed(log: list[Event], problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        check(log, {"u"})
    check(said(*BOTH, (END, "continue"), (END, "continue")), {"u"})


def test_whatever_services_and_people_do_in_any_order(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, kubectl: Kubectl
) -> None:
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS, SETTINGS)
    operator = Operator(instance, options)
    asyncio.run(start_working(operator))
    here = World(operator, nats, kubectl)

    class Here(Live):
        world = here

    budget = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS_EACH,
        deadline=None,
        derandomize="LIVE_EXAMPLES" not in os.environ,
        database=None,
        phases=(Phase.generate,),  # a history takes seconds: the failing one is printed as it was
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Here, settings=budget)
    finally:
        here.close()
    log = operator.log.read_text()
    assert "Traceback" not in log
    assert log_lines(log)
