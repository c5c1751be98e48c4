"""What the PostprocessingPolicies say of an upload when it arrives (docs/adr/0056)."""

from dataclasses import dataclass
from typing import NamedTuple

from uploadpp.core.model import PolicyRef, StepPlan
from uploadpp.core.states import Word


class PolicyAction(Word):
    """What a rule has done with the uploads that it matches."""

    RUN = "Run"
    """The steps run."""
    SKIP = "Skip"
    """No step runs: the file is released at once."""
    HOLD = "Hold"
    """Nothing runs until a person lets the upload continue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the first rule that matches says of one upload."""

    ref: PolicyRef
    action: PolicyAction = PolicyAction.RUN
    plan: tuple[StepPlan, ...] | None = None
    """The steps; None for the configured ones."""
    priority_class: str = ""
    message: str = ""
    """Why the upload is held, for people."""


class Judged(NamedTuple):
    """What the policies say of one upload."""

    choice: Choice | None = None
    """None where no rule decides."""
    matched: tuple[PolicyRef, ...] = ()
    """The rules that matched, also in a dry run. The rule of `choice` is not among them if it is in error."""


def counted(judged: Judged, policy: PolicyRef | None) -> tuple[PolicyRef, ...]:
    """The rules that an upload counts for; `policy` is the one by which it has its steps.

    That may be another than the one that was chosen here: a replay finds in the log what a former owner with
    other policies had chosen.
    """
    chosen = judged.choice.ref if judged.choice is not None else None
    if policy == chosen:
        return judged.matched
    others = tuple(each for each in judged.matched if each != chosen)
    return (*others, policy) if policy is not None else others
