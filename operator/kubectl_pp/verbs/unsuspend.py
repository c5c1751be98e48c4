"""`unsuspend`: ends a suspension."""

from kubectl_pp.context import Context
from kubectl_pp.desired_state import change_all
from kubectl_pp.upload import DesiredState


def run(context: Context) -> int:
    """Let the chosen uploads continue."""
    return change_all(context, DesiredState.ACTIVE, "unsuspended")
