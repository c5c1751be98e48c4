"""The bound on recorded uploads."""

import pytest

from uploadpp.kube.errors import Refusal, RefusedError
from uploadpp.kube.store import Stored
from uploadpp.pipeline.record_limit import RecordLimit
from uploadpp.pipeline.text_budget import TextBudget
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.builders import PASSED, after


class Uploads:
    """Some uploads, of which some have a resource."""

    def __init__(self, recorded: int, unrecorded: int) -> None:
        self.text_budget = TextBudget()
        self.in_memory = [TrackedUpload(f"u{n}", after(*PASSED[:1])) for n in range(recorded + unrecorded)]
        for tracked in self.in_memory[:recorded]:
            tracked.stored = Stored("1", "1", 1)

    def __len__(self) -> int:
        return len(self.in_memory)


@pytest.mark.parametrize(
    ("recorded", "unrecorded", "ended", "more"), [(0, 5, 0, 3), (2, 5, 0, 1), (3, 1, 0, 0), (1, 9, 2, 0)]
)
async def test_no_more_resources_than_allowed(recorded: int, unrecorded: int, ended: int, more: int) -> None:
    limit = RecordLimit(3, Uploads(recorded, unrecorded), [None] * ended)
    for _ in range(more):
        limit.check()
    with pytest.raises(RefusedError, match="UPLOADPP_MAX_RECORDED") as caught:
        limit.check()
    assert caught.value.reason is Refusal.LIMIT
