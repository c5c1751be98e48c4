"""Requests to resume all uploads at a step. Each request looks at all uploads, so equal ones are one request.

Anybody who may publish can repeat a request without end. While thousands of uploads are looked at for each
of them, no other message is processed. An upload that was resumed less than a second ago, and to which
nothing has happened since, would not be resumed again anyway (`core.rules.control`). So a repetition looks at
uploads only that had a message or a timer since: they may have come to the step, be held there, or back off.
"""

from collections import OrderedDict
from typing import NamedTuple

from uploadpp.core.inputs import Resume
from uploadpp.core.model import Millis
from uploadpp.core.rules.control import FOLD_MS

REMEMBERED = 100
"""Names of steps. Invented ones push each other out."""
MOST_CHANGES = 10_000
"""After more changes than this, all uploads are checked again."""


class _Look(NamedTuple):
    """When all uploads were looked at for a step, and how many of the changes were seen since."""

    at: Millis
    seen: int


class StepResumes:
    """When each step was resumed last, by the time of the stream: a replay folds the same requests."""

    def __init__(self) -> None:
        self._looks: OrderedDict[str, _Look] = OrderedDict()
        self._changed: list[str] = []
        self.watching = False
        """Whether `note` has to be told of changes; not while nobody has asked lately."""

    def note(self, upload_id: str) -> None:
        """Something has happened to an upload."""
        self._changed.append(upload_id)
        if len(self._changed) > MOST_CHANGES:
            self._looks.clear()
            self._changed.clear()
            self.watching = False

    def changed_since(self, event: Resume, at: Millis) -> list[str] | None:
        """The uploads that a repetition within a second is about; None if it is not one, and about all.

        A request with a token, which comes from a resource, never is a repetition.
        """
        look = None if event.token else self._looks.get(event.step)
        if look is None or not 0 <= at - look.at < FOLD_MS:
            return None
        return list(dict.fromkeys(self._changed[look.seen :]))

    def looked(self, event: Resume, at: Millis) -> None:
        """The uploads that the request is about were looked at."""
        if event.token:
            return
        look, seen = self._looks.get(event.step), len(self._changed)
        if look is not None and 0 <= at - look.at < FOLD_MS:
            self._looks[event.step] = _Look(look.at, seen)
            return
        self._looks[event.step] = _Look(at, seen)
        self._looks.move_to_end(event.step)
        if len(self._looks) > REMEMBERED:
            self._looks.popitem(last=False)
        self.watching = True
