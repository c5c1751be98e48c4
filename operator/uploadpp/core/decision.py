"""What `decide` answers with."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from uploadpp.core.commands import Command, Mark, Notice
from uploadpp.core.model import Upload
from uploadpp.core.states import Ignored


class Decision(NamedTuple):
    """The new state of an upload, and what has to be published because of it.

    If nothing happens, `ignored` is the reason and `why` explains it; `upload` is then what
    `decide` was given, except for a newer URL in the input. `met` is a command of ours that
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
    """The decision about an upload that stays unknown: at most, the storage is asked to announce it."""

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
