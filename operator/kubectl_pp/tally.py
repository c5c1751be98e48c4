"""Counts uploads. Of ended ones only the state is read, as a row of the server's table."""

from collections import Counter
from collections.abc import Callable

from kubectl_pp import selection
from kubectl_pp.client import TABLE, Json
from kubectl_pp.context import Context
from kubectl_pp.table import cell
from kubectl_pp.upload import Upload

STATUS_COLUMN = "status"


class Tally:
    """What a namespace holds.

    `kept` are the uploads that have not ended and that `keep` chooses; `ended` counts the others by stage.
    `left_alone` are resources that stand for no upload, because another one does.
    """

    def __init__(self, context: Context, keep: Callable[[Upload], bool]) -> None:
        self.moving = 0
        self.left_alone: list[Upload] = []
        self.kept: list[Upload] = []
        self.ended: Counter[str] = Counter()
        self._keep = keep
        base = selection.params(context.options)
        selection.read(context, [selection.narrowed(base, selection.NOT_ENDED)], self._take_moving)
        ended = {**selection.narrowed(base, selection.ENDED), "includeObject": "None"}
        selection.read(context, [ended], self._take_ended, TABLE)

    def _take_moving(self, page: Json) -> None:
        uploads = [Upload(item) for item in page.get("items", [])]
        self.left_alone += [upload for upload in uploads if upload.left_alone]
        uploads = [upload for upload in uploads if not upload.left_alone]
        self.moving += len(uploads)
        self.kept += [upload for upload in uploads if self._keep(upload)]

    def _take_ended(self, page: Json) -> None:
        names = [column["name"].lower() for column in page["columnDefinitions"]]
        at = names.index(STATUS_COLUMN)
        self.ended.update(cell(row["cells"][at]) for row in page.get("rows") or [])
