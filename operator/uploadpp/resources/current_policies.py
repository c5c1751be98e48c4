"""The policies that are in force, and what they say of an upload that arrives.

A new set takes the place of the former one in one assignment. Uploads that have arrived keep the plan that
they got (docs/adr/0015), so nothing else has to be told.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import NamedTuple

from uploadpp.core.config import Config
from uploadpp.core.model import MAX_MESSAGE, FileInfo, Origin, PolicyRef
from uploadpp.core.policy import Choice, Judged, PolicyAction
from uploadpp.core.text import clean
from uploadpp.pipeline.ports import Json
from uploadpp.policies.facts import Facts, facts_of
from uploadpp.policies.policy import Policy, PolicyReader, ProblemReason, read_policy
from uploadpp.policies.policy_set import PolicySet, Verdict
from uploadpp.policies.rule_limit import beyond_limit
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
        self._compiled: dict[tuple[str, int], tuple[object, Policy]] = {}
        """The specs of those that are in force, and what was made of them."""
        self._by_name: dict[str, Policy] = {}
        self._set: PolicySet | None = None

    async def take(self, resources: list[Json]) -> None:
        """Put all policies into force, in place of those before, once the last of them is read.

        Everything else goes on meanwhile, and those before stay in force. What has not changed is not
        compiled again.
        """
        readers = []
        for each in resources:
            readers.append(PolicyReader(each, self.config))
            await asyncio.sleep(0)
        beyond = beyond_limit(readers)
        compiled: dict[tuple[str, int], tuple[object, Policy]] = {}
        policies: list[Policy] = []
        for resource, reader in zip(resources, readers, strict=True):
            if why := beyond.get(reader.place):
                policies.append(reader.refused(ProblemReason.LIMIT_EXCEEDED, why))
                continue
            version, spec = _version(resource), resource.get("spec")
            before, policy = self._compiled.get(version, (None, None))
            if policy is None or before != spec:  # etcd may have been put back: then a version comes twice
                for _ in reader.read():
                    await asyncio.sleep(0)
                policy = reader.policy
            compiled[version] = (spec, policy)
            policies.append(policy)
            await asyncio.sleep(0)
        self._compiled, self._by_name = compiled, {each.name: each for each in policies}
        self._set = PolicySet(policies)
        ready = sum(each.is_ready for each in policies)
        self._metrics.set_policies(ready=ready, others=len(policies) - ready)
        for policy in policies:
            for rule in policy.rules:
                self._metrics.matches(policy.name, rule.name, policy.mode)

    def choose(self, origin: Origin, file: FileInfo) -> Judged:
        """What they say of an upload that arrives. It never raises."""
        try:
            if self._set is None:
                raise RuntimeError("the policies are not known")  # noqa: TRY301 -- no shard is taken before
            verdict = self._set.choose(facts_of(origin, file))
        except Exception:
            log.exception("cannot judge an upload, which is held; this is a bug, please report it")
            ref = PolicyRef("unknown", 0, "unknown")
            return Judged(Choice(ref=ref, action=PolicyAction.HOLD, message=FAILED))
        return Judged(verdict.choice, verdict.matched)

    def count(self, matched: Iterable[PolicyRef]) -> None:
        """Count an upload for the rules that it matches, unless their policies are gone by now."""
        found = [ref for ref in matched if ref.name in self._by_name]
        self._counts.add(found)
        for ref in found:
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
