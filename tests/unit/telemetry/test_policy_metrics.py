"""The metrics of policies."""

from uploadpp.telemetry.metrics import Metrics
from uploadpp.telemetry.policy_metrics import MAX_RULES


def test_rules_are_counted_by_mode() -> None:
    metrics = Metrics()
    metrics.policies.matches("default", "videos", "Enforce").inc()
    metrics.policies.matches("default", "videos", "DryRun")
    metrics.policies.set_policies(ready=2, others=1)
    text = metrics.text().decode()
    assert 'uploadpp_policy_matches_total{mode="Enforce",policy="default",rule="videos"} 1.0' in text
    assert 'uploadpp_policy_matches_total{mode="DryRun",policy="default",rule="videos"} 0.0' in text
    assert 'uploadpp_policies{ready="true"} 2.0' in text
    assert 'uploadpp_policies{ready="false"} 1.0' in text


def test_rules_are_a_bounded_number_of_series() -> None:
    metrics = Metrics()
    for number in range(MAX_RULES + 10):
        metrics.policies.matches("p", f"rule-{number}", "Enforce").inc()
    metrics.policies.matches("p", "rule-0", "Enforce").inc()
    lines = [
        line for line in metrics.text().decode().splitlines() if line.startswith("uploadpp_policy_matches")
    ]
    assert len(lines) == MAX_RULES + 1
    assert 'uploadpp_policy_matches_total{mode="Enforce",policy="other",rule="other"} 10.0' in lines
    assert 'uploadpp_policy_matches_total{mode="Enforce",policy="p",rule="rule-0"} 2.0' in lines
