"""What `decide` answers with."""

from typing import NamedTuple

from uploadpp.core.commands import Command, Notice
from uploadpp.core.model import Upload
from uploadpp.core.states import Ignored


class Decision(NamedTuple):
    """The new state, and what has to be published because of it.

    `upload` is what `decide` was given when nothing changed; then `ignored` says why and
    `why` says it in words. None means that the upload is not known and stays so.
    """

    upload: Upload | None
    commands: tuple[Command, ...] = ()
    notices: tuple[Notice, ...] = ()
    ignored: Ignored | None = None
    why: str = ""


def ignore(upload: Upload | None, reason: Ignored, why: str) -> Decision:
    """Nothing changes."""
    return Decision(upload, ignored=reason, why=why)
