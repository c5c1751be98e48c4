"""`--try FILE`: one file through the very code that serves events, without NATS and without a storage."""

import asyncio
import errno
import json
import ssl
import stat
import time
from base64 import b64decode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from uploadpp.core.model import Millis
from uploadpp.steps.answer import encode_answer
from uploadpp.steps.decorator import Step
from uploadpp.steps.download import Downloads, Limits
from uploadpp.steps.job import Job
from uploadpp.steps.judge import Judge
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.start import Start
from uploadpp.steps.upload import CHUNK_BYTES, Content, DownloadError, Opener

UPLOAD_ID = "11111111-2222-3333-4444-555555555555"


class _LocalFile(Downloads):
    """A file in the place of a download."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(ssl.create_default_context(), lambda _: None, limits)
        self._path = path

    def opener(self, url: str, size: int, traceparent: str) -> Opener:
        del url, traceparent

        @asynccontextmanager
        async def opened() -> AsyncGenerator[Content]:
            self.check_size(size)
            try:
                file = await asyncio.to_thread(self._path.open, "rb")
            except OSError as error:
                raise DownloadError(f"the file cannot be read: {error.strerror}") from None
            with file:
                yield Content(_Blocks(file), size)

        return opened


class _Blocks:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def read(self, n: int = -1, /) -> bytes:
        return await asyncio.to_thread(self._file.read, n if n >= 0 else CHUNK_BYTES)


async def try_file(step: Step, path: Path, timeout_seconds: float | None, limits: Limits) -> str:
    """What the step says about a file, and the content of the event that would be sent, as lines of text.

    Raises:
        OSError: there is no such file, or it has no end that is known.
    """
    status = await asyncio.to_thread(path.stat)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file")
    size = status.st_size
    user = {"id": {"opaque_id": "trial"}, "username": "trial", "mail": "trial@example.org"}
    start = Start(
        event_id="trial",
        step=step.name,
        upload_id=UPLOAD_ID,
        url="",
        filename=path.name,
        size=size,
        user=user,
        resource={},
        raw_user=json.dumps(user),
        raw_filename=json.dumps(path.name),
        raw_resource="null",
        metadata={"traceparent": "", "initiatorid": ""},
    )
    judge = Judge(step.name, step.work, timeout_seconds, _LocalFile(path, limits), StepMetrics(step.name))
    verdict = await judge.verdict(Job(start, []))
    event = json.loads(encode_answer(start, verdict, Millis(time.time_ns() // 1_000_000)).body)
    payload = json.loads(b64decode(event["Payload"]))
    return f"{verdict.outcome}\n{json.dumps(payload, indent=2, ensure_ascii=False)}\n"
