"""The step `virusscan`, made with the kit: a clamd scans the file, or a stand-in where there is none.

Its own arguments are below. All others are those of every step of the kit: `--help` lists them.
"""

import argparse
import asyncio
import os
from collections import Counter
from collections.abc import Mapping

from e2e.demo.steps.scanners import stand_in
from uploadpp.steps import Retry, Step, Upload, Verdict
from uploadpp.steps.clamd import Address
from uploadpp.steps.decorator import CONCURRENCY, TIMEOUT_SECONDS
from uploadpp.steps.judge import Work
from uploadpp.steps.virusscan import Virusscan, VirusscanOptions

STEP = "virusscan"
BUSY = "the scanner is busy (a fault switched on by hand)"


def virusscan(scan: Work = stand_in, faults: Mapping[str, int] | None = None, pace: float = 0.0) -> Step:
    """The step, for a scanner.

    Args:
        scan: what looks at a file.
        faults: file names, and how many of their first scans fail; for demonstrations and tests.
        pace: seconds that every scan takes longer, for people who want to watch.
    """
    failures_left = Counter(faults or {})

    async def check(upload: Upload) -> Verdict:
        await asyncio.sleep(pace)
        if failures_left[upload.filename] > 0:
            failures_left[upload.filename] -= 1
            return Retry(BUSY)
        return await scan(upload)

    return Step(STEP, check, CONCURRENCY, TIMEOUT_SECONDS)


def _fault(text: str) -> tuple[str, int]:
    name, _, times = text.rpartition(":")
    return name, int(times)


def main() -> None:
    """Run as a process."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--clamd", type=Address.parse, metavar="ADDRESS", help="without it a stand-in scans")
    parser.add_argument("--fault", type=_fault, action="append", default=[], metavar="FILENAME:TIMES")
    options, of_the_kit = parser.parse_known_args()
    scan = Virusscan(options.clamd, VirusscanOptions()).check if options.clamd else stand_in
    pace = float(os.environ.get("STEP_PACE") or 0)
    virusscan(scan, dict(options.fault), pace).run(of_the_kit)


if __name__ == "__main__":
    main()
