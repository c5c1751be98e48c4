"""A real clamd that is busy, is told to stop, dies or loses its database in the middle of a scan."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator

import pytest

from e2e.cluster.instance import Instance
from e2e.demo.clamav import ClamavUnavailableError, ClamdServer
from e2e.demo.steps.scanners import EICAR_SIGNATURE, eicar
from uploadpp.steps.clamd import Address, ScanError, scan
from uploadpp.steps.clamd_alerts import missing_alerts

PART = b"x" * 65536


@pytest.fixture
async def clamd(instance: Instance) -> ClamdServer:
    """With little patience."""
    return await started(instance, "ReadTimeout 2", "CommandReadTimeout 2")


async def started(instance: Instance, *settings: str) -> ClamdServer:
    try:
        made = ClamdServer(instance, *settings)
    except ClamavUnavailableError as error:
        pytest.skip(f"no clamd here: {error}")
    await asyncio.to_thread(made.start)
    return made


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ((), ["AlertEncrypted", "AlertExceedsMax"]),
        (("AlertEncrypted yes",), ["AlertExceedsMax"]),
        (("AlertEncrypted yes", "AlertExceedsMax yes"), []),
        (("AlertEncrypted yes", "AlertExceedsMax yes", "MaxRecursion 100"), []),
    ],
)
async def test_a_clamd_that_says_ok_to_what_it_has_not_scanned_is_told_from_others(
    instance: Instance, settings: tuple[str, ...], missing: list[str]
) -> None:
    clamd = await started(instance, *settings)
    assert await missing_alerts(Address(path=str(clamd.socket))) == missing


async def test_beyond_its_threads_and_its_queue_files_wait(instance: Instance) -> None:
    clamd = await started(instance, "MaxQueue 4")
    address = Address(path=str(clamd.socket))
    found = await asyncio.gather(
        *(scan(address, once(eicar() if number % 10 == 7 else PART * 20)) for number in range(30))
    )
    assert [bool(each) for each in found] == [number % 10 == 7 for number in range(30)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_scan_that_clamd_does_not_end_is_not_clean(clamd: ClamdServer, number: int) -> None:
    """Nor is the rest of the file waited for once clamd is gone."""
    begun, never = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield PART
        begun.set()
        if number == signal.SIGKILL:
            await never.wait()
        while True:  # told to stop, clamd still takes what it has begun
            yield PART
            await asyncio.sleep(0.01)

    scanning = asyncio.create_task(scan(Address(path=str(clamd.socket)), endless()))
    await begun.wait()
    assert clamd.process is not None
    os.kill(clamd.process.pid, number)
    with pytest.raises(ScanError):
        await asyncio.wait_for(scanning, 30)


async def test_who_sends_too_slowly_is_not_clean(clamd: ClamdServer) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield PART
        await asyncio.sleep(4)
        yield PART

    with pytest.raises(ScanError, match="COMMAND READ TIMED OUT"):
        await scan(Address(path=str(clamd.socket)), slow())


async def test_a_reload_that_fails_leaves_the_database_in_use(clamd: ClamdServer) -> None:
    shutil.rmtree(clamd.data / "database")
    reader, writer = await asyncio.open_unix_connection(str(clamd.socket))
    writer.write(b"zRELOAD\0")
    assert await reader.read() == b"RELOADING\0"
    writer.close()
    found = await scan(Address(path=str(clamd.socket)), once(eicar()))
    assert found.startswith(EICAR_SIGNATURE)
