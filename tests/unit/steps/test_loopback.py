"""The storage on loopback, where a step does not read as a client should."""

import asyncio
import gc
import io
import threading
from collections.abc import Callable

import pytest
from yarl import URL

from uploadpp.process import loop
from uploadpp.steps.testing.alone import run_alone
from uploadpp.steps.testing.loopback import Download, Storage
from uploadpp.steps.upload import LocalBytes


class _Slow(io.BytesIO):
    """A file whose second part comes when the test says so."""

    go = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        assert not self.tell() or self.go.wait(10)
        return super().read(size)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, loop.new_loop], ids=["asyncio", "uvloop"])
def test_the_storage_does_not_mind_a_step_that_has_seen_enough(
    monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    monkeypatch.setattr(LocalBytes, "open", lambda local: _Slow(local.content))
    monkeypatch.setattr(_Slow, "go", threading.Event())

    async def leaves() -> list[object]:
        problems: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        storage = Storage()
        await storage.start()
        url = URL(storage.url(LocalBytes(bytes(1_000_000)), Download.WHOLE))
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"GET {url.path} HTTP/1.1\r\n\r\n".encode())
        assert b"Content-Length: 1000000" in await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        await asyncio.sleep(0.1)  # until the server has heard of it, which nothing tells us
        _Slow.go.set()
        await asyncio.wait(storage._connections)
        await storage.close()
        gc.collect()
        await asyncio.sleep(0)
        return problems

    assert run_alone(leaves(), new_loop) == ([], False)
