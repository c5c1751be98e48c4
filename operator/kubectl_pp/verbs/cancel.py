"""`cancel`: end uploads whose outcome the storage was not told yet."""

from kubectl_pp.context import Context
from kubectl_pp.desired_state import change_all
from kubectl_pp.upload import DesiredState


def run(context: Context) -> int:
    """Cancel the chosen uploads."""
    return change_all(context, DesiredState.CANCELLED, "cancelled")
