"""The report of `uploadpp adopt` and `uploadpp release`: a page for people, or JSON for programs."""

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from uploadpp.core.text import clean

MAX_SHOWN = 200
"""Lines of a list for people; the JSON has all of it."""


class Exit(IntEnum):
    """How the commands end."""

    DONE = 0
    FAILED = 1
    """It could not be completed; run it again."""
    CONFIGURATION = 2
    INCOMPLETE = 3
    """It is done, but some uploads could not be adopted or handed back; they are listed."""
    REFUSED = 4
    """Nothing was done: the legacy service or an operator runs. The report names the remedy."""


class OutputFormat(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"


class RefusedToRunError(Exception):
    """Nothing may be done now; the text says why, and what to do."""


@dataclass(slots=True)
class Report:
    """What was done with each upload."""

    command: str
    dry_run: bool = False
    position: dict[str, Any] = field(default_factory=dict)
    done: list[dict[str, Any]] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, upload_id: str, **what: object) -> None:
        """An upload that was adopted or handed back."""
        self.done.append({"id": upload_id, **what})

    def leave(self, upload_id: str, reason: str, why: str, *, fine: bool) -> None:
        """An upload that was not; `fine` says that nothing is left to do for a person."""
        self.left.append({"id": upload_id, "reason": reason, "why": why, "fine": fine})

    @property
    def exit(self) -> Exit:
        """How the command ends."""
        return Exit.DONE if all(each["fine"] for each in self.left) else Exit.INCOMPLETE

    def write(self, form: OutputFormat) -> None:
        """Write it to standard output."""
        sys.stdout.write(self._json() if form is OutputFormat.JSON else self._text())
        sys.stdout.flush()

    def _json(self) -> str:
        body = {
            "command": self.command,
            "dryRun": self.dry_run,
            "position": self.position,
            "done": self.done,
            "left": self.left,
            "notes": self.notes,
            "exitCode": int(self.exit),
        }
        return json.dumps(body, indent=2, ensure_ascii=True) + "\n"

    def _text(self) -> str:
        would = "would be " if self.dry_run else ""
        word = {"adopt": "adopted", "release": "handed back"}[self.command]
        lines = [f"note: {each}" for each in self.notes]
        lines += [f"{name}: {value}" for name, value in self.position.items()]
        lines.append(f"{len(self.done)} uploads {would}{word}")
        lines += [f"  {name}: {number}" for name, number in _counted(self.done, "stage")]
        fine = [each for each in self.left if each["fine"]]
        wrong = [each for each in self.left if not each["fine"]]
        if fine:
            lines.append(f"{len(fine)} uploads need nothing")
            lines += [f"  {name}: {number}" for name, number in _counted(fine, "reason")]
        if wrong:
            lines.append(f"{len(wrong)} uploads could not be {word}")
            lines += [f"  {each['id']}: {each['reason']}: {each['why']}" for each in wrong[:MAX_SHOWN]]
            lines += ["  … -o json lists the others"] if len(wrong) > MAX_SHOWN else []
        remarks = [f"  {each['id']}: {each['remark']}" for each in self.done if each.get("remark")]
        lines += ["these need a look", *remarks[:MAX_SHOWN]] if remarks else []
        return "".join(f"{clean(line)}\n" for line in lines)


def _counted(items: list[dict[str, Any]], name: str) -> list[tuple[str, int]]:
    return sorted(Counter(str(each.get(name, "")) for each in items).items())
