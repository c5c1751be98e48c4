"""`resume`: starts the current step again, now."""

from kubectl_pp.context import Context
from kubectl_pp.restarts import ask_again


def run(context: Context) -> int:
    """Resume the chosen uploads."""
    return ask_again(context)
