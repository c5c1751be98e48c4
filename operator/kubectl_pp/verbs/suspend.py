"""`suspend`: lets the running step end, and starts no other one."""

from kubectl_pp.context import Context
from kubectl_pp.desired_state import change_all
from kubectl_pp.upload import DesiredState


def run(context: Context) -> int:
    """Suspend the chosen uploads."""
    return change_all(context, DesiredState.SUSPENDED, "suspended")
