"""The commands `uploadpp adopt` and `uploadpp release`."""

import argparse
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from nats.errors import Error as NatsError

from uploadpp.core.text import clean
from uploadpp.kube.errors import ApiError
from uploadpp.kube.lease import LeaseLostError
from uploadpp.migration.adopt import Adoption, AdoptOptions
from uploadpp.migration.release import Release, ReleaseOptions
from uploadpp.migration.report import Exit, OutputFormat, RefusedToRunError, Report
from uploadpp.migration.site import open_site
from uploadpp.process.clients import UnreachableError
from uploadpp.process.configuration import ConfigurationError, add_flags, read_settings
from uploadpp.process.durations import parse_duration
from uploadpp.process.logs import LogFormat, LogLevel, set_up
from uploadpp.process.loop import run
from uploadpp.process.settings import Settings
from uploadpp.wire.bucket import DATABASE, Names
from uploadpp.wire.stream import LEGACY_DURABLES

EXITS = (
    "Exit status: 0 all is done; 1 it was interrupted, run it again; 2 the configuration cannot be used; "
    "3 done, but some uploads were left and are listed; 4 nothing was done: another process is at work."
)
DATABASE_VARIABLE, TABLE_VARIABLE = "POSTPROCESSING_STORE_DATABASE", "POSTPROCESSING_STORE_TABLE"


def add_adopt_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `uploadpp adopt`."""
    _describe(parser, "Create resources for uploads in flight at the legacy service")
    parser.add_argument(
        "--look-back",
        default="24h",
        metavar="DURATION",
        help="how far back the stream is read to find out what happened to them (default 24h)",
    )
    _add_shared_arguments(parser)


def add_release_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `uploadpp release`."""
    _describe(parser, "Hand the uploads in flight back to the legacy service")
    parser.add_argument(
        "--consumer",
        choices=LEGACY_DURABLES,
        default="",
        help="name of the legacy service's consumer, if NATS has none",
    )
    _add_shared_arguments(parser)


def _describe(parser: argparse.ArgumentParser, text: str) -> None:
    parser.usage = "%(prog)s [--dry-run] [-o text|json] [--FLAG VALUE ...]"
    parser.description = f"{text} (docs/adopting.md). It uses the settings of the operator."
    parser.epilog = EXITS


def _add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="change nothing, and report what would be done"
    )
    parser.add_argument(
        "--force", action="store_true", help="continue even if the legacy service seems to run"
    )
    waiting = "how long to wait until the legacy service and the operator have stopped (default 0s)"
    parser.add_argument("--wait", default="0s", metavar="DURATION", help=waiting)
    parser.add_argument(
        "-o", "--output", choices=list(OutputFormat), default=OutputFormat.TEXT, type=OutputFormat
    )
    database = f"bucket of the legacy service [{DATABASE_VARIABLE}; default {DATABASE}]"
    parser.add_argument("--database", default=os.environ.get(DATABASE_VARIABLE) or DATABASE, help=database)
    table = f"prefix of its keys [{TABLE_VARIABLE}]"
    parser.add_argument("--table", default=os.environ.get(TABLE_VARIABLE, ""), help=table)
    add_flags(parser)


def run_adopt(options: dict[str, Any]) -> int:
    """`uploadpp adopt`."""
    look_back = _duration(options, "look_back")

    def work(settings: Settings, shared: dict[str, Any], report: Report) -> Coroutine[Any, Any, None]:
        return adopt(settings, AdoptOptions(**shared, look_back_ms=look_back), report)

    return _run("adopt", options, work)


def _duration(options: dict[str, Any], name: str) -> int:
    text = options.pop(name)
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"--{name.replace('_', '-')}={text}: {error}") from None


def run_release(options: dict[str, Any]) -> int:
    """`uploadpp release`."""
    consumer = options.pop("consumer")

    def work(settings: Settings, shared: dict[str, Any], report: Report) -> Coroutine[Any, Any, None]:
        return release(settings, ReleaseOptions(**shared, consumer=consumer), report)

    return _run("release", options, work)


async def adopt(settings: Settings, options: AdoptOptions, report: Report) -> None:
    """Adopt with these settings; the report says what was done."""
    async with open_site(settings, "uploadpp-adopt") as site:
        await Adoption(site, options, report).run()


async def release(settings: Settings, options: ReleaseOptions, report: Report) -> None:
    """Give back with these settings; the report says what was done."""
    async with open_site(settings, "uploadpp-release") as site:
        await Release(site, options, report).run()


def _run(
    name: str,
    options: dict[str, Any],
    work: Callable[[Settings, dict[str, Any], Report], Coroutine[Any, Any, None]],
) -> int:
    form, dry_run = options.pop("output"), options.pop("dry_run")
    names = Names(options.pop("database"), options.pop("table"))
    shared: dict[str, Any] = {"names": names, "dry_run": dry_run, "force": options.pop("force")}
    shared["wait_seconds"] = _duration(options, "wait") / 1000
    settings, report = read_settings(options), Report(name, dry_run=dry_run)
    set_up(LogLevel.ERROR, LogFormat.TEXT)
    try:
        run(work(settings, shared, report))
    except RefusedToRunError as error:
        return _say(error, Exit.REFUSED)
    except (UnreachableError, ApiError, NatsError, LeaseLostError, TimeoutError) as error:
        report.write(form)
        return _say(f"interrupted, run it again: {str(error) or type(error).__name__}", Exit.FAILED)
    report.write(form)
    return report.exit


def _say(text: object, status: Exit) -> int:
    sys.stderr.write(f"uploadpp: {clean(str(text))}\n")
    return status
