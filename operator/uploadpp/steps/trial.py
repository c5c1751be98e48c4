"""`--try FILE`: files through the very code that serves events, without a NATS and without a storage."""

import argparse
import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

from uploadpp.core.states import Outcome
from uploadpp.core.text import clean, clean_lines
from uploadpp.process.configuration import ConfigurationError
from uploadpp.steps import command, judge
from uploadpp.steps.testing import bench
from uploadpp.steps.testing.alone import run_alone
from uploadpp.steps.testing.bench import Bench
from uploadpp.steps.testing.delivery import Delivery
from uploadpp.steps.upload import SOMEBODY, DownloadError, Upload, User

BLOCKED_SECONDS = 1.0
"""A function that blocks the event loop for longer gets a warning."""
LOOK_SECONDS = 0.1
MAX_TRACE = 100
"""Lines of a traceback."""
FILES = "try_files"
ONLY_HERE = ("filename", "uploader", "space", "redelivered", "output")
"""Flags that say something about the upload that is tried."""


class Exit(IntEnum):
    """The exit status of a trial, the worst last; of several files the worst counts."""

    CONTINUE = 0
    RETRY = 3
    ABORT = 4
    DELETE = 5
    FAILED = 1
    """The step itself failed: an exception, a time-out, something that is not a verdict."""
    INTERRUPTED = 130


_ORDER = list(Exit)
_MEANINGS = {
    Outcome.CONTINUE: "The next step would start; after the last one the file is released.",
    Outcome.RETRY: "The step would start again later, as often as POSTPROCESSING_MAX_RETRIES says.",
    Outcome.ABORT: "The file would not be released; its bytes are kept.",
    Outcome.DELETE: "The file would not be released; its bytes are removed.",
}
_HINTS = {
    "clamd cannot be reached": "Does a clamd run at the address of --clamd?",
    "the step took longer than": "Give it more time with --timeout, or with @step(…, timeout=…).",
}
_OWN_FILES = {judge.__file__, bench.__file__}
EPILOG = f"""\
exit status of --try (of several files the worst counts, in this order):
  {Exit.CONTINUE.value}    every file: continue
  {Exit.RETRY.value}    retry, as the step said
  {Exit.ABORT.value}    abort
  {Exit.DELETE.value}    delete
  {Exit.FAILED.value}    the step itself failed: an exception, a time-out, or no verdict; it counts as a retry
  2    nothing was tried: an option or a file cannot be used
  {Exit.INTERRUPTED.value}  interrupted
"""


class Output(StrEnum):
    """How the result is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried."""

    files: tuple[Path, ...]
    filename: str = ""
    user: User = SOMEBODY
    space: str = ""
    redelivered: bool = False
    output: Output = Output.TEXT

    def upload(self, path: Path, number: int) -> Upload:
        """The upload that a file becomes.

        Raises:
            OSError: the file cannot be looked at.
        """
        return Upload.of(
            path,
            self.filename or path.name,
            self.user,
            id=f"11111111-2222-3333-4444-{number:012d}",
            space_id=self.space or "space-1",
            redelivered=self.redelivered,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a file."""

    path: Path
    size: int
    read: int
    delivery: Delivery
    notes: list[str] = field(default_factory=list)

    @property
    def exit(self) -> Exit:
        """What it means for a script."""
        if self.delivery.given_back:
            return Exit.INTERRUPTED
        return Exit.FAILED if self.delivery.failed else Exit[self.delivery.outcome.name]


def add_try_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a trial."""
    group = parser.add_argument_group(
        "trying it", "Say what the step does with files, and end. No NATS and no storage is needed."
    )
    group.add_argument(
        "--try", dest=FILES, metavar="FILE", type=Path, nargs="+", action="extend", help="The files."
    )
    group.add_argument("--filename", metavar="NAME", help="Name of the upload; that of the file by default.")
    group.add_argument(
        "--uploader",
        metavar="WHO",
        help="Who uploads: an id, which is the user's name as well, or a mail address. "
        f"By default {SOMEBODY.id}, {SOMEBODY.username}, {SOMEBODY.mail}.",
    )
    group.add_argument("--space", metavar="ID", help="The space that the upload is in.")
    group.add_argument(
        "--redelivered",
        action="store_true",
        help="Deliver it as one that was begun before.",
    )
    group.add_argument(
        "--output",
        choices=[each.value for each in Output],
        help="text, or json with one line for each file.",
    )


def read_trial(flags: Mapping[str, Any]) -> Trial | None:
    """What the flags ask to try; None for nothing.

    Raises:
        ConfigurationError: a file cannot be used, or a flag does not go with the others.
    """
    files: list[Path] = flags.get(FILES) or []
    given = [name for name in ONLY_HERE if flags.get(name)]
    if not files:
        if given:
            raise ConfigurationError(f"--{given[0]} applies only to --try; omit it")
        return None
    if len(files) > 1 and "filename" in given:
        raise ConfigurationError("--filename needs a single file; omit it, or try one file at a time")
    for path in files:
        _check(path)
    return Trial(
        files=tuple(files),
        filename=flags.get("filename") or "",
        user=_user(flags.get("uploader") or ""),
        space=flags.get("space") or "",
        redelivered=bool(flags.get("redelivered")),
        output=Output(flags.get("output") or Output.TEXT),
    )


def _check(path: Path) -> None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
            return
    except OSError as error:
        raise _unusable(path, error) from None
    why = "is a folder, not a file" if stat.S_ISDIR(mode) else "is not a regular file"
    raise _unusable(path, OSError(errno.EINVAL, why))


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"--try={clean(str(path))}: {error.strerror or type(error).__name__}")


def _user(who: str) -> User:
    if not who:
        return SOMEBODY
    name, at, _ = who.partition("@")
    return User(id=name, username=name, mail=who if at else f"{name}@example.org")


def run_trial(
    trial: Trial, new_bench: Callable[[], Bench], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> int:
    """Try the files, each on a bench of its own, and print what comes of them; returns the exit status.

    Raises:
        ConfigurationError: a file cannot be read any more.
    """
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("uploadpp").setLevel(logging.ERROR)  # what it would say is in the result
    logging.getLogger(command.__name__).setLevel(logging.INFO)  # but for what the command says
    worst, goes_on = Exit.CONTINUE, False
    for number, path in enumerate(trial.files, 1):
        result, left = run_alone(_one(new_bench(), trial, path, number), new_loop)
        _print(result, trial.output)
        worst, goes_on = max(worst, result.exit, key=_ORDER.index), goes_on or left
        if worst is Exit.INTERRUPTED:
            break
    if goes_on:
        sys.stderr.write("note: work of the step did not stop when it was told to; it is left behind\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(worst)  # a thread cannot be ended, and would be waited for
    return worst


async def _one(place: Bench, trial: Trial, path: Path, number: int) -> Result:
    blocked = Blocked()
    async with place, _stop_on_signals(place):
        try:
            upload = trial.upload(path, number)
            sent = place.send(upload)
        except OSError as error:  # it was there a moment ago
            raise _unusable(path, error) from None
        watching = asyncio.create_task(blocked.watch())
        try:
            delivery = await sent.delivery()
        finally:
            watching.cancel()
    return Result(
        path=path,
        size=upload.size,
        read=place.downloaded,
        delivery=delivery,
        notes=blocked.notes(),
    )


class Blocked:
    """The longest time for which the function blocked the event loop."""

    def __init__(self) -> None:
        self._seconds = 0.0

    async def watch(self) -> None:
        """Look, until cancelled."""
        while True:
            began = time.monotonic()
            try:
                await asyncio.sleep(LOOK_SECONDS)
            finally:
                self._seconds = max(self._seconds, time.monotonic() - began - LOOK_SECONDS)

    def notes(self) -> list[str]:
        """Warnings for the author of the step."""
        if self._seconds < BLOCKED_SECONDS:
            return []
        what = f"the step kept its process busy for {self._seconds:.1f} s without a pause"
        return [f"{what}: no other upload is processed meanwhile. Use asyncio.to_thread for what blocks"]


@contextlib.asynccontextmanager
async def _stop_on_signals(place: Bench) -> AsyncGenerator[None]:
    """Stop as on SIGTERM in production, without time to drain; the second signal ends us at once."""
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def stop() -> None:
        tasks.add(asyncio.ensure_future(place.stop()))

    def told(number: int, _: object) -> None:
        signal.signal(number, lambda *_: os._exit(Exit.INTERRUPTED))
        loop.call_soon_threadsafe(stop)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
        await asyncio.gather(*tasks)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(result: Result, output: Output) -> None:
    if (error := result.delivery.error) is not None and not isinstance(error, DownloadError):
        sys.stderr.write(clean_lines(_trace(error), MAX_TRACE) + "\n")
    sys.stdout.write(_json(result) if output is Output.JSON else _text(result))
    sys.stdout.flush()


def _trace(error: BaseException) -> str:
    """Where it was raised, beginning with the first line that is not the kit's own."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None and frame.tb_frame.f_code.co_filename in _OWN_FILES:
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame)).rstrip()


def _text(result: Result) -> str:
    name, delivery = clean(str(result.path)), result.delivery
    if delivery.given_back:
        return f"{name}: interrupted\n  The work would be given back, and another process would do it.\n"
    outcome = delivery.outcome
    lines = [
        f"{name}: {outcome}, because the step failed" if delivery.failed else f"{name}: {outcome}",
        _MEANINGS[outcome],
        f"Reason: {clean(delivery.message) or 'none given'}",
        f"It took {delivery.seconds:.3f} s and read {result.read} of {result.size} bytes.",
        *(f"Hint: {hint}" for beginning, hint in _HINTS.items() if delivery.message.startswith(beginning)),
        *(f"Note: {note}." for note in result.notes),
        f"{delivery.event.type}:",
        *_readable(json.dumps(delivery.event.payload, indent=2, ensure_ascii=False)).split("\n"),
    ]
    return "\n  ".join(lines) + "\n"


def _json(result: Result) -> str:
    delivery = result.delivery
    values: dict[str, Any] = {
        "file": str(result.path),
        "outcome": None if delivery.given_back else delivery.outcome,
        "failed": delivery.failed,
        "message": "" if delivery.given_back else delivery.message,
        "seconds": round(delivery.seconds, 3),
        "size": result.size,
        "read": result.read,
        "notes": result.notes,
        "event": None,
    }
    if not delivery.given_back:
        event = delivery.event
        values["event"] = {
            "type": event.type,
            "id": event.id,
            "metadata": event.metadata,
            "payload": event.payload,
        }
    return json.dumps(values) + "\n"


def _readable(text: str) -> str:
    """JSON in which nothing can control a terminal, and which is still JSON."""
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)
