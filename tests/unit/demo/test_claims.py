"""The demo notices when what it tells is not true."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from e2e.demo.claims import RESOURCES, Facts, all_claims
from e2e.demo.sessions import Place
from e2e.demo.stories import STORIES, Story
from e2e.demo.wire import Event


def resource(story: Story) -> dict[str, Any]:
    conditions = [
        {"type": "Succeeded", "reason": story.status, "message": "because"},
        {"type": "Finished", "status": "True" if story.finished else "False"},
    ]
    if story.stalled:
        message = f"step {list(story.starts)[-1]} has not answered"
        conditions.append({"type": "Stalled", "status": "True", "message": message})
    status = {"conditions": conditions, "retryCount": story.retries, "outcome": story.outcome}
    return {"metadata": {"name": story.id}, "spec": {"sealed": f"sealed-{story.id}"}, "status": status}


def events(story: Story) -> list[Event]:
    starts = [step for step, times in story.starts.items() for _ in range(times)]
    found = [("StartPostprocessingStep", {"StepToStart": step}) for step in starts]
    found += [("PostprocessingFinished", {})] * story.finished
    return [
        Event(kind, {"UploadID": story.id, **payload}, {"eventid": f"{story.id}-{number}"})
        for number, (kind, payload) in enumerate(found)
    ]


TRUE = Facts(
    resources={story.id: resource(story) for story in STORIES},
    events=[event for story in STORIES for event in events(story)],
    places={story.id: story.place for story in STORIES},
    visible={RESOURCES: "sealed-clean", "the log": "upload clean started"},
    secrets=["mary", "/data/"],
    user_id="u-1",
    widest=80,
)


def false_claims(facts: Facts) -> Sequence[str]:
    return [claim.text for claim in all_claims(STORIES, facts) if not claim.holds]


def changed(story_id: str, part: str, value: Mapping[str, Any]) -> Facts:
    whole = TRUE.resources[story_id]
    return replace(TRUE, resources={**TRUE.resources, story_id: {**whole, part: {**whole[part], **value}}})


def test_a_true_story_has_no_false_claim() -> None:
    assert false_claims(TRUE) == []
    assert len(all_claims(STORIES, TRUE)) > 40


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: replace(TRUE, places={**TRUE.places, "virus": Place.RELEASED}),
            "virus: the place of its bytes",
        ),
        (lambda: replace(TRUE, places={}), "clean: the place of its bytes"),
        (lambda: replace(TRUE, events=[*TRUE.events, TRUE.events[-1]]), "every event is on the stream once"),
        (lambda: replace(TRUE, events=TRUE.events[1:]), "clean: the number of starts"),
        (lambda: replace(TRUE, resources={}), "clean: has a resource"),
        (lambda: replace(TRUE, resources={**TRUE.resources, "x": {"metadata": {}, "spec": {}}}), "no other"),
        (lambda: replace(TRUE, visible={"the log": "GET /data/x"}), "no URL, no token and no detail"),
        (lambda: replace(TRUE, visible={"the log": "sealed-virus"}), "nothing sealed in the log"),
        (lambda: replace(TRUE, visible={"the log": "upload of u-1"}), "no id of a user"),
        (lambda: replace(TRUE, widest=81), "fitted into 80 columns (was 81)"),
        (lambda: changed("flaky", "status", {"retryCount": 3}), "flaky: the retry count is 2 (found: 3)"),
        (lambda: changed("clean", "metadata", {"finalizers": ["kopf"]}), "no finalizer"),
        (lambda: changed("clean", "metadata", {"annotations": {"kopf.dev/x": ""}}), "no finalizer"),
        (lambda: changed("orphan", "status", {"conditions": []}), "orphan: Stalled is True (found: False)"),
    ],
)
def test_a_false_claim_is_named(make: Callable[[], Facts], sentence: str) -> None:
    assert any(sentence in text for text in false_claims(make()))
