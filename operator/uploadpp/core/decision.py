"""What `decide` answers with."""

from typing import NamedTuple

from uploadpp.core.commands import Command, Mark, Notice
from uploadpp.core.model import Upload
from uploadpp.core.states import Ignored


class Decision(NamedTuple):
    """The new state, and what has to be published because of it.

    When nothing happens `ignored` says why and `why` says it in words; `upload` is then what
    `decide` was given, but for a later URL that came with it. None means that the upload is
    not known and stays so. `met` is a command of ours that another service has published in
    our place: while it is held it need not go out any more.
    """

    upload: Upload | None
    commands: tuple[Command, ...] = ()
    notices: tuple[Notice, ...] = ()
    ignored: Ignored | None = None
    why: str = ""
    met: Mark | None = None


def ignore(upload: Upload | None, reason: Ignored, why: str) -> Decision:
    """Nothing happens."""
    return Decision(upload, ignored=reason, why=why)
