"""The ready-made step `virusscan`, with a clamd."""

from collections.abc import AsyncIterable, AsyncIterator
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

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


class Oversize(StrEnum):
    """What may be done with a file that is too large to scan: an outcome, or a look at its beginning."""

    CONTINUE = "continue"
    RETRY = "retry"
    ABORT = "abort"
    DELETE = "delete"
    PARTIAL = "partial"


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
    oversize: Oversize | None = env(
        "UPLOADPP_STEP_OVERSIZE",
        default=None,
        description="What to do with files that are too large to scan: continue (the default above "
        "--max-scan-size), retry (the default when clamd itself says so), abort, delete, or partial: "
        "scan the first --max-scan-size bytes, and continue if nothing is found there.",
    )

    @model_validator(mode="after")
    def _check_partial(self) -> Self:
        if self.oversize is Oversize.PARTIAL and not self.max_scan_size:
            raise ValueError("oversize: partial needs --max-scan-size, the size of the part")
        return self


class Virusscan:
    """A clamd and what follows from what it finds."""

    def __init__(self, address: Address, options: VirusscanOptions) -> None:
        self._address = address
        self._options = options

    async def check(self, upload: Upload) -> Verdict:
        """Scan an upload. What was not scanned is never recorded as clean."""
        limit, oversize = self._options.max_scan_size, self._options.oversize
        partial = oversize is Oversize.PARTIAL
        too_large = bool(limit) and upload.size > limit
        if too_large and not partial:
            kind = BY_OUTCOME[Outcome(oversize or Outcome.CONTINUE)]
            return _unscanned(kind, f"not scanned: larger than {limit} bytes")
        try:
            async with upload.open() as content:
                signature = await scan(self._address, _first(limit, content) if too_large else content)
        except TooLargeError as error:
            if oversize is None or partial:
                return _unscanned(Retry, f"{error}; {REMEDY}")
            return _unscanned(BY_OUTCOME[Outcome(oversize)], f"not scanned: {error}")
        except ScanError as error:
            return _unscanned(Retry, str(error))
        if not signature and too_large:
            return _unscanned(Continue, f"only the first {limit} of {upload.size} bytes were scanned")
        if not signature:
            return Continue(result=VirusscanResult())
        result = VirusscanResult(infected=True, description=signature)
        return BY_OUTCOME[Outcome(self._options.infected)](signature, result=result)


async def _first(size: int, content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The beginning of a file."""
    async for chunk in content:
        yield chunk[:size]
        size -= len(chunk)
        if size <= 0:
            return


def _unscanned(kind: type[Verdict], why: str) -> Verdict:
    return kind(why, result=VirusscanResult(error=why, scanned_at=None))
