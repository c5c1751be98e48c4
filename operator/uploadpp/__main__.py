"""`uploadpp`, also `python -m uploadpp`: run the operator, or make a sealing key."""

import argparse
import sys

from cryptography.fernet import Fernet

from uploadpp import __version__
from uploadpp.runtime.app import App
from uploadpp.runtime.configuration import ConfigurationError, add_flags, read_settings
from uploadpp.runtime.logs import set_up

CONFIGURATION_EXIT = 2


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status (2 when the configuration cannot be used)."""
    parser = argparse.ArgumentParser(
        prog="uploadpp", description="Postprocessing of ocis and OpenCloud uploads."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the operator")
    add_flags(run)
    commands.add_parser("generate-key", help="print a new sealing key")
    options = vars(parser.parse_args(arguments))
    if options.pop("command") == "generate-key":
        sys.stdout.write(Fernet.generate_key().decode() + "\n")
        return 0
    try:
        return _run(options)
    except ConfigurationError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"uploadpp: {line}\n")
        return CONFIGURATION_EXIT


def _run(flags: dict[str, str | None]) -> int:
    settings = read_settings(flags)
    set_up(settings.log_level, settings.log_format)
    app = App(settings)
    try:
        import uvloop  # noqa: PLC0415 -- not on every platform
    except ImportError:
        import asyncio  # noqa: PLC0415 -- only as its replacement

        asyncio.run(app.run())
    else:
        uvloop.run(app.run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
