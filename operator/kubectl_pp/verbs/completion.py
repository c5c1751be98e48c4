"""`completion`: kubectl completes plugins through a program `kubectl_complete-NAME` on PATH."""

import os
import shutil
import sys
from pathlib import Path

from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, PluginError, UsageError
from kubectl_pp.proxy import WINDOWS

PROGRAM = "kubectl_complete-pp"
SCRIPT = '#!/bin/sh\n# kubectl calls this to complete `kubectl pp`.\nexec kubectl-pp __complete "$@"\n'
BATCH = "@rem kubectl calls this to complete `kubectl pp`.\n@kubectl-pp __complete %*\n"
SHELLS = {
    "bash": "type _get_comp_words_by_ref >/dev/null 2>&1 || "
    "echo 'kubectl completion needs the package bash-completion' >&2\n"
    "type __start_kubectl >/dev/null 2>&1 || source <(kubectl completion bash)\n",
    "zsh": "(( $+functions[_kubectl] )) || source <(kubectl completion zsh)\n",
    "powershell": "kubectl completion powershell | Out-String | Invoke-Expression\n",
    "fish": "functions -q __kubectl_perform_completion; or kubectl completion fish | source\n",
}


def run(context: Context) -> int:
    """Print code for the shell; with --install write the program too."""
    # As $SHELL has it, with its folder.
    shell = (context.options.names or "").rpartition("/")[2]
    if shell not in SHELLS:
        known = ", ".join(SHELLS)
        if not shell:
            raise UsageError(f"the shell must be one of {known}")
        raise UsageError(f"no completion for the shell {shell}", f"one of {known}")
    if context.options.install is not None:
        _install(context)
    elif shutil.which(PROGRAM) is None:
        context.screen.note(
            f"{PROGRAM} is not on PATH: kubectl pp completion {shell} --install=FOLDER writes it"
        )
    sys.stdout.write(SHELLS[shell])
    return ExitCode.OK


def program(system: str) -> tuple[str, str]:
    """Name and text of what kubectl calls; `system` is `os.name`. Windows runs files by their extension."""
    return (f"{PROGRAM}.cmd", BATCH) if system == WINDOWS else (PROGRAM, SCRIPT)


def _install(context: Context) -> None:
    folder = Path(context.options.install or Path(sys.argv[0]).resolve().parent)
    name, text = program(os.name)
    path = folder / name
    try:
        path.write_text(text)
        path.chmod(0o755)
    except OSError as error:
        raise PluginError(
            f"{path} is not writable: {error.strerror}", "--install=FOLDER names another folder"
        ) from error
    context.screen.note(f"{path} written")
