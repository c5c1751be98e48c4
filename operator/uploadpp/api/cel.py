"""The validation rules in CEL.

The API server evaluates every rule at every write, those of the status included, and each
access to a field copies the schemas of all fields next to it. So a rule stands where it
needs the fewest accesses, best on the value itself; it asks for an optional field first;
what cannot change is only looked at when it is new; and the number of fields, which needs no
access, is compared before the fields (docs/adr/0002 has the figures).
"""

from collections.abc import Sequence

from pydantic import JsonValue

Rule = dict[str, JsonValue]

FORBIDDEN = "FieldValueForbidden"
INVALID = "FieldValueInvalid"


def rules(*each: Rule) -> dict[str, JsonValue]:
    """What a model's or field's `json_schema_extra` takes."""
    return {"x-kubernetes-validations": list(each)}


def _sane_backoff(of: str) -> str:
    return (
        f"!has({of}.backoffSeconds) || !has({of}.maxBackoffSeconds) || "
        f"{of}.backoffSeconds <= {of}.maxBackoffSeconds"
    )


_KEEPS = "cannot be added or removed after the resource was created"


def _is_kept(field: str) -> str:
    return f"has(self.{field}) == has(oldSelf.{field})"


def fixed_presence(field: str) -> Rule:
    """Nobody may add or remove a field. `FIXED` does not notice that: a rule on an absent field is silent."""
    return {
        "rule": _is_kept(field),
        "message": f"{field} {_KEEPS}",
        "reason": FORBIDDEN,
        "fieldPath": f".{field}",
    }


def fixed_presences(fields: Sequence[str], sometimes: str) -> Rule:
    """Nobody may add or remove any of the optional `fields` of an object with one required field.

    The rule compares the number of fields first, which needs no access to a field. If all fields were present
    before and after, or all but `sometimes`, none was added or removed, and no other field is read.
    """
    same = " && ".join(map(_is_kept, fields))
    changed = " : ".join(f"has(self.{field}) != has(oldSelf.{field}) ? '{field}'" for field in fields[:-1])
    return {
        "rule": f"size(dyn(self)) == size(dyn(oldSelf)) && (size(dyn(self)) == {len(fields) + 1} || "
        f"(size(dyn(self)) == {len(fields)} && !has(self.{sometimes}) && !has(oldSelf.{sometimes})) || "
        f"({same}))",
        "message": "no field can be added or removed after the resource was created",
        "messageExpression": f"({changed} : '{fields[-1]}') + ' {_KEEPS}'",
        "reason": FORBIDDEN,
    }


FIXED: Rule = {
    "rule": "self == oldSelf",
    "message": "this cannot be changed once it is set",
    "reason": FORBIDDEN,
}
KEPT_SEALED: Rule = {
    "rule": "has(self.sealed) || !has(oldSelf.sealed)",
    "message": "sealed cannot be removed once it is set; the operator writes and replaces it",
    "reason": FORBIDDEN,
    "fieldPath": ".sealed",
}
CANCELLED: Rule = {
    "rule": "!has(oldSelf.desiredState) || oldSelf.desiredState != 'Cancelled' || "
    "(has(self.desiredState) && self.desiredState == 'Cancelled') || "
    "(has(self.restart) && (!has(oldSelf.restart) || self.restart.token != oldSelf.restart.token))",
    "message": "a cancelled upload stays cancelled unless the same change sets a new restart.token",
    "reason": FORBIDDEN,
    "fieldPath": ".desiredState",
}
FROM_STEP: Rule = {
    "rule": "!has(self.restart) || !has(self.restart.fromStep) || !has(self.steps) || "
    "self.steps.exists(step, step.name == self.restart.fromStep) || "
    "(self.restart.fromStep == 'finished' && has(self.restart.mode) && self.restart.mode == 'ResumeStep')",
    "message": "restart.fromStep must be the name of one of spec.steps",
    "reason": INVALID,
    "fieldPath": ".restart.fromStep",
}
STEPS: Rule = {
    "rule": "oldSelf.hasValue() || self.all(step, step.name != 'finished' && "
    f"self.exists_one(other, other.name == step.name) && ({_sane_backoff('step')}))",
    "optionalOldSelf": True,
    "message": "every step needs a name of its own, other than the reserved word finished, and a "
    "backoffSeconds not greater than its maxBackoffSeconds",
    "reason": INVALID,
}
UNRESERVED: Rule = {
    "rule": "self != 'finished'",
    "message": "finished is a reserved word",
    "reason": INVALID,
}
UNSKIPPED: Rule = {
    "rule": "!has(self.steps) || !has(self.action) || self.action != 'Skip'",
    "message": "a rule with the action Skip runs no steps, so it cannot have any",
    "reason": INVALID,
    "fieldPath": ".steps",
}
OWN_NAMES: Rule = {
    "rule": "self.all(rule, self.exists_one(other, other.name == rule.name))",
    "message": "every rule needs a name of its own",
    "reason": INVALID,
}
BACKOFF: Rule = {
    "rule": _sane_backoff("self"),
    "message": "backoffSeconds must not be greater than maxBackoffSeconds",
    "reason": INVALID,
    "fieldPath": ".backoffSeconds",
}
