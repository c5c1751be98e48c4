"""Requests to resume all uploads at a step. Each request looks at all uploads, so equal ones are one request.

Anybody who may publish can repeat a request without end. While thousands of uploads are looked at for each of
them, no other message is processed. An upload that was resumed less than a second ago would not be resumed
again anyway (`core.rules.control`).
"""

from collections import OrderedDict

from uploadpp.core.inputs import Resume
from uploadpp.core.model import Millis
from uploadpp.core.rules.control import FOLD_MS

REMEMBERED = 100
"""Names of steps. Invented ones push each other out."""


class StepResumes:
    """When each step was resumed last, by the time of the stream: a replay folds the same requests."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, Millis] = OrderedDict()

    def repeats(self, event: Resume, at: Millis) -> bool:
        """Whether the same was requested in the second before; one with a token, of a resource, never is."""
        if event.token:
            return False
        last = self._last.get(event.step)
        if last is not None and 0 <= at - last < FOLD_MS:
            return True
        self._last[event.step] = at
        self._last.move_to_end(event.step)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        return False
