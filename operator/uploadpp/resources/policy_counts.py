"""How many uploads each rule has matched since that was last written into the status of its policy."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from uploadpp.core.model import Millis, PolicyRef


class Matched(NamedTuple):
    """How often a rule has matched, and when last."""

    uploads: int
    last: Millis


class PolicyCounts:
    """Counts that are not written yet, by policy and rule."""

    def __init__(self, clock: Callable[[], Millis]) -> None:
        self._clock = clock
        self._found: dict[str, dict[str, Matched]] = {}

    def add(self, matched: Iterable[PolicyRef]) -> None:
        """Count an upload."""
        now = self._clock()
        for ref in matched:
            rules = self._found.setdefault(ref.name, {})
            before = rules.get(ref.rule)
            rules[ref.rule] = Matched((before.uploads if before else 0) + 1, now)

    def of(self, policy: str) -> dict[str, Matched]:
        """What is not written yet of a policy."""
        return dict(self._found.get(policy, {}))

    def written(self, policy: str, counts: dict[str, Matched]) -> None:
        """These counts are in the status now."""
        rules = self._found.get(policy, {})
        for name, each in counts.items():
            if (left := rules.pop(name, None)) is not None and left.uploads > each.uploads:
                rules[name] = Matched(left.uploads - each.uploads, left.last)
        if not rules:
            self._found.pop(policy, None)

    def keep_only(self, policies: Iterable[str]) -> None:
        """Forget the counts of policies that are gone."""
        for name in self._found.keys() - set(policies):
            del self._found[name]
