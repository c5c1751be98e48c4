"""The ready-made step `virusscan`, with a clamd."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from uploadpp.core.states import Outcome
from uploadpp.runtime.settings import env
from uploadpp.steps.clamd import Address, ScanError, TooLargeError, scan
from uploadpp.steps.sizes import parse_size
from uploadpp.steps.upload import Upload
from uploadpp.steps.verdict import BY_OUTCOME, Continue, Retry, Verdict, VirusscanResult

REMEDY = "raise its limits, or say with --oversize what to do with such files"


class Infected(StrEnum):
    """What may be done with an infected file."""

    DELETE = "delete"
    ABORT = "abort"
    CONTINUE = "continue"


def _address(value: object) -> object:
    return Address.parse(value) if isinstance(value, str) and value else value or None


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


class VirusscanOptions(BaseModel):
    """How the scan is done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clamd: Annotated[Address | None, BeforeValidator(_address)] = env(
        "UPLOADPP_STEP_CLAMD",
        default=None,
        description="Scan with the clamd at this address: unix:/path or tcp:host:port.",
    )
    infected: Infected = env(
        "UPLOADPP_STEP_INFECTED",
        default=Infected.DELETE,
        description="What to do with infected files: delete, abort, or continue (released, but marked).",
    )
    max_scan_size: Annotated[int, BeforeValidator(_size), Field(ge=0)] = env(
        "UPLOADPP_STEP_MAX_SCAN_SIZE",
        default=0,
        description="Larger files, such as 100MB, are not scanned; 0 is no limit.",
    )
    oversize: Outcome | None = env(
        "UPLOADPP_STEP_OVERSIZE",
        default=None,
        description="What to do with files that are too large to scan: continue (the default above "
        "--max-scan-size), retry (the default when clamd itself says so), abort or delete.",
    )


class Virusscan:
    """A clamd and what follows from what it finds."""

    def __init__(self, address: Address, options: VirusscanOptions) -> None:
        self._address = address
        self._options = options

    async def check(self, upload: Upload) -> Verdict:
        """Scan an upload. What was not scanned is never recorded as clean."""
        limit = self._options.max_scan_size
        if limit and upload.size > limit:
            kind = BY_OUTCOME[self._options.oversize or Outcome.CONTINUE]
            return _unscanned(kind, f"not scanned: larger than {limit} bytes")
        try:
            async with upload.open() as content:
                signature = await scan(self._address, content)
        except TooLargeError as error:
            if self._options.oversize is None:
                return _unscanned(Retry, f"{error}; {REMEDY}")
            return _unscanned(BY_OUTCOME[self._options.oversize], f"not scanned: {error}")
        except ScanError as error:
            return _unscanned(Retry, str(error))
        if not signature:
            return Continue(result=VirusscanResult())
        result = VirusscanResult(infected=True, description=signature)
        return BY_OUTCOME[Outcome(self._options.infected)](signature, result=result)


def _unscanned(kind: type[Verdict], why: str) -> Verdict:
    return kind(why, result=VirusscanResult(error=why, scanned_at=None))
