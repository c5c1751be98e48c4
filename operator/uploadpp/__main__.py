"""`uploadpp`, also `python -m uploadpp`: run the operator, a step or one of the tools.

Each command loads only what it needs. A step needs nothing of the operator, and starts with half the CPU.
"""

import argparse
import errno
import gc
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from uploadpp import __version__
from uploadpp.core.text import clean, clean_lines
from uploadpp.process.configuration import ConfigurationError, add_flags, read_settings
from uploadpp.process.logs import LogFormat, LogLevel, log_what_nobody_catches, set_up
from uploadpp.process.loop import run

CONFIGURATION_EXIT = 2
GC_THRESHOLDS = (20_000, 20, 20)
NO_MORE = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""Why whatever takes our output takes no more of it."""

Act = Callable[[dict[str, Any]], int]
"""Runs a command with its options; returns the exit status."""


class Command(NamedTuple):
    """A command: a line of help, and a function that adds its arguments and returns what runs it."""

    help: str
    load: Callable[[argparse.ArgumentParser], Act]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status (2 when the configuration cannot be used)."""
    words = sys.argv[1:] if arguments is None else arguments
    asked = next((word for word in words if not word.startswith("-")), "")
    try:
        status = _act(asked, words)
        sys.stdout.flush()
    except ConfigurationError as error:
        for line in clean_lines(str(error)).split("\n"):
            sys.stderr.write(f"uploadpp: {line}\n")
        return CONFIGURATION_EXIT
    except OSError as error:
        if asked == "run" or error.filename is not None or error.errno not in NO_MORE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains once more when it exits
        if error.errno != errno.EPIPE:
            sys.stderr.write(f"uploadpp: cannot write the output: {error.strerror}\n")
        return 1
    return status


def _act(asked: str, words: list[str]) -> int:
    if asked == "step":
        from uploadpp.steps import scaffold

        if scaffold.is_asked_for(words):  # its arguments are not those of a step named `new`
            return scaffold.run({"arguments": words[2:]})
    parser = argparse.ArgumentParser(
        prog="uploadpp", description="Postprocessing of ocis and OpenCloud uploads."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parsers = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        of_command = parsers.add_parser(name, help=command.help)
        if name == asked:
            of_command.set_defaults(act=command.load(of_command))
    options = vars(parser.parse_args(words))
    del options["command"]
    act: Act = options.pop("act")
    return act(options)


def _run(parser: argparse.ArgumentParser) -> Act:
    from uploadpp.ownership.app import App

    parser.usage = "%(prog)s [--FLAG VALUE ...]"
    parser.description = (
        "Run the operator. Each flag may be given as a variable as well (in brackets, the one "
        "that counts most first); docs/configuration.md has the defaults."
    )
    add_flags(parser)

    def act(flags: dict[str, Any]) -> int:
        settings = read_settings(flags)
        set_up(settings.log_level, settings.log_format)
        log_what_nobody_catches()
        app = App(settings)
        # Uploads are many small objects that live long and make no cycles: looking for cycles less often is
        # worth a fifteenth of the time an event takes, and what was imported need not be looked through.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        run(app.run())
        return 0

    return act


def _selftest(parser: argparse.ArgumentParser) -> Act:
    from uploadpp.selftest import SelftestError, selftest

    add_flags(parser)
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="time limit")

    def act(options: dict[str, Any]) -> int:
        timeout = options.pop("timeout")
        settings = read_settings(options)
        set_up(LogLevel.ERROR, LogFormat.TEXT)
        try:
            run(selftest(settings, timeout))
        except SelftestError as error:
            sys.stderr.write(f"uploadpp: the test failed: {clean(str(error))}\n")
            return 1
        return 0

    return act


def _adopt(parser: argparse.ArgumentParser) -> Act:
    from uploadpp.migration import cli

    cli.add_adopt_arguments(parser)
    return cli.run_adopt


def _release(parser: argparse.ArgumentParser) -> Act:
    from uploadpp.migration import cli

    cli.add_release_arguments(parser)
    return cli.run_release


def _step(parser: argparse.ArgumentParser) -> Act:
    from uploadpp.steps import cli

    cli.add_arguments(parser)
    return cli.run_step


def _generate_key(_: argparse.ArgumentParser) -> Act:
    from cryptography.fernet import Fernet

    def act(_: dict[str, Any]) -> int:
        sys.stdout.write(Fernet.generate_key().decode() + "\n")
        return 0

    return act


def _stand_in(parser: argparse.ArgumentParser) -> Act:
    from uploadpp import standin

    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="as in `ocis postprocessing server`")
    return lambda options: standin.main(["uploadpp", standin.SERVICE, *options["arguments"]])


COMMANDS = {
    "run": Command("run the operator", _run),
    "selftest": Command("send a made-up upload through a running operator", _selftest),
    "adopt": Command("create resources for uploads in flight at the legacy service", _adopt),
    "release": Command("hand the uploads in flight back to the legacy service", _release),
    "step": Command("serve a step: a command, a virus scan, or rules", _step),
    "generate-key": Command("print a new sealing key", _generate_key),
    "postprocessing": Command("take the place of the legacy service's process: answer its probes", _stand_in),
}


if __name__ == "__main__":
    sys.exit(main())
