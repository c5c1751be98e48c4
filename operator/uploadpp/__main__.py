"""`uploadpp`, also `python -m uploadpp`: run the operator, a step or one of the tools."""

import argparse
import errno
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

from cryptography.fernet import Fernet

from uploadpp import __version__, standin
from uploadpp.core.text import clean, clean_lines
from uploadpp.migration.cli import add_commands, run_adopt, run_release
from uploadpp.ownership.app import App
from uploadpp.process.configuration import ConfigurationError, add_flags, read_settings
from uploadpp.process.logs import LogFormat, LogLevel, log_what_nobody_catches, set_up
from uploadpp.process.loop import run
from uploadpp.selftest import SelftestError, selftest
from uploadpp.steps import cli, scaffold

CONFIGURATION_EXIT = 2
NEW_STEP = "step new"
GC_THRESHOLDS = (20_000, 20, 20)
NO_MORE = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""Why whatever takes our output takes no more of it."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status (2 when the configuration cannot be used)."""
    parser = argparse.ArgumentParser(
        prog="uploadpp", description="Postprocessing of ocis and OpenCloud uploads."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    work = commands.add_parser(
        "run",
        help="run the operator",
        usage="%(prog)s [--FLAG VALUE ...]",
        description="Run the operator. Each flag may be given as a variable as well (in brackets, the one "
        "that counts most first); docs/configuration.md has the defaults.",
    )
    add_flags(work)
    test = commands.add_parser("selftest", help="send a made-up upload through a running operator")
    add_flags(test)
    test.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="time limit")
    add_commands(commands)
    cli.add_arguments(commands.add_parser("step", help="serve a step: a command, a virus scan, or rules"))
    commands.add_parser("generate-key", help="print a new sealing key")
    stand_in = commands.add_parser(
        standin.SERVICE, help="take the place of the legacy service's process: answer its probes"
    )
    stand_in.add_argument("arguments", nargs=argparse.REMAINDER, help="as in `ocis postprocessing server`")
    words = sys.argv[1:] if arguments is None else arguments
    options: dict[str, Any] = {"command": NEW_STEP, "arguments": words[2:]}
    if not scaffold.is_asked_for(words):
        options = vars(parser.parse_args(words))
    command = options.pop("command")
    if command == "generate-key":
        sys.stdout.write(Fernet.generate_key().decode() + "\n")
        return 0
    if command == standin.SERVICE:
        return standin.main(["uploadpp", command, *options["arguments"]])
    try:
        status = COMMANDS[command](options)
        sys.stdout.flush()
    except ConfigurationError as error:
        for line in clean_lines(str(error)).split("\n"):
            sys.stderr.write(f"uploadpp: {line}\n")
        return CONFIGURATION_EXIT
    except OSError as error:
        if command == "run" or error.filename is not None or error.errno not in NO_MORE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains once more when it exits
        if error.errno != errno.EPIPE:
            sys.stderr.write(f"uploadpp: cannot write the output: {error.strerror}\n")
        return 1
    return status


def _run(flags: dict[str, str | None]) -> int:
    settings = read_settings(flags)
    set_up(settings.log_level, settings.log_format)
    log_what_nobody_catches()
    app = App(settings)
    # Uploads are many small objects that live long and make no cycles: looking for cycles less often is worth
    # a fifteenth of the time an event takes, and what was imported need not be looked through at all.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    run(app.run())
    return 0


def _selftest(options: dict[str, Any]) -> int:
    timeout = options.pop("timeout")
    settings = read_settings(options)
    set_up(LogLevel.ERROR, LogFormat.TEXT)
    try:
        run(selftest(settings, timeout))
    except SelftestError as error:
        sys.stderr.write(f"uploadpp: the test failed: {clean(str(error))}\n")
        return 1
    return 0


COMMANDS: dict[str, Callable[[dict[str, Any]], int]] = {
    "run": _run,
    "step": cli.run_step,
    NEW_STEP: scaffold.run,
    "selftest": _selftest,
    "adopt": run_adopt,
    "release": run_release,
}


if __name__ == "__main__":
    sys.exit(main())
