"""The step `virusscan`: downloads the file and gives it to a scanner. Only a clear "clean" is clean."""

import argparse
import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import aiohttp

from e2e.demo.steps.scanners import Clamd, ScanError, Scanner, StandIn
from e2e.demo.steps.service import Answer, serve_forever, set_up_logging
from e2e.demo.wire import Event

STEP = "virusscan"
_DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_read=30)
_log = logging.getLogger(__name__)


class VirusScan:
    """One scanner at work.

    `faults` is for demonstrations and tests: the first scans of a file of that name fail so often.
    """

    def __init__(self, scanner: Scanner, faults: Mapping[str, int] | None = None) -> None:
        self.scanner = scanner
        self._failures_left = Counter(faults or {})

    async def check(self, event: Event) -> Answer:
        """Answer one start: infected means delete, and everything that went wrong means retry."""
        try:
            signature = await self._scan(event)
        except (aiohttp.ClientError, TimeoutError, OSError, ScanError) as error:
            # The text of some of these errors holds the URL, which is a secret.
            reason = str(error) if isinstance(error, ScanError) else type(error).__name__
            _log.warning("scan failed: %s", reason)
            return Answer("retry", _result(event, error=reason))
        return Answer("delete" if signature else "continue", _result(event, signature=signature))

    async def _scan(self, event: Event) -> str:
        filename = event.payload["Filename"]
        if self._failures_left[filename] > 0:
            self._failures_left[filename] -= 1
            raise ScanError("the scanner is busy (a fault switched on by hand)")
        async with (
            aiohttp.ClientSession(timeout=_DOWNLOAD_TIMEOUT) as http,
            http.get(event.payload["URL"]) as response,
        ):
            if response.status != HTTPStatus.OK:
                raise ScanError(f"download answered {response.status}")
            return await self.scanner.scan(response.content.iter_chunked(1 << 16))


def _result(event: Event, *, signature: str = "", error: str = "") -> dict[str, object]:
    """A VirusscanResult."""
    return {
        "Infected": bool(signature),
        "Description": signature,
        "Scandate": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "ResourceID": event.payload.get("ResourceID"),
        "ErrorMsg": error,
        "Timestamp": None,
    }


def _fault(text: str) -> tuple[str, int]:
    name, _, times = text.rpartition(":")
    return name, int(times)


def main() -> None:
    """Run as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nats_url")
    parser.add_argument(
        "--clamd", type=Path, metavar="SOCKET", help="of a clamd; without it a stand-in scans"
    )
    parser.add_argument("--fault", type=_fault, action="append", default=[], metavar="FILENAME:TIMES")
    options = parser.parse_args()
    set_up_logging()
    scanner = Clamd(options.clamd) if options.clamd else StandIn()
    _log.info("scanner: %s", scanner.name)
    asyncio.run(serve_forever(options.nats_url, STEP, VirusScan(scanner, dict(options.fault)).check))


if __name__ == "__main__":
    main()
