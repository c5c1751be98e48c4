"""What the PostprocessingPolicies say of an upload when it arrives (docs/adr/0056)."""

from dataclasses import dataclass

from uploadpp.core.model import PolicyRef, StepPlan
from uploadpp.core.states import Word

__all__ = ("Choice", "PolicyAction", "PolicyRef")


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
