"""Addresses in front of others on this machine, whose traffic a test slows down, holds up or cuts."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")
_PIECE = 1 << 14


class Links:
    """Makes links. They run in a thread of their own, so that no test need wait for them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()
        self._made: list[Link] = []

    def to(self, port: Callable[[], int]) -> "Link":
        """A link to the port of that moment."""
        link = Link(self, port)
        self._made.append(link)
        self.run(link.listen())
        return link

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of some work in the thread of the links."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def close(self) -> None:
        """Cut all of them, and end."""
        for link in self._made:
            self.run(link.end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Link:
    """One address in front of another one."""

    def __init__(self, links: Links, port: Callable[[], int]) -> None:
        self._links = links
        self._target = port
        self._cut = False
        self._passes = asyncio.Event()
        self._passes.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.lag_seconds = 0.0
        """How long each piece of at most 16 KiB is held up, in both directions."""

    @property
    def address(self) -> str:
        """Where it is found, as host:port."""
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self._cut = True
        self._links.run(self._end_connections())

    def hold(self) -> None:
        """Nothing passes any more, and all connections stay open: a network that drops all packets."""
        self._links.run(self._set(passes=False))

    def mend(self) -> None:
        """Everything passes again."""
        self._cut = False
        self._links.run(self._set(passes=True))

    async def listen(self) -> None:
        """Open the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def end(self) -> None:
        """Close the port and all connections."""
        self._server.close()
        await self._end_connections()

    async def _set(self, *, passes: bool) -> None:
        if passes:
            self._passes.set()
        else:
            self._passes.clear()

    async def _end_connections(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
        try:
            if self._cut:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self._target())
            ends.append(back)
            ways = [asyncio.create_task(self._pipe(*way)) for way in ((reader, back), (there, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # there is nobody, or the link was cut
        finally:
            for end in ends:
                end.transport.abort()
            if task is not None:
                self._tasks.discard(task)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE):
                if self.lag_seconds:
                    await asyncio.sleep(self.lag_seconds)
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
