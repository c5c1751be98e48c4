"""What the demo scans with where there is no ClamAV: a matcher that only knows the EICAR test file."""

from uploadpp.steps import Continue, Delete, Upload, Verdict, VirusscanResult

EICAR_SIGNATURE = "Eicar-Test-Signature"
STAND_IN = "a stand-in that knows only the EICAR test file; this is NOT a virus scanner"


def eicar() -> bytes:
    """The harmless file that every virus scanner must find (https://www.eicar.org).

    It is put together here because scanners would otherwise take this source file away.
    """
    parts = (r"X5O!P%@AP[4\PZX54(P^)7CC)7}", "$EICAR-STANDARD", "-ANTIVIRUS-", "TEST-FILE!$H+H*")
    return "".join(parts).encode()


async def stand_in(upload: Upload) -> Verdict:
    """Look for the test string, and for nothing else."""
    async with upload.open() as content:
        data = b"".join([chunk async for chunk in content])
    if eicar() in data:
        return Delete(EICAR_SIGNATURE, result=VirusscanResult(infected=True, description=EICAR_SIGNATURE))
    return Continue(result=VirusscanResult())
