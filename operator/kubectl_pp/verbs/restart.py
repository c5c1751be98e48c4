"""`restart`: begin a new run, or do what the command did that it replaces."""

from kubectl_pp.context import Context
from kubectl_pp.restarts import ask_again


def run(context: Context) -> int:
    """Restart the chosen uploads."""
    return ask_again(context)
