"""All policies together: which rule decides for an upload."""

from collections.abc import Iterable
from typing import NamedTuple

from uploadpp.api.policy import PolicyMode
from uploadpp.core.model import PolicyRef
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.states import Word
from uploadpp.core.text import clean
from uploadpp.policies.expression import ExpressionError, Facts
from uploadpp.policies.policy import UNNAMED, Policy, Rule


class Result(Word):
    """What came out of looking at a rule."""

    MATCHED = "Matched"
    NO_MATCH = "NoMatch"
    FAILED = "Failed"


class Considered(NamedTuple):
    """One rule that was looked at, for people who ask why."""

    ref: PolicyRef
    mode: PolicyMode
    match: str
    """The expression; empty if the rule is for every upload."""
    result: Result
    text: str = ""
    """Why it failed."""


class Verdict(NamedTuple):
    """What the policies say of an upload."""

    choice: Choice | None = None
    """None: the configured steps run."""
    matched: tuple[PolicyRef, ...] = ()
    """The rules that matched: at most one of each policy in a dry run, and then the one of `choice`.

    The rule of `choice` is not among them if the upload is held because of an error.
    """
    trace: tuple[Considered, ...] = ()
    """The rules that were looked at, in order, if that was asked for."""


NOTHING_SAID = Verdict()


class PolicySet:
    """The policies of a namespace, in their order. It never changes."""

    __slots__ = ("policies",)

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self.policies = tuple(sorted(policies, key=lambda policy: (policy.order, policy.name)))

    def __bool__(self) -> bool:
        return bool(self.policies)

    def choose(self, facts: Facts, *, explain: bool = False) -> Verdict:
        """The first rule that matches decides. The same policies always say the same of the same facts."""
        if not self.policies:
            return NOTHING_SAID
        matched: list[PolicyRef] = []
        trace: list[Considered] = []
        choice = None
        for policy in self.policies:
            for rule in policy.rules:
                result, text = _look(rule, facts)
                if explain:
                    trace.append(Considered(policy.ref(rule), policy.mode, rule.text, result, text))
                if result is Result.NO_MATCH:
                    continue
                if result is Result.MATCHED:
                    matched.append(policy.ref(rule))
                elif policy.mode is PolicyMode.DRY_RUN:
                    continue
                if policy.mode is PolicyMode.ENFORCE:
                    choice = _choice(policy, rule, text)
                break
            if choice is not None:
                break
        return Verdict(choice, tuple(matched), tuple(trace))


def _look(rule: Rule, facts: Facts) -> tuple[Result, str]:
    try:
        found = rule.matches(facts)
    except ExpressionError as error:
        return Result.FAILED, str(error)
    if not found:
        return Result.NO_MATCH, ""
    return (Result.FAILED, rule.fault) if rule.fault else (Result.MATCHED, "")


def _choice(policy: Policy, rule: Rule, error: str) -> Choice:
    who = f"policy {policy.name}" if rule.name == UNNAMED else f"rule {rule.name} of policy {policy.name}"
    if error:
        # Nobody knows which steps it should get, so not fewer than without policies.
        return Choice(
            ref=policy.ref(rule),
            action=PolicyAction.HOLD,
            message=clean(f"{who} cannot be used: {error}; correct it, for the uploads that follow"),
        )
    return Choice(
        ref=policy.ref(rule),
        action=rule.action,
        plan=rule.plan,
        priority_class=rule.priority_class,
    )
