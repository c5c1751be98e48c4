"""`help VERB`."""

import sys

from kubectl_pp.catalog import ALIASES, BY_NAME
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, UsageError
from kubectl_pp.help import page


def run(context: Context) -> int:
    """Print the manual of a verb, or the overview."""
    name = context.options.names
    if name is not None and ALIASES.get(name, name) not in BY_NAME:
        raise UsageError(f"unknown verb {name!r}", "kubectl pp --help")
    verb = BY_NAME[ALIASES.get(name, name)] if name else None
    sys.stdout.write(page(verb, context.screen.width))
    return ExitCode.OK
