"""Stands in for the legacy service.

Charts of ocis and OpenCloud cannot leave that service out. With our image in its place its Deployment stays
as it is: the command starts, the probes are answered, and nothing else is done. It connects to nothing.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import PurePath

from uploadpp import __version__
from uploadpp.process.health import HealthServer
from uploadpp.process.listening import explain, split_address
from uploadpp.process.logs import LogFormat, LogLevel, set_up

log = logging.getLogger(__name__)

SERVICE = "postprocessing"
PROGRAMS = ("ocis", "opencloud")
ADDRESS_VARIABLE, TOKEN_VARIABLE = "POSTPROCESSING_DEBUG_ADDR", "POSTPROCESSING_DEBUG_TOKEN"
DEFAULT_ADDRESS = "127.0.0.1:9255"
LEVEL_VARIABLES = ("POSTPROCESSING_LOG_LEVEL", "OC_LOG_LEVEL", "OCIS_LOG_LEVEL")
"""Where the service's level may be given, the one that counts most first."""
PROBE_SECONDS = 5.0
FAILED, WRONG_USE = 1, 2
ABOUT = (
    "uploads are driven by the upload-postprocessing operator; this process only takes the place of the "
    "postprocessing service"
)
METRICS = f"""\
# HELP uploadpp_stand_in_info A process that stands in for the legacy service; it drives no uploads.
# TYPE uploadpp_stand_in_info gauge
uploadpp_stand_in_info{{version="{__version__}"}} 1
"""


class _Metrics:
    def text(self) -> bytes:
        """That we are here."""
        return METRICS.encode()


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run the command of the legacy service; returns the exit status.

    `arguments` are those of the process, with the name that it was started under.
    """
    program = PurePath(arguments[0]).name if arguments else PROGRAMS[0]
    match _verb(arguments[1:]):
        case "server":
            return _serve(environment)
        case "health":
            return _probe(environment)
        case "version":
            sys.stdout.write(f"upload-postprocessing {__version__}, standing in for {program} {SERVICE}\n")
            return 0
        case "resume" | "restart":
            return _refuse(f"{ABOUT}; use `kubectl pp resume` or `kubectl pp restart`", FAILED)
    return _refuse(
        f"this image is not {program}: it only runs `{program} {SERVICE} server`, where it does nothing; "
        f"set it for that service alone (`services.{SERVICE}.image` in the values of the chart)",
        WRONG_USE,
    )


def _verb(arguments: Sequence[str]) -> str:
    """What is asked of the service; empty when it is not the service that is meant.

    Options of the service are accepted, wherever they stand, and change nothing.
    """
    if "--version" in arguments:
        return "version"
    words = [each for each in arguments if not each.startswith("-")]
    if SERVICE not in words:
        return "version" if words == ["version"] else ""
    return next(iter(words[words.index(SERVICE) + 1 :]), "")


def _refuse(why: str, status: int) -> int:
    sys.stderr.write(f"stand-in: {why}\n")
    return status


def _address(environment: Mapping[str, str]) -> str:
    return environment.get(ADDRESS_VARIABLE, "").strip() or DEFAULT_ADDRESS


def _serve(environment: Mapping[str, str]) -> int:
    level = next((found for each in LEVEL_VARIABLES if (found := environment.get(each, "").strip())), "")
    set_up(_level(level), LogFormat.JSON)
    try:
        asyncio.run(_until_told(_address(environment), environment.get(TOKEN_VARIABLE, "")))
    except (OSError, ValueError) as error:
        return _refuse(f"{ADDRESS_VARIABLE}={_address(environment)}: {explain(error)}", WRONG_USE)
    return 0


def _level(text: str) -> LogLevel:
    """An unknown level does not keep the Pod from starting."""
    return LogLevel(text.lower()) if text.lower() in set(LogLevel) else LogLevel.INFO


async def _until_told(address: str, token: str) -> None:
    """Answer probes until SIGTERM or SIGINT.

    Raises:
        OSError, ValueError: the address cannot be listened on.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    health = HealthServer(address, token, _Metrics(), lambda: "", lambda: "")
    await health.start()
    log.info(ABOUT, extra={"version": __version__, "address": address})
    try:
        await stop.wait()
    finally:
        await health.stop()


def _probe(environment: Mapping[str, str]) -> int:
    """Ask the server that runs beside us whether it is healthy."""
    address = _address(environment)
    try:
        host, port = split_address(address)
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- compared
        asking = HTTPConnection(host, port, timeout=PROBE_SECONDS)  # never through a proxy
        asking.request("GET", "/healthz")
        status = asking.getresponse().status
    except (OSError, ValueError, HTTPException) as error:
        return _refuse(f"{address} does not answer: {error}", FAILED)
    return 0 if status == HTTPStatus.OK else FAILED
