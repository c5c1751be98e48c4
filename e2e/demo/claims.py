"""The demo says what happened; here it is checked against the API server, the stream and the disk."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2e.demo.screen import WIDTH
from e2e.demo.sessions import Place
from e2e.demo.stories import Story
from e2e.demo.wire import Event

RESOURCES = "resources"


@dataclass(frozen=True)
class Claim:
    """One sentence that must be true."""

    text: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was found at the end."""

    resources: Mapping[str, Mapping[str, Any]]
    events: Sequence[Event]
    places: Mapping[str, Place]
    visible: Mapping[str, str]
    """Everything a person may read, by where it was read."""
    secrets: Sequence[str]
    user_id: str
    widest: int
    """The longest line of kubectl's table."""

    def sealed(self) -> list[str]:
        """What resources carry encrypted; it belongs nowhere else."""
        return [
            resource["spec"]["sealed"] for resource in self.resources.values() if "sealed" in resource["spec"]
        ]

    def count(self, kind: str, upload_id: str) -> int:
        """How many events of a kind the stream holds for an upload."""
        return sum(event.type == kind and event.upload_id == upload_id for event in self.events)

    def starts(self, upload_id: str) -> Counter[str]:
        """How often each step of an upload was started."""
        return Counter(
            event.payload["StepToStart"]
            for event in self.events
            if event.type == "StartPostprocessingStep" and event.upload_id == upload_id
        )

    def condition(self, upload_id: str, kind: str) -> Mapping[str, str]:
        """A condition of a resource, empty when it has none of that type."""
        conditions = self.resources.get(upload_id, {}).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})


def all_claims(stories: Sequence[Story], facts: Facts) -> list[Claim]:
    """Every claim of the demo."""
    own = [claim for story in stories for claim in _of_story(story, facts)]
    return [*own, *_of_secrets(facts), *_of_everything(stories, facts)]


def _of_story(story: Story, facts: Facts) -> Iterator[Claim]:
    name, status = story.id, facts.resources.get(story.id, {}).get("status", {})

    def equal(what: str, wanted: object, found: object) -> Claim:
        return Claim(f"{name}: {what} is {wanted!r} (found: {found!r})", wanted == found)

    yield Claim(f"{name}: has a resource", name in facts.resources)
    yield equal("the reason of Succeeded", story.status, facts.condition(name, "Succeeded").get("reason"))
    finished = facts.condition(name, "Finished").get("status") == "True"
    yield equal("Finished", bool(story.finished), finished)
    yield equal("the outcome", story.outcome, status.get("outcome") or "")
    yield equal("the retry count", story.retries, status.get("retryCount") or 0)
    yield equal("the place of its bytes", str(story.place), str(facts.places.get(name)))
    yield equal(
        "the number of PostprocessingFinished", story.finished, facts.count("PostprocessingFinished", name)
    )
    yield equal("the number of starts of each step", dict(story.starts), dict(facts.starts(name)))
    stalled = facts.condition(name, "Stalled")
    yield equal("Stalled", story.stalled, stalled.get("status") == "True")
    if story.stalled:
        missing = list(story.starts)[-1]
        yield Claim(f"{name}: Stalled says that {missing} is missing", missing in stalled.get("message", ""))


def _of_secrets(facts: Facts) -> Iterator[Claim]:
    for where, text in facts.visible.items():
        hidden = not any(secret in text for secret in facts.secrets)
        yield Claim(f"no URL, no token and no detail of a user in {where}", hidden)
    for where in sorted(facts.visible.keys() - {RESOURCES}):
        hidden = not any(text in facts.visible[where] for text in [facts.user_id, *facts.sealed()])
        yield Claim(f"no id of a user and nothing sealed in {where}", hidden)


def _of_everything(stories: Sequence[Story], facts: Facts) -> Iterator[Claim]:
    wanted, found = {story.id for story in stories}, set(facts.resources)
    yield Claim(f"there is no other resource (found: {sorted(found - wanted)})", found <= wanted)
    ids = [event.id for event in facts.events]
    yield Claim("every event is on the stream once", len(ids) == len(set(ids)))
    metadata = [resource["metadata"] for resource in facts.resources.values()]
    extra = {key for each in metadata for key in each.get("annotations", {}) if "kopf" in key}
    extra |= {finalizer for each in metadata for finalizer in each.get("finalizers", [])}
    yield Claim(f"no finalizer and no annotation of kopf's (found: {sorted(extra)})", not extra)
    yield Claim(f"kubectl's table fitted into {WIDTH} columns (was {facts.widest})", facts.widest <= WIDTH)
