"""Which rows a page shows: the parameters of its address, which nobody needs to trust."""

from collections.abc import Mapping
from typing import NamedTuple

from kubectl_pp.ui.rows import ATTENTION, ENDED, LONG, RETRYING, Row

VIEWS = ("", "attention", "retrying", "long", "failed", "succeeded", "all")
"""Groups of rows; the first, everything in flight, is what the page opens with."""
PAGE = 50
_MAX_NUMBER = 1_000_000
_MAX_TEXT = 200


class Filter(NamedTuple):
    """What a page asks for; fields that are empty or 0 choose nothing out."""

    view: str = ""
    status: str = ""
    step: str = ""
    user: str = ""
    text: str = ""
    retries: int = 0
    older: int = 0
    """Seconds since the upload came to its stage."""
    start: int = 0
    """The number of the first row."""

    @property
    def reads_ended(self) -> bool:
        """Whether uploads that have ended may be among those it chooses."""
        return self.view in {"failed", "succeeded", "all"} or (not self.view and bool(self.status))

    def matches(self, row: Row, now: float, unwell: "frozenset[str]") -> bool:
        """Whether a row is shown. A status of those that have ended is looked for among these."""
        if not _in_view(self.view or ("all" if self.status else ""), row, now, unwell):
            return False
        if (self.status and row.status != self.status) or (self.step and row.step != self.step):
            return False
        if (self.user and row.user != self.user) or (self.retries and row.retries < self.retries):
            return False
        if self.older and now - row.since < self.older:
            return False
        return self.text in row.text


def read(params: Mapping[str, str]) -> Filter:
    """The filter of a query; what is not understood is as if it were not there."""
    view = params.get("view", "")
    return Filter(
        view if view in VIEWS else "",
        params.get("status", "")[:_MAX_TEXT],
        params.get("step", "")[:_MAX_TEXT],
        params.get("user", "")[:_MAX_TEXT],
        params.get("text", "")[:_MAX_TEXT].strip().lower(),
        number(params.get("retries", "")),
        number(params.get("older", "")),
        number(params.get("start", "")) // PAGE * PAGE,
    )


def number(text: str) -> int:
    """A whole number; 0 when it is not one."""
    return min(int(text), _MAX_NUMBER) if text.isascii() and text.isdecimal() and len(text) < 10 else 0  # noqa: PLR2004


def _in_view(view: str, row: Row, now: float, unwell: "frozenset[str]") -> bool:
    if view == "all":
        return True
    rank = row.rank(now, unwell)
    if view == "":
        return rank != ENDED
    if view in {"failed", "succeeded"}:
        return row.completed > 0 and row.failed is (view == "failed")
    return rank == {"attention": ATTENTION, "retrying": RETRYING, "long": LONG}[view]
