"""Any command as a step: the file on its standard input or as a path, its exit status as the verdict."""

import logging
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

from uploadpp.core.states import Outcome
from uploadpp.core.text import redact
from uploadpp.process.configuration import ConfigurationError
from uploadpp.process.setting_fields import env
from uploadpp.steps.answer import VIRUSSCAN
from uploadpp.steps.execution import Execution, Identity
from uploadpp.steps.scratch import Scratch, remove_stale
from uploadpp.steps.upload import Content, Upload
from uploadpp.steps.verdict import BY_OUTCOME, Retry, Verdict, VirusscanResult

log = logging.getLogger(__name__)

PATH = "{path}"
MAX_STATUS = 255
MAX_VALUE = 4096
COMPLAINTS = 20
"""How many of the last lines on a command's standard error are logged."""
PASSED_ON = re.compile(r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|LD_LIBRARY_PATH")
"""The variables that every command gets."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


SHOWN = 40
"""Maximum number of characters of an invalid value that its error shows."""


def _is_status(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 6 and int(word) <= MAX_STATUS  # noqa: PLR2004


def _items(value: str) -> list[str]:
    """What stands between commas. Commas alone are what variables leave that are not set."""
    found = [item for item in value.split(",") if item.strip()]
    if not found and value.strip():  # a status that means "not scanned" would count as any other
        raise ValueError("has only commas; name an exit status, or leave it empty")
    return found


def _pairs(value: object) -> object:
    if isinstance(value, str):
        value = _items(value)
    if not isinstance(value, list):
        return value
    pairs: dict[int, str] = {}
    for item in value:
        status, equals, outcome = str(item).partition("=")
        if not equals or not _is_status(status.strip()):
            raise ValueError(f"{str(item)[:SHOWN]!r} is not a pair such as 1=delete")
        number, word = int(status), outcome.strip().lower()
        if pairs.setdefault(number, word) != word:
            raise ValueError(f"{number} has two outcomes, {pairs[number][:SHOWN]} and {word[:SHOWN]}")
    return pairs


def _statuses(value: object) -> object:
    if isinstance(value, str):
        value = _items(value)
    if not isinstance(value, list | tuple):
        return value
    words = [word.strip() for item in value for word in str(item).split(",")]
    for word in words:
        if not _is_status(word):
            raise ValueError(f"{word!r} is not an exit status such as 2")
    return tuple(int(word) for word in words)


def _names(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    names = [word.strip() for item in value for word in str(item).split(",") if word.strip()]
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a variable; give names only, such as MY_LICENSE")
    return tuple(names)


def _identity(value: object) -> object:
    return Identity.parse(value) if isinstance(value, str) and value else value or None


class CommandOptions(BaseModel):
    """Which command, and what its exit status means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exec: str = env(
        "UPLOADPP_STEP_EXEC",
        default="",
        description="Run this command for each file. It reads the file from standard input, or from the path "
        "that replaces {path}. No shell is involved; for one, write sh -c '…'.",
    )
    exit: Annotated[dict[int, Outcome], BeforeValidator(_pairs)] = env(
        "UPLOADPP_STEP_EXIT",
        repeat=True,
        default={},
        description="Outcome of an exit status, such as 1=delete. Default: 0 is continue, and every other "
        "status is retry. Separate several with commas in the variable.",
    )

    exit_unscanned: Annotated[tuple[int, ...], BeforeValidator(_statuses)] = env(
        "UPLOADPP_STEP_EXIT_UNSCANNED",
        repeat=True,
        default=(),
        description="For the step virusscan: exit statuses which mean that the file could not be scanned, "
        "such as 2 of clamdscan. It is reported as neither clean nor infected; --exit sets its outcome.",
    )
    pass_env: Annotated[tuple[str, ...], BeforeValidator(_names)] = env(
        "UPLOADPP_STEP_PASS_ENV",
        repeat=True,
        default=(),
        description="Name of an additional variable for the command. By default it gets PATH, HOME, USER, "
        "the language, the time zone, and the data of the upload. Separate several with commas.",
    )
    user: Annotated[Identity | None, BeforeValidator(_identity)] = env(
        "UPLOADPP_STEP_USER",
        default=None,
        description="Run the command as this user (UID or UID:GID), who cannot read the files of the step. "
        "Requires the permission to change users.",
    )

    @field_validator("user")
    @classmethod
    def _check_user(cls, value: Identity | None) -> Identity | None:
        if value is not None and os.geteuid() != 0:
            raise ValueError(
                "only root can run a command as another user; leave it out, or start the step as root"
            )
        return value

    @field_validator("exec")
    @classmethod
    def _check(cls, value: str) -> str:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"is not a command: {error}") from None
        if words and shutil.which(words[0]) is None:
            raise ValueError(f"there is no program {words[0]!r} here")
        return value


class _Ended(NamedTuple):
    """How a command has ended."""

    status: int
    message: str
    took_all: bool


class Command:
    """Runs a command once for each upload."""

    def __init__(self, options: CommandOptions) -> None:
        """Take the command apart, and remove what a killed process has left.

        Raises:
            ConfigurationError: there is none.
        """
        self._words = shlex.split(options.exec)
        if not self._words:
            raise ConfigurationError("UPLOADPP_STEP_EXEC: is empty")
        self._options = options
        self._outcomes = {0: Outcome.CONTINUE, **options.exit}
        self._scratch: Scratch | None = None
        remove_stale()

    async def check(self, upload: Upload) -> Verdict:
        """Run the command and read its verdict."""
        async with self._place().folder() as folder:
            environment = {**_environment(upload, self._options.pass_env), "TMPDIR": str(folder)}
            if any(PATH in word for word in self._words):
                path = folder / "file"
                await upload.save(path)
                self._give(path)
                words = [word.replace(PATH, str(path)) for word in self._words]
                ended = await self._run(upload, words, environment, None)
            else:
                async with upload.open() as content:
                    ended = await self._run(upload, self._words, environment, content)
        return self._verdict(upload.step, ended)

    async def _run(
        self, upload: Upload, words: list[str], environment: Mapping[str, str], content: Content | None
    ) -> "_Ended":
        execution = Execution(words, environment, self._options.user)
        try:
            status, message = await execution.run(content)
            return _Ended(status, message, took_all=execution.took_all)
        finally:
            for line in execution.complaints.last_lines(COMPLAINTS):
                extra = {"step": upload.step, "upload": upload.id}
                log.info("the command said: %s", redact(line), extra=extra)

    def _place(self) -> Scratch:
        """Our folder; a new one if it was removed, as by programs that clean up /tmp."""
        if self._scratch is None or not self._scratch.intact:
            self._scratch = Scratch(self._options.user.uid if self._options.user else None)
        return self._scratch

    def _give(self, path: Path) -> None:
        if self._options.user is not None:
            os.chown(path, self._options.user.uid, self._options.user.gid, follow_symlinks=False)

    def _verdict(self, step: str, ended: "_Ended") -> Verdict:
        status, message = ended.status, ended.message
        outcome = self._outcomes.get(status, Outcome.RETRY)
        if outcome is Outcome.RETRY:
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            return Retry(f"{how}: {message}" if message else f"the command ended with {how}")
        result = None
        if step == VIRUSSCAN:
            result = self._scanned(status, outcome, message or f"exit status {status}")
            if not (result.infected or result.error or ended.took_all):
                why = f"exit status {status}, but the command has not read the whole file"
                unread = VirusscanResult(error=f"not scanned: {why}", scanned_at=None)
                return Retry(f"{why}; one that opens files by name takes {PATH}", result=unread)
        return BY_OUTCOME[outcome](message, result=result)

    def _scanned(self, status: int, outcome: Outcome, said: str) -> VirusscanResult:
        """What is recorded. A file that is kept from the user is infected, whatever the number of the status.

        Programs such as grep end with 0 when they have found something: then 0 does not continue, and
        another status that does stands for a clean file.
        """
        if status in self._options.exit_unscanned:
            return VirusscanResult(error=f"not scanned: {said}", scanned_at=None)
        clean = 0 if self._outcomes[0] is Outcome.CONTINUE else status
        infected = outcome is not Outcome.CONTINUE or status != clean
        return VirusscanResult(infected=infected, description=said if infected else "")


def _environment(upload: Upload, names: tuple[str, ...]) -> Mapping[str, str]:
    """What is let in, and the upload's. Everything else of ours may open something."""
    inherited = {
        name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name) or name in names
    }
    return {
        **inherited,
        "UPLOAD_ID": _value(upload.id),
        "UPLOAD_FILENAME": _value(upload.filename),
        "UPLOAD_SIZE": _value(str(upload.size)),
        "UPLOAD_USER": _value(upload.user.id),
        "UPLOAD_STEP": _value(upload.step),
    }


def _value(text: str) -> str:
    """What a variable can hold; the system does not start a program with longer ones."""
    return text.replace("\0", "")[:MAX_VALUE]
