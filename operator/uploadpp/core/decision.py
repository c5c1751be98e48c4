"""What `decide` answers with."""

from typing import NamedTuple

from uploadpp.core.commands import Command, Notice
from uploadpp.core.model import Upload
from uploadpp.core.states import Ignored


class Decision(NamedTuple):
    """The new state, and what has to be published because of it.

    When nothing happens `ignored` says why and `why` says it in words; `upload` is then what
    `decide` was given, but for a later URL that came with it. None means that the upload is
    not known and stays so.
    """

    upload: Upload | None
    commands: tuple[Command, ...] = ()
    notices: tuple[Notice, ...] = ()
    ignored: Ignored | None = None
    why: str = ""


def ignore(upload: Upload | None, reason: Ignored, why: str) -> Decision:
    """Nothing happens."""
    return Decision(upload, ignored=reason, why=why)
