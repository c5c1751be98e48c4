"""What the plugin needs and Python before 3.11 lacks."""

import enum
import sys

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:

    class StrEnum(str, enum.Enum):
        """A text that is one of a few."""

        __str__ = str.__str__
        __format__ = str.__format__


__all__ = ["StrEnum"]
