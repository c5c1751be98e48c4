"""`restart`: begins a new run, or does what `ocis postprocessing restart` does."""

from kubectl_pp.context import Context
from kubectl_pp.restarts import ask_again


def run(context: Context) -> int:
    """Restart the chosen uploads."""
    return ask_again(context)
