"""The policies that are in force, and what they say of an upload that arrives.

A new set takes the place of the former one in one assignment. Uploads that have arrived keep the plan that
they got (docs/adr/0015), so nothing else has to be told.
"""

import logging
from typing import NamedTuple

from uploadpp.core.config import Config
from uploadpp.core.model import MAX_MESSAGE, FileInfo, Origin, PolicyRef
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.text import clean
from uploadpp.pipeline.ports import Json
from uploadpp.policies.facts import Facts, facts_of
from uploadpp.policies.policy import Policy, read_policy
from uploadpp.policies.policy_set import PolicySet, Verdict
from uploadpp.resources.policy_counts import PolicyCounts
from uploadpp.resources.policy_status import Judgement
from uploadpp.telemetry.policy_metrics import PolicyMetrics

log = logging.getLogger(__name__)

FAILED = "the operator failed to judge this upload by its policies; its log says why. Report it as a bug"


class Would(NamedTuple):
    """What would become of an upload."""

    verdict: Verdict
    policies: tuple[Policy, ...]
    """The policies that were asked."""


class CurrentPolicies:
    """The policies of the namespace, as they are now."""

    def __init__(self, config: Config, metrics: PolicyMetrics, counts: PolicyCounts) -> None:
        self.config = config
        self._metrics = metrics
        self._counts = counts
        self._read: dict[tuple[str, int], Policy] = {}
        self._by_name: dict[str, Policy] = {}
        self._set: PolicySet | None = None

    def take(self, resources: list[Json]) -> None:
        """Put all policies into force, in place of those before."""
        read = {_version(each): self._policy(each) for each in resources}
        policies = read.values()
        self._read, self._by_name = read, {each.name: each for each in policies}
        self._set = PolicySet(policies)
        ready = sum(each.is_ready for each in policies)
        self._metrics.set_policies(ready=ready, others=len(policies) - ready)
        for policy in policies:
            for rule in policy.rules:
                self._metrics.matches(policy.name, rule.name, policy.mode)

    def _policy(self, resource: Json) -> Policy:
        """A policy; one that has not changed is not compiled again."""
        return self._read.get(_version(resource)) or read_policy(resource, self.config)

    def choose(self, origin: Origin, file: FileInfo) -> Choice | None:
        """What they say of an upload that arrives; None where none matches. It never raises."""
        try:
            if self._set is None:
                raise RuntimeError("the policies are not known")  # noqa: TRY301 -- no shard is taken before
            verdict = self._set.choose(facts_of(origin, file))
            self._count(verdict)
        except Exception:
            log.exception("cannot judge an upload, which is held; this is a bug, please report it")
            ref = PolicyRef("unknown", 0, "unknown")
            return Choice(ref=ref, action=PolicyAction.HOLD, message=FAILED)
        return verdict.choice

    def _count(self, verdict: Verdict) -> None:
        self._counts.add(verdict.matched)
        for ref in verdict.matched:
            self._metrics.matches(ref.name, ref.rule, self._by_name[ref.name].mode).inc()

    def judge(self, name: str) -> Judgement | None:
        """What the condition Ready of a policy should say."""
        policy = self._by_name.get(name)
        if policy is None:
            return None
        message = clean(policy.message, MAX_MESSAGE)
        return Judgement(policy.generation, policy.is_ready, policy.reason, message)

    def would(self, facts: Facts, others: list[Json]) -> Would:
        """What would become of an upload, with other policies in the place of those of their names."""
        instead = (read_policy(each, self.config) for each in others)
        asked = PolicySet((self._by_name | {each.name: each for each in instead}).values())
        return Would(asked.choose(facts, explain=True), asked.policies)


def _version(resource: Json) -> tuple[str, int]:
    meta = resource["metadata"]
    return meta["uid"], meta.get("generation", 1)
