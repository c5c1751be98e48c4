"""The result of one check of `doctor`."""

from enum import Enum
from typing import NamedTuple

from kubectl_pp.screen import Color, Icon, Screen, wrap


class Verdict(Enum):
    """How bad it is."""

    GOOD = (Icon.DONE, Color.GOOD)
    NOTE = (Icon.WAITING, Color.FAINT)
    WARNING = (Icon.HELD, Color.WAITING)
    BAD = (Icon.FAILED, Color.BAD)


class Finding(NamedTuple):
    """One line, and the remedy where one is needed."""

    verdict: Verdict
    text: str
    remedy: str = ""


def lines(screen: Screen, finding: Finding) -> list[str]:
    """The finding for a terminal."""
    icon, color = finding.verdict.value
    found = wrap(finding.text, screen.width, "  ")
    found[0] = f"{screen.paint(screen.icon(icon), color)} {found[0].lstrip()}"
    return found + (wrap(f"try: {finding.remedy}", screen.width, "    ") if finding.remedy else [])
