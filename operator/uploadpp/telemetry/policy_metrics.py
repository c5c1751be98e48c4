"""The metrics of policies: how many there are, and how many uploads their rules have matched."""

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from uploadpp.telemetry.counters import UnlockedCounter, UnlockedCounters

MAX_RULES = 500
"""Rules that are counted one by one. Policies come and go, and each rule is a series that stays."""
OTHER = "other"


class PolicyMetrics:
    """Counted per rule; names of policies and rules are words of those who write them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._policies = UnlockedCounters(
            GaugeMetricFamily,
            "uploadpp_policies",
            "PostprocessingPolicies, by whether their condition Ready is True.",
            ("ready",),
            registry=registry,
        )
        self._matches = UnlockedCounters(
            CounterMetricFamily,
            "uploadpp_policy_matches",
            "Uploads that a rule of a policy has matched, by the mode of the policy. After the first "
            f"{MAX_RULES} rules, further ones are counted as `{OTHER}`.",
            ("policy", "rule", "mode"),
            registry=registry,
        )
        self._rules: set[tuple[str, str, str]] = set()

    def set_policies(self, *, ready: int, others: int) -> None:
        """How many there are now."""
        self._policies.labels("true").set(ready)
        self._policies.labels("false").set(others)

    def matches(self, policy: str, rule: str, mode: str) -> UnlockedCounter:
        """The counter of a rule. One that was not counted yet begins at 0."""
        key = (policy, rule, mode)
        if key not in self._rules:
            if len(self._rules) >= MAX_RULES:
                return self._matches.labels(OTHER, OTHER, mode)
            self._rules.add(key)
        return self._matches.labels(*key)
