"""Any command as a step: the file on its standard input or as a path, its exit status as the verdict."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

from uploadpp.core.states import Outcome
from uploadpp.runtime.configuration import ConfigurationError, variables_of
from uploadpp.runtime.settings import Settings, env
from uploadpp.steps.answer import VIRUSSCAN
from uploadpp.steps.upload import CHUNK_BYTES, Content, Upload
from uploadpp.steps.verdict import BY_OUTCOME, Retry, Verdict, VirusscanResult

PATH = "{path}"
MAX_STATUS = 255
GRACE_SECONDS = 2.0
_SECRETS = {name for field in Settings.model_fields for name in variables_of(field)}


def _pairs(value: object) -> object:
    if isinstance(value, str):
        value = [item for item in value.split(",") if item.strip()]
    if not isinstance(value, list):
        return value
    pairs = {}
    for item in value:
        status, equals, outcome = str(item).partition("=")
        if not equals or not status.strip().isdecimal() or int(status) > MAX_STATUS:
            raise ValueError(f"{item!r} is no pair such as 1=delete")
        pairs[int(status)] = outcome.strip()
    return pairs


class CommandOptions(BaseModel):
    """Which command, and what its exit status means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exec: str = env(
        "UPLOADPP_STEP_EXEC",
        default="",
        description="Run this command for each file, which is its standard input, or the file that stands "
        "where {path} is in the command. No shell; write sh -c '…' for one.",
    )
    exit: Annotated[dict[int, Outcome], BeforeValidator(_pairs)] = env(
        "UPLOADPP_STEP_EXIT",
        repeat=True,
        default={},
        description="What an exit status means, such as 1=delete; 0 is continue and any other retry unless "
        "you say so. Separate several with commas in the variable.",
    )

    @field_validator("exec")
    @classmethod
    def _check(cls, value: str) -> str:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"is no command: {error}") from None
        if words and shutil.which(words[0]) is None:
            raise ValueError(f"there is no program {words[0]!r} here")
        return value


class Command:
    """Runs a command once for each upload."""

    def __init__(self, options: CommandOptions) -> None:
        """Take the command apart.

        Raises:
            ConfigurationError: there is none.
        """
        self._words = shlex.split(options.exec)
        if not self._words:
            raise ConfigurationError("UPLOADPP_STEP_EXEC: is empty")
        self._outcomes = {0: Outcome.CONTINUE, **options.exit}

    async def check(self, upload: Upload) -> Verdict:
        """Run the command and read its verdict."""
        if any(PATH in word for word in self._words):
            with tempfile.TemporaryDirectory(prefix="uploadpp-step-") as folder:
                path = Path(folder, "file")
                await upload.save(path)
                words = [word.replace(PATH, str(path)) for word in self._words]
                status, message = await _run(words, upload, None)
        else:
            async with upload.open() as content:
                status, message = await _run(self._words, upload, content)
        return self._verdict(upload.step, status, message)

    def _verdict(self, step: str, status: int, message: str) -> Verdict:
        outcome = self._outcomes.get(status, Outcome.RETRY)
        if outcome is Outcome.RETRY:
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            return Retry(f"{how}: {message}" if message else f"the command ended with {how}")
        result = None
        if step == VIRUSSCAN:
            found = message or f"exit status {status}"
            result = VirusscanResult(infected=status != 0, description=found if status else "")
        return BY_OUTCOME[outcome](message, result=result)


async def _run(words: list[str], upload: Upload, content: Content | None) -> tuple[int, str]:
    """The exit status and the last line of the output."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL if content is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=_environment(upload),
        start_new_session=True,  # so that it can be ended with everything it starts
    )
    try:
        async with asyncio.TaskGroup() as group:
            output = group.create_task(_tail(process.stdout))
            if content is not None and process.stdin is not None:
                group.create_task(_feed(process.stdin, content))
        return await process.wait(), _last_line(output.result())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # a failed download: the author of the command has no say
    finally:
        await _end(process)


async def _feed(stdin: asyncio.StreamWriter, content: Content) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has seen enough
        async for chunk in content:
            stdin.write(chunk)
            await stdin.drain()
    stdin.close()


async def _tail(stdout: asyncio.StreamReader | None) -> bytes:
    tail = b""
    while stdout is not None and (part := await stdout.read(CHUNK_BYTES)):
        tail = (tail + part)[-CHUNK_BYTES:]
    return tail


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the command and what it started if it still runs: first politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        _signal(process, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _environment(upload: Upload) -> Mapping[str, str]:
    """Ours without what opens NATS, and the upload's."""
    inherited = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    return {
        **inherited,
        "UPLOAD_ID": upload.id,
        "UPLOAD_FILENAME": upload.filename.replace("\0", ""),
        "UPLOAD_SIZE": str(upload.size),
        "UPLOAD_USER": upload.user.id,
        "UPLOAD_STEP": upload.step,
    }
