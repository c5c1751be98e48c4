"""Whether a clamd reports what it does not look at. Two small archives that it cannot scan tell.

Without `AlertExceedsMax` and `AlertEncrypted` it answers OK to them, as to every other file that it has not
scanned, and such a file would count as clean.
"""

import asyncio
import io
import logging
import zipfile
from collections.abc import AsyncIterator

from uploadpp.steps.clamd import Address, EncryptedError, ScanError, TooLargeError, scan

log = logging.getLogger(__name__)

LEVELS = 120
"""More archives in each other than clamd opens: its MaxRecursion is 100 at most."""
_ENCRYPTED_FLAG = 1
_FLAGS = ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8))


def _archive(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("test", content)
    return file.getvalue()


def encrypted_archive() -> bytes:
    """An archive that says that its only file is encrypted."""
    found = bytearray(_archive(b"uploadpp asks whether encrypted files are reported"))
    for magic, place in _FLAGS:
        found[found.index(magic) + place] |= _ENCRYPTED_FLAG
    return bytes(found)


def nested_archive() -> bytes:
    """An archive in an archive, and so on, of 10 KB."""
    found = b"uploadpp asks whether exceeded limits are reported"
    for _ in range(LEVELS):
        found = _archive(found)
    return found


async def missing_alerts(address: Address) -> list[str]:
    """The settings of clamd.conf without which this clamd says OK to what it has not scanned.

    Raises:
        ScanError: it did not answer.
    """
    found = []
    for setting, make in (("AlertEncrypted", encrypted_archive), ("AlertExceedsMax", nested_archive)):
        try:
            name = await scan(address, _whole(await asyncio.to_thread(make)))
        except (EncryptedError, TooLargeError):
            continue
        if not name:
            found.append(setting)
    return found


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


class AlertCheck:
    """Asks once, beside the uploads, and logs a warning."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._asking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Ask, unless that is done or under way."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        try:
            missing = await missing_alerts(self._address)
        except ScanError:
            self._asking = None  # the next upload asks again
            return
        if missing:
            log.warning(
                "clamd says OK to files that it has not scanned, and they count as clean; "
                "set %s in clamd.conf",
                " and ".join(f"{each} yes" for each in missing),
            )
