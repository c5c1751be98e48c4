"""What owners tell each other in the annotations of a Lease, and whether it is an older copy."""

from collections.abc import Callable

from uploadpp.kube.api import Json

SHARDS_ANNOTATION = "uploadpp.io/shards"
HANDED_OVER_ANNOTATION = "uploadpp.io/handed-over"
"""On a Lease that is free: its last owner stores nothing any more, but answers messages until we do."""
UNFINISHED_ANNOTATION = "uploadpp.io/unfinished"
"""How many owners in a row have ended before they were past the same part of the log (docs/adr/0026)."""
MOST_DIGITS = 7
POSITION_ANNOTATION = "uploadpp.io/position"
"""Up to where the log is in etcd (docs/adr/0051)."""


ENDS_ANNOTATION = "uploadpp.io/ends"
"""Resources of uploads that have ended, which do not tell it (docs/adr/0063)."""


def unfinished_of(annotations: dict[str, str]) -> int:
    """What a Lease says of owners that did not finish; 0 where somebody has written something else."""
    said = annotations.get(UNFINISHED_ANNOTATION, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < MOST_DIGITS else 0


def position_of(lease: Json | None) -> str:
    """The position that a Lease holds; empty when there is none."""
    meta = (lease or {}).get("metadata", {})
    return str((meta.get("annotations") or {}).get(POSITION_ANNOTATION, ""))


class EndsInLease:
    """A text about ends that is written with each renewal."""

    def __init__(self) -> None:
        self._text: str | None = None
        self.kept = ""
        """What the Lease holds of it, as we have last written it."""

    def keep(self, text: str) -> None:
        """Write this from now on; nothing when it is empty. Before that, what is there stays."""
        self._text = text

    def say(self, annotations: dict[str, str]) -> None:
        """Write it into the annotations of a Lease."""
        if self._text is not None:
            annotations.pop(ENDS_ANNOTATION, None)
            annotations |= {ENDS_ANNOTATION: self._text} if self._text else {}

    def written(self, lease: Json) -> None:
        """The API server has stored a Lease of ours like this."""
        self.kept = str((lease["metadata"].get("annotations") or {}).get(ENDS_ANNOTATION, ""))


def say(annotations: dict[str, str], unfinished: int, position: str | None, ends: EndsInLease) -> None:
    """Write how many owners in a row have not come past the same part of the log, its position, and ends.

    It costs no write more. Nothing is changed where the position is None.
    """
    ends.say(annotations)
    annotations.pop(UNFINISHED_ANNOTATION, None)
    if unfinished:
        annotations[UNFINISHED_ANNOTATION] = str(unfinished)
    if position is not None:
        annotations.pop(POSITION_ANNOTATION, None)
        annotations |= {POSITION_ANNOTATION: position} if position else {}


def went_back(known: Json | None, found: Json | None) -> bool:
    """Whether the API server has a Lease as it was before our last write: etcd was put back from a copy.

    Versions of one kind of resource are numbers that grow (KEP-5504).
    """
    if known is None or found is None:
        return False
    before, now = known["metadata"], found["metadata"]
    versions = str(before.get("resourceVersion")), str(now.get("resourceVersion"))
    older = all(map(str.isdecimal, versions)) and int(versions[1]) < int(versions[0])
    return older or before.get("uid") != now.get("uid")


class PositionInLease:
    """The position of the log that is written with each renewal.

    What is written is as old as a renewal. When etcd loses less than was written since the last one, the
    Lease does not show it. A note that was true at the renewal before is then still true.
    """

    def __init__(self, age_seconds: float) -> None:
        self._age = age_seconds
        self._source: Callable[[], str] | None = None
        self._ready: str | None = None
        self._young: tuple[float, str] | None = None

    def keep(self, text: str) -> None:
        """Write this from now on; remove what is there when it is empty."""
        self._ready, self._young = text, None

    def follow(self, source: Callable[[], str]) -> None:
        """Write from now on what this says."""
        self._source = source

    @property
    def present(self) -> str | None:
        """The text for this moment; None where nothing is to be changed."""
        return self._source() if self._source is not None else self._ready

    def at(self, now: float) -> str | None:
        """The text for a renewal; None where nothing is to be changed."""
        if self._young is not None and now - self._young[0] >= self._age:
            self._ready, self._young = self._young[1], None
        return self._ready

    def written(self, now: float, present: str | None) -> None:
        """A renewal that began at a time has succeeded; `present` was the text for that moment."""
        if self._source is not None and self._young is None and present is not None:
            self._young = now, present
