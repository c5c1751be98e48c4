"""Says on uploads that nobody serves the step they are at, within seconds instead of when they stall.

Which steps that is, `ownership.step_listeners` finds out. An upload is told again when a service is there:
what a slow one has not come to is not stalled.
"""

import asyncio
from collections.abc import Callable

from uploadpp.core.inputs import Input, Listening
from uploadpp.core.states import Stage
from uploadpp.pipeline.faults import Faults
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.uploads import Uploads

LOOK_SECONDS = 1.0

Apply = Callable[[TrackedUpload, Input], None]
Unserved = Callable[[], frozenset[str] | None]
"""The steps that nobody serves; None while that is not known yet."""


class UnservedSteps:
    """The uploads of one shard that are at such a step."""

    def __init__(self, uploads: Uploads, faults: Faults, unserved: Unserved, apply: Apply) -> None:
        self._uploads = uploads
        self._faults = faults
        self._unserved = unserved
        self._apply = apply
        self._before: frozenset[str] | None = None

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Tell uploads that are at a step which nobody serves, and all uploads once when that has changed."""
        unserved = self._unserved()
        if unserved is None or not (unserved or unserved != self._before):
            return
        changed, self._before = unserved != self._before, unserved
        for tracked in list(self._uploads.in_memory):
            upload = tracked.upload
            if upload.stage is not Stage.RUNNING or tracked.gone or tracked.unpublished:
                continue
            missing = upload.current_step in unserved
            if (missing and upload.stalled_at is None) or (changed and not missing and upload.stalled_at):
                with self._faults.isolated(tracked):
                    self._apply(tracked, Listening(upload.current_step, found=not missing))
