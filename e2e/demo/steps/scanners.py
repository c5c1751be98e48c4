"""Things that find viruses: ClamAV's daemon, and a matcher that only stands in for it."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

EICAR_SIGNATURE = "Eicar-Test-Signature"


def eicar() -> bytes:
    """The harmless file that every virus scanner must find (https://www.eicar.org).

    It is put together here because scanners would otherwise take this source file away.
    """
    parts = (r"X5O!P%@AP[4\PZX54(P^)7CC)7}", "$EICAR-STANDARD", "-ANTIVIRUS-", "TEST-FILE!$H+H*")
    return "".join(parts).encode()


class ScanError(Exception):
    """It is not known whether the file is clean."""


class Scanner(Protocol):
    """Something that finds viruses."""

    name: str

    async def scan(self, content: AsyncIterator[bytes]) -> str:
        """The name of the signature found, or nothing when the file is clean.

        Raises:
            ScanError: neither could be found out.
        """
        ...


class Clamd:
    """A clamd behind a local socket, with its INSTREAM command."""

    def __init__(self, socket: Path) -> None:
        self.name = "ClamAV (clamd)"
        self._socket = str(socket)

    async def scan(self, content: AsyncIterator[bytes]) -> str:
        """Stream the content to clamd and read its verdict."""
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(b"zINSTREAM\0")
            async for chunk in content:
                writer.write(struct.pack("!I", len(chunk)) + chunk)
                await writer.drain()
            writer.write(struct.pack("!I", 0))
            await writer.drain()
            reply = await reader.read()
        except ConnectionError as error:
            # clamd hangs up in the middle when the file is larger than its limit.
            raise ScanError("clamd closed the connection") from error
        finally:
            writer.close()
        return verdict(reply.rstrip(b"\0\n").decode(errors="replace"))


def verdict(reply: str) -> str:
    """What clamd's reply means; "ERROR", silence and everything unknown are never clean.

    Raises:
        ScanError: the reply is not a verdict.
    """
    text = reply.removeprefix("stream: ")
    if text == "OK":
        return ""
    if text.endswith(" FOUND"):
        return text.removesuffix(" FOUND")
    raise ScanError(f"clamd answered: {text}" if text else "clamd did not answer")


class StandIn:
    """Finds the EICAR test file and nothing else."""

    name = "a stand-in that knows only the EICAR test file; this is NOT a virus scanner"

    async def scan(self, content: AsyncIterator[bytes]) -> str:
        """Look for the test string."""
        data = b"".join([chunk async for chunk in content])
        return EICAR_SIGNATURE if eicar() in data else ""
