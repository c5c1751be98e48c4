"""The ready-made step `virusscan`, with a clamd."""

from collections.abc import AsyncIterable, AsyncIterator
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from uploadpp.core.states import Outcome
from uploadpp.process.setting_fields import env
from uploadpp.process.setting_types import lower
from uploadpp.steps.clamd import (
    MAX_FILE_BYTES,
    Address,
    BrokenError,
    EncryptedError,
    Kind,
    ScanError,
    TooLargeError,
    kind_of,
    scan,
)
from uploadpp.steps.clamd_alerts import AlertCheck
from uploadpp.steps.sizes import parse_size
from uploadpp.steps.upload import Upload
from uploadpp.steps.verdict import BY_OUTCOME, Continue, Retry, Verdict, VirusscanResult

REMEDY = "raise its limits, or say with --oversize what to do with such files"
OPTION_REMEDY = "say with {} what to do with such files"


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
    infected: Annotated[Infected, BeforeValidator(lower)] = env(
        "UPLOADPP_STEP_INFECTED",
        default=Infected.DELETE,
        description="What to do with infected files: delete, abort, or continue (released, but marked).",
    )
    max_scan_size: Annotated[int, BeforeValidator(_size), Field(ge=0)] = env(
        "UPLOADPP_STEP_MAX_SCAN_SIZE",
        default=0,
        description="Larger files, such as 100MB, are not scanned; 0 means no limit.",
    )
    oversize: Annotated[Oversize | None, BeforeValidator(lower)] = env(
        "UPLOADPP_STEP_OVERSIZE",
        default=None,
        description="What to do with files that are too large to scan: continue (the default above "
        "--max-scan-size), retry (the default when clamd itself says so), abort, delete, or partial: "
        "scan the first --max-scan-size bytes, and continue if nothing is found there.",
    )
    encrypted: Annotated[Outcome, BeforeValidator(lower)] = env(
        "UPLOADPP_STEP_ENCRYPTED",
        default=Outcome.RETRY,
        description="What to do with files that clamd reports as encrypted (with AlertEncrypted yes): "
        "continue (released, but marked as not scanned), retry, abort or delete.",
    )
    unscannable: Annotated[Outcome, BeforeValidator(lower)] = env(
        "UPLOADPP_STEP_UNSCANNABLE",
        default=Outcome.RETRY,
        description="What to do with files that clamd reports as broken (with AlertBrokenExecutables or "
        "AlertBrokenMedia yes): continue (released, but marked as not scanned), retry, abort or delete.",
    )
    suspicious: Annotated[Infected | None, BeforeValidator(lower)] = env(
        "UPLOADPP_STEP_SUSPICIOUS",
        default=None,
        description="What to do with findings that clamd does not call malware (PUA, macros, phishing, "
        "structured data): delete, abort, or continue (released, but marked). Default: as --infected.",
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
        self._alerts = AlertCheck(address)

    async def check(self, upload: Upload) -> Verdict:
        """Scan an upload. What was not scanned is never recorded as clean, nor as infected."""
        options = self._options
        limit, partial = options.max_scan_size, options.oversize is Oversize.PARTIAL
        if not partial and limit and upload.size > limit:
            return self._larger(limit)
        if not partial and upload.size > MAX_FILE_BYTES:
            return self._too_large(f"clamd does not look at files of more than {MAX_FILE_BYTES} bytes")
        async with upload.open() as content:
            part = _Part(content, min(limit, MAX_FILE_BYTES) if partial else limit)
            try:
                signature = await scan(self._address, part.beginning() if partial else part.all())
            except _LargerError:
                return self._larger(limit)
            except ScanError as error:
                return self._not_scanned(error)
        if signature:
            return self._found(signature)
        self._alerts.begin()
        if part.more:
            size = f" of {upload.size}" if upload.size else ""
            return _unscanned(Continue, f"only the first {part.limit}{size} bytes were scanned")
        return Continue(result=VirusscanResult())

    def _found(self, signature: str) -> Verdict:
        action = self._options.infected
        if kind_of(signature) is Kind.SUSPICIOUS:
            action = self._options.suspicious or action
        result = VirusscanResult(infected=True, description=signature)
        return BY_OUTCOME[Outcome(action)](signature, result=result)

    def _not_scanned(self, error: ScanError) -> Verdict:
        match error:
            case TooLargeError():
                return self._too_large(str(error))
            case EncryptedError():
                return _not_looked_at(self._options.encrypted, error, "--encrypted")
            case BrokenError():
                return _not_looked_at(self._options.unscannable, error, "--unscannable")
            case _:
                return _unscanned(Retry, str(error))

    def _larger(self, limit: int) -> Verdict:
        kind = BY_OUTCOME[Outcome(self._options.oversize or Outcome.CONTINUE)]
        return _unscanned(kind, f"not scanned: larger than {limit} bytes")

    def _too_large(self, why: str) -> Verdict:
        oversize = self._options.oversize
        if oversize is None or oversize is Oversize.PARTIAL:
            return _unscanned(Retry, f"{why}; {REMEDY}")
        return _unscanned(BY_OUTCOME[Outcome(oversize)], f"not scanned: {why}")


class _LargerError(Exception):
    """The file has more bytes than may be scanned. Its announced size did not say so."""


class _Part:
    """A file and how much of it may be scanned; 0 is all. The announced size is not believed."""

    def __init__(self, content: AsyncIterable[bytes], limit: int) -> None:
        self._content = content
        self.limit = limit
        self.more = False

    async def all(self) -> AsyncIterator[bytes]:
        """Everything, or _LargerError at the first byte too many."""
        seen = 0
        async for chunk in self._content:
            seen += len(chunk)
            if self.limit and seen > self.limit:
                raise _LargerError
            yield chunk

    async def beginning(self) -> AsyncIterator[bytes]:
        """The beginning; `more` says afterwards whether it is not the whole file."""
        left = self.limit
        async for chunk in self._content:
            if left:
                yield chunk[:left]
            self.more = len(chunk) > left
            left = max(0, left - len(chunk))
            if self.more:
                return


def _not_looked_at(outcome: Outcome, why: ScanError, option: str) -> Verdict:
    if outcome is Outcome.RETRY:
        return _unscanned(Retry, f"{why}; {OPTION_REMEDY.format(option)}")
    return _unscanned(BY_OUTCOME[outcome], f"not scanned: {why}")


def _unscanned(kind: type[Verdict], why: str) -> Verdict:
    return kind(why, result=VirusscanResult(error=why, scanned_at=None))
