"""`version`."""

import json
import sys

from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode
from uploadpp import __version__

API = "uploadpp.io/v1alpha1"


def run(context: Context) -> int:
    """Print the version."""
    if context.options.output:
        sys.stdout.write(json.dumps({"version": __version__, "api": API}) + "\n")
    else:
        sys.stdout.write(f"kubectl-pp {__version__} ({API})\n")
    return ExitCode.OK
