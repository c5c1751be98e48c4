"""Changing uploads: one or thousands, each by one merge patch over the version that was looked at.

A person may interrupt at any moment: what was asked for stands and is reported.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, Union

from kubectl_pp.client import Client, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ConflictError, ExitCode, MissingError, PluginError, UnavailableError, UsageError
from kubectl_pp.interrupts import INTERRUPTS
from kubectl_pp.upload import Upload

THREADS = 32  # most of their time they wait for the API server
CONFLICTS = 6
TELL_EVERY_SECONDS = 0.1
TELL_PLAINLY_EVERY_SECONDS = 5.0


class Patch(NamedTuple):
    """What to change of the spec; `word` says it in the past tense."""

    spec: Json
    word: str


class Skip(NamedTuple):
    """Why an upload is skipped; `refused` if that is not what the person wanted."""

    why: str
    refused: bool = False


class Delete(NamedTuple):
    """Delete the resource."""

    word: str = "deleted"


Decide = Callable[[Upload], Union[Patch, Delete, Skip]]


class Disposition(Enum):
    """What happened to the request for one upload."""

    APPLIED = "asked"
    LEFT = "left"
    REFUSED = "refused"
    UNTRIED = "untried"


class Result(NamedTuple):
    """One upload after the patch, or why there was none."""

    disposition: Disposition
    upload: Upload
    text: str


class BatchResult(NamedTuple):
    """All requests, and what is known about them."""

    results: list[Result]
    answered: Callable[[Upload, Upload], bool]
    """Whether an upload as it is now (first) shows an answer to what it was asked as (second)."""
    interrupted: bool = False
    broken: UnavailableError | None = None
    version: str = ""
    """Of the list that the uploads come from, to watch from there; empty is from now on."""
    proofs: dict[tuple[str, str], str] = {}  # noqa: RUF012 -- nobody changes it
    """The uploads, with the token, whose answer is the answer for all."""


def acted_on(now: Upload, asked: Upload) -> bool:
    """Whether the operator has acted on the very change we made."""
    wanted = asked.meta.get("generation", 1)
    return int(now.status.get("observedGeneration", 0)) >= int(wanted)


class Interrupt:
    """Has SIGINT and SIGTERM wait for the requests under way, so that the report is exact; a second does not.

    Enter it before the first request. As an exception, a signal could come when a request was answered
    and its result is not noted yet.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._before: dict[signal.Signals, Any] = {}
        self.came = False

    def __enter__(self) -> Interrupt:  # noqa: PYI034 -- Self needs Python 3.11
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, *_: object) -> None:
        INTERRUPTS.note()
        self.came = True
        self._stop.set()
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)


class Batch:
    """Applies a decision to many uploads."""

    def __init__(self, context: Context, decide: Decide, still: Callable[[Upload], bool]) -> None:
        self._client: Client = context.client
        self._screen = context.screen
        self._dry_run: bool = context.options.dry_run
        self._decide = decide
        self._still = still
        self._stop = threading.Event()
        self._broken: UnavailableError | None = None

    def run(self, uploads: list[Upload], what: str) -> BatchResult:
        """Ask for all of them, in the given order as far as threads keep one."""
        todo: queue.SimpleQueue[Upload] = queue.SimpleQueue()
        done: queue.SimpleQueue[Result | UnavailableError | None] = queue.SimpleQueue()
        for upload in uploads:
            todo.put(upload)
        count = min(THREADS, len(uploads))
        threads = [threading.Thread(target=self._work, args=(todo, done), daemon=True) for _ in range(count)]
        results: dict[tuple[str, str], Result] = {}
        progress = Progress(self._screen.steerable and sys.stderr.isatty(), what, len(uploads))
        with Interrupt(self._stop) as interrupt:
            for thread in threads:
                thread.start()
            while count:
                item = done.get()
                if item is None:
                    count -= 1
                elif isinstance(item, UnavailableError):
                    self._broken = self._broken or item
                    self._stop.set()
                else:
                    results[item.upload.key] = item
                    progress.tell(len(results))
        progress.end()
        untried = [Result(Disposition.UNTRIED, u, "not asked") for u in uploads if u.key not in results]
        tried = [results[u.key] for u in uploads if u.key in results]
        return BatchResult(tried + untried, acted_on, interrupted=interrupt.came, broken=self._broken)

    def _work(
        self,
        todo: queue.SimpleQueue[Upload],
        done: queue.SimpleQueue[Result | UnavailableError | None],
    ) -> None:
        try:
            while not self._stop.is_set():
                done.put(self._whatever_it_holds(todo.get_nowait()))
        except queue.Empty:
            pass
        except UnavailableError as error:
            done.put(error)
        finally:
            done.put(None)

    def _whatever_it_holds(self, upload: Upload) -> Result:
        """The result for one upload. One that cannot be read does not stop the thread.

        Raises:
            UnavailableError: the cluster cannot be asked at all.
        """
        try:
            return self._one(upload)
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 -- what stands in an answer is not known beforehand
            why = f"cannot read the response about it ({type(error).__name__}: {error})"
            return Result(Disposition.REFUSED, upload, why)

    def _one(self, upload: Upload) -> Result:
        for _ in range(CONFLICTS):
            if not self._still(upload):
                return Result(Disposition.LEFT, upload, "it no longer matches")
            request = self._decide(upload)
            if isinstance(request, Skip):
                return Result(
                    Disposition.REFUSED if request.refused else Disposition.LEFT, upload, request.why
                )
            try:
                return Result(Disposition.APPLIED, self._carry_out(request, upload), request.word)
            except ConflictError:
                try:
                    upload = Upload(self._client.get(upload.path()))
                except MissingError:
                    return Result(Disposition.LEFT, upload, "it is gone")
            except MissingError:
                return Result(Disposition.LEFT, upload, "it is gone")
            except UnavailableError:
                raise
            except PluginError as error:
                return Result(Disposition.REFUSED, upload, str(error))
        return Result(Disposition.REFUSED, upload, "the resource keeps changing; try again")

    def _carry_out(self, request: Patch | Delete, upload: Upload) -> Upload:
        uid, version = upload.meta["uid"], upload.meta["resourceVersion"]
        if isinstance(request, Delete):
            self._client.delete(upload.path(), uid, version, dry_run=self._dry_run)
            return upload
        body: Json = {"metadata": {"uid": uid, "resourceVersion": version}, "spec": request.spec}
        return Upload(self._client.patch(upload.path(), body, dry_run=self._dry_run))


class Progress:
    """A line on standard error: rewritten in place on a terminal that can do that, now and then elsewhere."""

    def __init__(self, live: bool, what: str, total: int) -> None:  # noqa: FBT001 -- two looks of one line
        self._live, self._what, self._total = live, what, total
        self._every = TELL_EVERY_SECONDS if live else TELL_PLAINLY_EVERY_SECONDS
        self._told = time.monotonic()
        self._shown = False

    def tell(self, count: int) -> None:
        """Show the progress, unless it was just shown."""
        now = time.monotonic()
        if now < self._told + self._every:
            return
        self._told, self._shown = now, True
        text = f"{self._what}: {count:,} of {self._total:,}"
        sys.stderr.write(f"\r\x1b[K{text}" if self._live else f"{text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Remove the progress line."""
        if self._shown and self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def confirm(context: Context, what: str, count: int) -> None:
    """Ask before touching everything.

    Raises:
        UsageError: nobody is there to ask, or the answer is no.
    """
    if context.options.yes or context.options.dry_run or not count:
        return
    if not sys.stdin.isatty():
        who = "--all" if getattr(context.options, "all", False) else context.options.verb
        raise UsageError(
            f"{who} asks for confirmation, and the input is not a terminal",
            "add --yes, or use --dry-run to see what it would do",
        )
    place = context.namespace
    where = "all namespaces" if place is None else f"namespace {place}"
    sys.stderr.write(f"{what} {count:,} uploads in {where}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise PluginError("nothing was changed", code=ExitCode.FAILED)
