"""What `decide` answers with."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from uploadpp.core.commands import Command, Mark, Notice
from uploadpp.core.model import Upload
from uploadpp.core.states import Ignored


class Decision(NamedTuple):
    """The new state of an upload, and what has to be published because of it.

    When nothing happens `ignored` says why and `why` says it in words; `upload` is then what
    `decide` was given, but for a later URL that came with it. `met` is a command of ours that
    another service has published in our place: while it is held it need not go out any more.
    """

    upload: Upload
    commands: tuple[Command, ...] = ()
    notices: tuple[Notice, ...] = ()
    ignored: Ignored | None = None
    why: str = ""
    met: Mark | None = None


@dataclass(frozen=True, slots=True)
class UnknownDecision:
    """What is done about an upload that is not known and stays so: at most, the storage is asked for it."""

    commands: tuple[Command, ...] = ()
    ignored: Ignored | None = None
    why: str = ""
    upload: ClassVar[None] = None
    notices: ClassVar[tuple[Notice, ...]] = ()
    met: ClassVar[None] = None


AnyDecision = Decision | UnknownDecision


def ignore(upload: Upload, reason: Ignored, why: str) -> Decision:
    """Nothing happens."""
    return Decision(upload, ignored=reason, why=why)
