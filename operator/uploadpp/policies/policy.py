"""A policy as the operator uses it. Reading one never fails: what is wrong with it is a problem."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from uploadpp.api.field_reader import FieldReader
from uploadpp.api.field_types import ApiModel, api_name
from uploadpp.api.plan import decode_step
from uploadpp.api.policy import MAX_RULES, PolicyMode, PolicyRule, PostprocessingPolicySpec
from uploadpp.core.config import Config
from uploadpp.core.model import DELAY_STEP, FINISHED_STEP, PolicyRef, StepPlan
from uploadpp.core.policy import PolicyAction
from uploadpp.core.shares import NORMAL
from uploadpp.core.states import Word
from uploadpp.core.text import clean
from uploadpp.policies.expression import Expression, ExpressionError, Facts, compile_expression

M = TypeVar("M", bound=ApiModel)
MAX_SAID = 400
MAX_NAME = 63
UNNAMED = "unnamed"
"""What has no name of its own is called this: an upload must be able to say which rule holds it."""
_NOTHING: Mapping[str, Any] = {}


class ProblemReason(Word):
    """What is wrong, as the reason of the condition `Ready`."""

    INVALID_EXPRESSION = "InvalidExpression"
    INVALID_RULE = "InvalidRule"
    LIMIT_EXCEEDED = "LimitExceeded"
    UNKNOWN_STEP = "UnknownStep"
    UNKNOWN_PRIORITY_CLASS = "UnknownPriorityClass"


WARNINGS = frozenset({ProblemReason.UNKNOWN_STEP, ProblemReason.UNKNOWN_PRIORITY_CLASS})
"""The rule can be used all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong with a rule, or with the policy as a whole if it names no rule."""

    rule: str
    reason: ProblemReason
    text: str

    @property
    def is_warning(self) -> bool:
        """Whether the rule can be used all the same."""
        return self.reason in WARNINGS

    def __str__(self) -> str:
        return f"rule {self.rule}: {self.text}" if self.rule else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. With an error, the uploads that come to it or that it matches are held."""

    name: str
    text: str = ""
    """The expression as it is written; empty if the rule is for every upload."""
    expression: Expression | None = None
    action: PolicyAction = PolicyAction.RUN
    plan: tuple[StepPlan, ...] | None = None
    """The steps; None for the configured ones."""
    priority_class: str = ""
    error: str = ""
    """Why nobody can tell which uploads it matches."""
    fault: str = ""
    """Why it cannot be carried out for the uploads that it matches."""

    def matches(self, facts: Facts) -> bool:
        """Whether it is about the upload.

        Raises:
            ExpressionError: nobody can tell.
        """
        if self.error:
            raise ExpressionError(self.error)
        return self.expression is None or self.expression.matches(facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one PostprocessingPolicy."""

    name: str
    generation: int = 0
    order: int = 0
    mode: PolicyMode = PolicyMode.ENFORCE
    rules: tuple[Rule, ...] = ()
    problems: tuple[Problem, ...] = ()

    def ref(self, rule: Rule) -> PolicyRef:
        """What an upload says of the rule that it got."""
        return PolicyRef(self.name, self.generation, rule.name)

    @property
    def is_ready(self) -> bool:
        """Whether all rules can be used; warnings do not count."""
        return all(problem.is_warning for problem in self.problems)

    @property
    def reason(self) -> str:
        """The reason of the condition `Ready`."""
        found = sorted(self.problems, key=lambda problem: problem.is_warning)
        return found[0].reason if found else "Accepted"

    @property
    def message(self) -> str:
        """The message of the condition `Ready`: what is wrong, errors first."""
        found = sorted(self.problems, key=lambda problem: problem.is_warning)
        return clean("; ".join(map(str, found)))


class PolicyReader:
    """Makes a policy of its resource, a rule at a time: to compile one takes some milliseconds.

    The API server has validated it, but perhaps with another version of the CRD. What this version cannot
    read is a problem of a rule; if no rule is to blame, one without a name holds every upload.
    """

    def __init__(self, resource: Mapping[str, Any], config: Config) -> None:
        """Read everything but the rules."""
        metadata, spec = _object(resource.get("metadata")), _object(resource.get("spec"))
        name, generation = metadata.get("name"), metadata.get("generation")
        listed: Any = spec.get("rules")
        head = {field: value for field, value in spec.items() if field != "rules"}
        parsed, error = _parsed(PostprocessingPolicySpec, {**head, "rules": [{"name": "any"}]})
        if not error and (not isinstance(listed, list) or not listed):
            error = "rules: must be a list with at least one rule"
        if not error and len(listed) > MAX_RULES:
            error = f"rules: has {len(listed)} rules, and {MAX_RULES} are allowed; write several policies"
        self._config = config
        self._error = error
        self._listed: list[Any] = [] if error else listed
        self._head = Policy(
            name=(isinstance(name, str) and name) or UNNAMED,
            generation=generation if isinstance(generation, int) else 0,
            order=(parsed.order or 0) if parsed else 0,
            mode=(parsed.mode or PolicyMode.ENFORCE) if parsed else PolicyMode.ENFORCE,
        )

        self.policy = self.refused(ProblemReason.INVALID_RULE, "its rules have not been read")
        """The policy, once it is read. Until then, it holds every upload."""

    @property
    def place(self) -> tuple[int, str]:
        """Where the policy stands among others: those with a smaller place are asked first."""
        return self._head.order, self._head.name

    @property
    def characters(self) -> int:
        """How long its rules are together, as JSON."""
        return sum(len(orjson.dumps(each)) for each in self._listed)

    def refused(self, reason: ProblemReason, error: str) -> Policy:
        """The policy without its rules: it holds every upload that comes to it, and says why."""
        problem = Problem(rule="", reason=reason, text=error)
        return replace(self._head, rules=(Rule(name=UNNAMED, error=error),), problems=(problem,))

    def read(self) -> Iterator[None]:
        """Read a rule at each step. `policy` is the policy after the last one."""
        if self._error:
            self.policy = self.refused(ProblemReason.INVALID_RULE, self._error)
            return
        rules: list[Rule] = []
        problems: list[Problem] = []
        for value in self._listed:
            rule, found = _read_rule(value, self._config)
            if not rule.error and any(rule.name == other.name for other in rules):
                fault = "another rule has the same name; give every rule a name of its own"
                rule, found = replace(rule, fault=fault), [*found, _invalid(rule.name, fault)]
            rules.append(rule)
            problems += found
            yield
        self.policy = replace(self._head, rules=tuple(rules), problems=tuple(problems))


def read_policy(resource: Mapping[str, Any], config: Config) -> Policy:
    """A policy from its resource, all of it at once (see `PolicyReader`)."""
    reader = PolicyReader(resource, config)
    for _ in reader.read():
        pass
    return reader.policy


def _read_rule(value: object, config: Config) -> tuple[Rule, list[Problem]]:
    fields = _object(value)
    name = fields.get("name")
    name = (isinstance(name, str) and clean(name, MAX_NAME)) or UNNAMED
    parsed, error = _parsed(PolicyRule, fields)
    if parsed is None:
        return Rule(name=name, error=error), [_invalid(name, error)]
    problems: list[Problem] = []
    expression, error = _compiled(parsed.match)
    if error:
        problems.append(Problem(rule=name, reason=ProblemReason.INVALID_EXPRESSION, text=error))
    plan, fault = _plan(parsed, config)
    configured = {step.name for step in (*config.steps, *config.unlisted_steps)}
    if fault:
        problems.append(_invalid(name, fault))
    problems += [
        Problem(
            rule=name,
            reason=ProblemReason.UNKNOWN_STEP,
            text=f"the operator is not configured with the step {step.name}; make sure that a service "
            "listens for it",
        )
        for step in plan or ()
        if step.name != DELAY_STEP and step.name not in configured
    ]
    classes = config.shares.classes
    if parsed.priority_class and parsed.priority_class not in classes:
        text = (
            f"the operator has no priority class {parsed.priority_class}, so uploads count as {NORMAL}; use "
            f"one of {', '.join(sorted(classes))}, or add it to UPLOADPP_PRIORITY_CLASSES"
        )
        problems.append(Problem(rule=name, reason=ProblemReason.UNKNOWN_PRIORITY_CLASS, text=text))
    rule = Rule(
        name=name,
        text=parsed.match or "",
        expression=expression,
        action=parsed.action or PolicyAction.RUN,
        plan=plan,
        priority_class=parsed.priority_class or "",
        error=error,
        fault=fault,
    )
    return rule, problems


def _compiled(match: str | None) -> tuple[Expression | None, str]:
    if match is None:
        return None, ""
    try:
        return compile_expression(match), ""
    except ExpressionError as error:
        return None, f"match: {error}"


def _plan(rule: PolicyRule, config: Config) -> tuple[tuple[StepPlan, ...] | None, str]:
    """The steps of a rule, with configured settings where they have none; and what is wrong with them."""
    if rule.action is PolicyAction.SKIP:
        return (), "a rule with the action Skip cannot have steps; remove them" if rule.steps else ""
    if rule.steps is None:
        return None, ""
    plan = tuple(
        decode_step(
            FieldReader(step.model_dump(mode="json", by_alias=True, exclude_none=True), "steps"),
            config.defaults_of(step.name),
        )
        for step in rule.steps
    )
    return plan, _fault_of(plan)


def _fault_of(plan: Iterable[StepPlan]) -> str:
    names = Counter(step.name for step in plan)
    if twice := [name for name, count in names.items() if count > 1]:
        return f"steps: {twice[0]} is listed more than once; name each step once"
    if FINISHED_STEP in names:
        return f"steps: {FINISHED_STEP} is a reserved word; give the step another name"
    for step in plan:
        if step.backoff > step.max_backoff:
            return (
                f"steps: backoffSeconds of {step.name} is longer than maxBackoffSeconds, which is "
                f"{step.max_backoff // 1000}; set both"
            )
    return ""


def _parsed(model: type[M], fields: Mapping[str, Any]) -> tuple[M | None, str]:
    try:
        return model.model_validate(fields, strict=False), ""
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(api_name(str(part)) for part in first["loc"])
        return None, clean(f"{place}: {first['msg']}", MAX_SAID)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _NOTHING


def _invalid(rule: str, text: str) -> Problem:
    return Problem(rule=rule, reason=ProblemReason.INVALID_RULE, text=text)
