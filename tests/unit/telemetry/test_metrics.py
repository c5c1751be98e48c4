"""What Prometheus gets to see: complete from the start, of bounded size, and computed when asked for."""

from collections import Counter
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import StepFinished
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.core.states import DesiredState, Ignored, Stage
from uploadpp.steps.metrics import StepMetrics
from uploadpp.telemetry.metrics import MAX_STEP_NAMES, OTHER, Metrics
from uploadpp.telemetry.upload_ages import oldest
from uploadpp.testing.builders import ARRIVAL, NOW, PASSED, SECOND, after, begun

BOUNDED = {
    "version",
    "stage",
    "step",
    "outcome",
    "reason",
    "defect",
    "kind",
    "input",
    "verb",
    "result",
    "shard",
    "le",
    "ready",
    # Rules of policies: `policy_metrics.MAX_RULES` at most.
    "policy",
    "rule",
    "mode",
}
RUNNING, ENDED = after(ARRIVAL), after(*PASSED)
AWAITING = after(ARRIVAL, StepFinished("virusscan", "continue"), StepFinished("policies", "continue"))


def series(metrics: Metrics) -> list[tuple[str, tuple[tuple[str, str], ...], float]]:
    found = text_string_to_metric_families(metrics.text().decode())
    return [(s.name, tuple(sorted(s.labels.items())), s.value) for family in found for s in family.samples]


def test_a_step_is_shown_before_its_first_answer() -> None:
    metrics = Metrics()
    metrics.moved(None, RUNNING)
    found = {(name, labels): value for name, labels, value in series(metrics)}
    step = ("step", "virusscan")
    for outcome in ("continue", "timeout"):
        assert found["uploadpp_step_duration_seconds_count", (("outcome", outcome), step)] == 0
    assert found["uploadpp_step_retries_total", (step,)] == 0


def durations(metrics: Metrics) -> dict[str, float]:
    """How many attempts have ended, by outcome."""
    name = "uploadpp_step_duration_seconds_count"
    return {dict(labels)["outcome"]: value for found, labels, value in series(metrics) if found == name}


def test_a_time_out_is_no_answer() -> None:
    """The state of the upload has the outcome `retry` for both; an alert has to tell them apart."""
    metrics = Metrics()
    metrics.watch_answers(["virusscan"])
    for retries in (0, 3):  # out of retries, and not
        story = begun(StepPlan(name="virusscan", timeout=SECOND, max_retries=retries))
        before = story.upload
        story.timer()
        metrics.happened(before, story.upload)
    assert durations(metrics) == {"timeout": 2}
    assert metrics.answered_at["virusscan"] < 0
    story = begun(StepPlan(name="virusscan", timeout=SECOND))
    before = story.upload
    story.answers("retry")
    metrics.happened(before, story.upload)
    assert durations(metrics) == {"timeout": 2, "retry": 1}
    assert metrics.answered_at["virusscan"] > 0


def test_an_attempt_that_is_cut_short_is_no_answer() -> None:
    metrics = Metrics()
    metrics.watch_answers(["virusscan"])
    story = begun("virusscan")
    before = story.upload
    story.wanted(DesiredState.CANCELLED)
    metrics.happened(before, story.upload)
    assert durations(metrics) == {}
    assert metrics.answered_at["virusscan"] < 0


def older(upload: Upload, seconds: int) -> Upload:
    """The same upload, everything so much earlier."""
    by = 1000 * seconds
    steps = tuple(
        evolve(s, started_at=Millis(s.started_at - by)) if s.started_at else s for s in upload.steps
    )
    return evolve(
        upload,
        since=Millis(upload.since - by),
        started_at=Millis((upload.started_at or 0) - by),
        steps=steps,
    )


def test_the_oldest_of_each_place() -> None:
    found = oldest([RUNNING, older(RUNNING, 60), older(RUNNING, 5), AWAITING, older(ENDED, 600)])
    assert found == {
        (Stage.RUNNING, "virusscan"): (NOW - 60_000, NOW - 60_000),
        (Stage.AWAITING_READY, "finished"): (NOW + 2000, NOW),
    }


def test_a_long_life_and_a_long_wait_may_be_of_two_uploads() -> None:
    retried = evolve(older(RUNNING, 900), steps=RUNNING.steps)
    found = oldest([retried, older(RUNNING, 60)])
    assert found == {(Stage.RUNNING, "virusscan"): (NOW - 60_000, NOW - 900_000)}


def test_uploads_of_different_plans_in_one_place() -> None:
    plans = [(StepPlan(name="a"),), (StepPlan(name="b"),)]
    pending = [
        Upload(id=plan[0].name, received_at=NOW, since=Millis(NOW - age), plan=plan)
        for age, plan in enumerate(plans)
    ]
    assert oldest(pending) == {(Stage.PENDING, ""): (NOW - 1, NOW - 1)}


def test_s2_an_upload_that_makes_no_sense_hides_no_other() -> None:
    broken = evolve(RUNNING, steps=(), cursor=0)
    found = oldest([broken, older(RUNNING, 60)])
    assert found == {(Stage.RUNNING, "virusscan"): (NOW - 60_000, NOW - 60_000)}


def test_ages_are_shown_where_somebody_is() -> None:
    metrics = Metrics()
    assert "uploadpp_oldest_in_stage_seconds{" not in metrics.text().decode()
    metrics.ages.tell_of(lambda: [older(RUNNING, 60), ENDED], lambda: Millis(NOW + 500))
    labels = (("stage", "Running"), ("step", "virusscan"))
    assert ("uploadpp_oldest_in_stage_seconds", labels, 60.5) in series(metrics)
    assert ("uploadpp_oldest_upload_seconds", labels, 60.5) in series(metrics)
    metrics.ages.tell_of(
        lambda: [older(RUNNING, 60)], lambda: Millis(0)
    )  # the stream's clock is ahead of ours
    assert ("uploadpp_oldest_in_stage_seconds", labels, 0.0) in series(metrics)


def test_what_has_not_happened_is_zero() -> None:
    """Otherwise the first bad message would be no increase."""
    shown = {(name, labels): value for name, labels, value in series(Metrics())}
    for reason in Ignored:
        assert shown["uploadpp_inputs_ignored_total", (("reason", str(reason)),)] == 0
    assert shown["uploadpp_bad_messages_total", (("defect", "NotJSON"),)] == 0
    assert shown["uploadpp_log_events_total", (("input", "UploadReady"),)] == 0
    assert shown["uploadpp_checkpoint_writes_total", (("result", "unavailable"), ("verb", "any"))] == 0


def test_no_series_is_there_twice() -> None:
    metrics = Metrics()
    stages = [None, RUNNING, AWAITING, ENDED, None]
    for before, now in pairwise(stages):
        metrics.moved(before, now)
    metrics.ignored.labels(Ignored.DUPLICATE).inc()
    metrics.events.labels("BytesReceived").inc()
    twice = [
        key
        for key, count in Counter((name, labels) for name, labels, _ in series(metrics)).items()
        if count > 1
    ]
    assert twice == []
    assert ("uploadpp_uploads", (("stage", "Running"), ("step", "virusscan")), 0.0) in series(metrics)


@pytest.mark.parametrize("registry", [Metrics().registry, StepMetrics("virusscan").registry])
def test_labels_have_few_values(registry: CollectorRegistry) -> None:
    """A label that is new here needs a thought about how many values it can have."""
    found = {
        label
        for family in registry.collect()
        for sample in family.samples
        for label in sample.labels
        if not family.name.startswith("process_")
    }
    collectors = registry._collector_to_names
    named = {label for each in collectors for label in getattr(each, "_labelnames", ())}
    assert found | named <= BOUNDED


def made_by_hand(step: str) -> Upload:
    plan = tuple(
        evolve(each, name=step) if each.name == RUNNING.current_step else each for each in RUNNING.plan
    )
    return evolve(RUNNING, id=f"u-{step}", plan=plan)


def test_steps_that_people_make_up_are_a_bounded_number_of_series() -> None:
    metrics = Metrics()
    metrics.steps.label("virusscan")
    uploads = [made_by_hand(f"step-{number}") for number in range(3 * MAX_STEP_NAMES)]
    metrics.ages.tell_of(lambda: uploads, lambda: NOW)
    for upload in uploads:
        metrics.moved(None, upload)
    few = len(series(metrics))
    found = {
        dict(labels).get("step"): value
        for name, labels, value in series(metrics)
        if name == "uploadpp_uploads"
    }
    assert len(found) == MAX_STEP_NAMES
    assert found[OTHER] == 2 * MAX_STEP_NAMES + 1
    for upload in uploads:
        metrics.moved(upload, None)
    more = [made_by_hand(f"again-{number}") for number in range(MAX_STEP_NAMES)]
    for upload in more:
        metrics.moved(None, upload)
    metrics.moved(None, RUNNING)
    assert len(series(metrics)) <= few + 100
    found = {
        dict(labels).get("step"): value
        for name, labels, value in series(metrics)
        if name == "uploadpp_uploads"
    }
    assert found["virusscan"] == 1
    assert found[OTHER] == len(more)


def test_the_name_of_a_step_is_a_clean_label() -> None:
    metrics = Metrics()
    metrics.moved(None, made_by_hand('a\n"b\u202e\x1b\ud800'))
    labels = {dict(labels).get("step") for _, labels, _ in series(metrics)}
    assert 'a\\n"b\\u202e\\x1b\\ud800' in labels
