"""Whether each upload keeps the rule that it got, and what the rule says comes to pass."""

from collections.abc import Sequence

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.model import StepPlan, Upload
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.states import Outcome
from uploadpp.testing.apiserver import Change
from uploadpp.testing.invariants import Checks, Invariant
from uploadpp.testing.policies import Policies
from uploadpp.testing.stream_recorder import Record, StreamRecorder


class PolicyChecks:
    """Looks at each own event, and at each status that is written."""

    def __init__(
        self, checks: Checks, journal: StreamRecorder, policies: Policies, configs: Sequence[Config]
    ) -> None:
        self._checks = checks
        self._journal = journal
        self._policies = policies
        self._configured = {config.steps for config in configs}
        self.held: set[str] = set()
        """Uploads of which a status has said that a policy holds them."""

    def look(self, record: Record) -> None:
        """Look at an event."""
        mark, planned = record.mark, record.planned
        if mark is None or planned is None:
            return
        if planned.policy is not None:
            rule = self._policies.rule(planned.policy)
            if rule is None:
                self._checks.broken(Invariant.PLAN_KEPT, f"{record.text()}: no rule is {planned.policy}")
                return
            if planned.plan not in self._plans(rule) or planned.priority_class != rule.priority_class:
                text = f"{record.text()}: {planned} is not what {planned.policy} says"
                self._checks.broken(Invariant.RULE_FOLLOWED, text)
            self._check_held(record, mark, rule)
        if mark.kind is Kind.FINISH and mark.detail == Outcome.CONTINUE:
            own = self._own_events(record, mark)
            first = next(each.planned for each in own if self._journal.is_kept(each))
            if first is not None and first.policy != planned.policy:
                text = f"{record.text()}: began by {first.policy}, ends by {planned.policy}"
                self._checks.broken(Invariant.PLAN_KEPT, text)

    def _plans(self, rule: Choice) -> set[tuple[StepPlan, ...]]:
        if rule.action is PolicyAction.SKIP:
            return {()}
        return self._configured if rule.plan is None else {rule.plan}

    def _own_events(self, record: Record, mark: Mark) -> list[Record]:
        """Our events for the same arrival of the upload, that one included."""
        return [
            each
            for each in self._journal.records
            if each.mark is not None and each.planned is not None and each.upload == record.upload
            if each.mark.received_at == mark.received_at
        ]

    def _check_held(self, record: Record, mark: Mark, rule: Choice) -> None:
        """What a rule holds begins only when a person lets it, or an owner with other policies began it."""
        begins = mark.kind is Kind.START or (mark.kind is Kind.FINISH and mark.detail == Outcome.CONTINUE)
        if rule.action is not PolicyAction.HOLD or not begins:
            return
        upload, journal = record.upload, self._journal
        resumed = journal.of("ResumePostprocessing", upload) or journal.of("ResumePostprocessing", "")
        others = {each.planned.policy for each in self._own_events(record, mark) if each.planned}
        if not (resumed or self._checks.doings.tokens[upload] or len(others) > 1):
            self._checks.broken(Invariant.RULE_FOLLOWED, f"{record.text()}, and nobody had let it begin")

    def stored(self, change: Change) -> None:
        """Look at a status that is written."""
        before = change.before
        if not change.status or before is None or not change.actor.startswith("operator"):
            return
        after = self._checks.read(change.resource)
        if after.policy_holds:
            self.held.add(after.id)
        is_same = before["metadata"]["uid"] == change.resource["metadata"]["uid"]
        if is_same and "status" in before and not self._checks.is_overruled(change.resource):
            self._check_kept(self._checks.read(before), after)

    def _check_kept(self, before: Upload, after: Upload) -> None:
        known = before.policy is not None or before.run > 0
        if not known or before.received_at != after.received_at:
            return
        if (before.policy, before.priority_class, before.plan) != (
            after.policy,
            after.priority_class,
            after.plan,
        ):
            text = f"{after.id}: from {before.policy} {before.plan} to {after.policy} {after.plan}"
            self._checks.broken(Invariant.PLAN_KEPT, text)
