"""What is known of a verb."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from kubectl_pp.flags import ALWAYS, Flag, Group


class Names(Enum):
    """Which words a verb takes besides flags."""

    NONE = ""
    ONE = "NAME"
    SOME = "[NAME...]"
    MANY = "NAME..."
    SHELL = "bash|zsh|fish|powershell"
    VERB = "[VERB]"
    TEST = "test"


class Verb(NamedTuple):
    """One verb."""

    name: str
    summary: str
    description: str
    names: Names = Names.NONE
    groups: tuple[Group, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()
    offline: bool = False

    @property
    def all_groups(self) -> tuple[Group, ...]:
        """Its own flags and those of every verb."""
        return (*self.groups, *(ALWAYS[-1:] if self.offline else ALWAYS))

    @property
    def flags(self) -> tuple[Flag, ...]:
        """All flags it takes."""
        return tuple(flag for group in self.all_groups for flag in group.flags)


UPLOAD_NAMES = "NAME is the name of a resource, an upload id, or @latest for the newest upload."
