"""The kopf operator: watching resources, in a thread and event loop of its own.

On exit kopf cancels every task of its loop that is younger than itself, reconnecting NATS
clients included; and a burst of watch events must not delay the event path. So the two
share nothing but `call_soon_threadsafe`.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any, cast

import kopf

from uploadpp.kube.credentials import Credentials
from uploadpp.kube.store import PLURAL
from uploadpp.process.loop import run
from uploadpp.resources.watch.kopf_handlers import Sink, make_registry, make_settings
from uploadpp.resources.watch.kopf_session import KopfSession, unknown
from uploadpp.resources.watch.watch_filter import IsOwnWrite

log = logging.getLogger(__name__)

STOP_SECONDS = 10


class Watch:
    """One run of kopf; made anew for every ownership."""

    def __init__(
        self,
        sink: Sink,
        namespace: str,
        selector: str = "",
        is_own_write: IsOwnWrite = lambda _: False,
        *,
        credentials: Credentials,
        plural: str = PLURAL,
    ) -> None:
        self._credentials = credentials
        self._plural = plural
        self._sink = sink
        self._is_own_write = is_own_write
        self._namespace = namespace
        self._selector = selector
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._run_over = threading.Event()
        self._session = KopfSession(plural, self._opened, is_own_write)
        self.opened = asyncio.Event()
        """Set whenever the watch begins anew: what is older than that is not told, but has to be listed."""
        self._kind_was_missing = False
        self._thread: threading.Thread | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()

    @property
    def ready(self) -> bool:
        """Whether the first listing has succeeded, and the API server tells what changes since."""
        return not self.problem

    @property
    def problem(self) -> str:
        """What is wrong with the watch, in words; empty when nothing is."""
        state = "the watch is interrupted" if self._session.open else "the watch has not started"
        return f"{state}: {self._session.trouble}" if self._session.trouble else ""

    def take_kind_was_missing(self) -> bool:
        """Whether the API server did not know the resources for a while, since this was last asked."""
        missing, self._kind_was_missing = self._kind_was_missing, False
        return missing

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Stop kopf and wait for its thread."""
        self._stop.set()
        self._run_over.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while run(self._run_kopf()):
                log.warning("the watch has not started, retrying: %s", unknown(self._plural))
        except Exception as failure:  # noqa: BLE001 -- whatever ends the watch ends the ownership
            error = failure
        self._call(self._end, error)

    async def _run_kopf(self) -> bool:
        """Run kopf to its end; whether that came because kopf did not find the resource.

        Kopf looks for it once, and discovery is told of a new CRD later than the CRD can be used. What it
        missed then it would miss forever, without a word.
        """
        session = self._session
        over = self._run_over = threading.Event()
        if self._stop.is_set():
            return False
        running = asyncio.ensure_future(self._kopf(session, over))
        try:
            while not (running.done() or session.found_nothing or session.missing):
                await asyncio.wait({running}, timeout=1)
            lost = not running.done() or session.missing
            over.set()
            with contextlib.suppress(*((Exception,) if session.missing else ())):
                await running
        finally:
            await session.close()
        self._kind_was_missing |= session.missing
        self._session = KopfSession(
            self._plural, self._opened, self._is_own_write, trouble=unknown(self._plural)
        )
        return lost

    async def _kopf(self, session: KopfSession, over: threading.Event) -> None:
        await kopf.operator(
            registry=make_registry(self._forward, session, self._credentials),
            settings=make_settings(self._plural, self._selector),
            namespaces=[self._namespace],
            standalone=True,
            # Kopf would ask who we are, and in a container nobody knows: our user has no name there.
            identity=cast("Any", "upload-postprocessing"),
            stop_flag=over,
        )

    def _opened(self) -> None:
        self._call(self.opened.set)

    def _forward(self, kind: str | None, resource: object) -> None:
        self._call(self._sink, kind, resource)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            log.debug("the main loop is closed; a watch event is dropped")

    def _end(self, error: BaseException | None) -> None:
        if self.ended.done():
            return
        if self._stop.is_set() and error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(RuntimeError(f"the watch has ended: {error!r}"))
