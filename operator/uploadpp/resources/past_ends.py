"""Resources that a person has made: whether their uploads have ended before (docs/adr/0062).

Such a resource may be made anew after the one by which its upload has ended is gone: `kubectl apply` of the
same manifest, as Argo CD and Flux do. It has no status, so the log is asked before anything is decided about
it. One reading answers for all resources that wait for one. Until then the state forbids to begin
(`core.rules.past_ends`), and what people edit is looked at after the answer.
"""

import asyncio
import logging

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import SpecChanged
from uploadpp.core.model import Control, Upload
from uploadpp.core.rules import past_ends
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.ports import Json, Notices, ReadEnds
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.resources.url_secrets import UrlSecretReader
from uploadpp.wire.past_ends import UnreadableLogError

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
PATIENCE_SECONDS = 300.0
"""After so long without an answer, a person has to decide."""


class PastEnds:
    """Those of one shard, until it is known how their uploads have ended, if they have."""

    def __init__(
        self,
        shared: Shared,
        applier: Applier,
        secrets: UrlSecretReader,
        notices: Notices,
        read: ReadEnds | None,
    ) -> None:
        """`read` is None where there is no log to ask: then every resource may begin."""
        self._faults = shared.faults
        self._applier = applier
        self._secrets = secrets
        self._notices = notices
        self._read = read
        self._waiting: dict[TrackedUpload, Json] = {}
        self._told: set[TrackedUpload] = set()
        """Those on which an Event says that the log cannot be read."""
        self._wake = asyncio.Event()

    def before_asked(self, upload: Upload) -> Upload:
        """The upload of a resource that a person has made, as it counts until the log has answered."""
        return upload if self._read is None else past_ends.unproven(upload)

    def want(self, tracked: TrackedUpload, resource: Json) -> None:
        """Ask the log about a resource if it has no status to go by, and then for its URL."""
        if self._read is None or not past_ends.is_unproven(tracked.upload):
            self._secrets.want(tracked, resource)
            return
        self._waiting[tracked] = resource
        self._wake.set()

    def is_waiting(self, tracked: TrackedUpload) -> bool:
        """Whether an upload must not start yet, because its past or its URL is being read."""
        return tracked in self._waiting or self._secrets.is_waiting(tracked)

    def postpones(self, tracked: TrackedUpload, control: Control) -> bool:
        """Keep what a person asks for until the log has answered; False where it need not be waited for."""
        if tracked not in self._waiting:
            return False
        tracked.upload = evolve(tracked.upload, control=control)
        return True

    async def run(self) -> None:
        """Ask about the resources that wait, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            # Of these the log may not show yet how an earlier resource has ended.
            under_way = self._applier.under_way()
            asked = [tracked for tracked in self._waiting if tracked.upload.id not in under_way]
            if self._read is not None and asked:
                await self._ask(self._read, asked)
            if self._waiting:
                asyncio.get_running_loop().call_later(FIRST_PAUSE_SECONDS, self._wake.set)

    async def _ask(self, read: ReadEnds, asked: list[TrackedUpload]) -> None:
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), FIRST_PAUSE_SECONDS
        while True:
            try:
                ends = await read({tracked.upload.id for tracked in asked})
            except UnreadableLogError as error:
                log.warning("cannot tell whether uploads of new resources have ended before: %s", error)
                self._tell(asked, error)
            else:
                for tracked in asked:
                    self._answer(tracked, past_ends.proven(tracked.upload, ends.get(tracked.upload.id)))
                return
            if loop.time() - began >= PATIENCE_SECONDS:
                for tracked in asked:
                    self._answer(tracked, past_ends.unreadable(tracked.upload))
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _answer(self, tracked: TrackedUpload, upload: Upload) -> None:
        resource = self._waiting.pop(tracked)
        self._told.discard(tracked)
        if tracked.gone:
            return
        with self._faults.isolated(tracked):
            tracked.upload = upload
            if not self._secrets.want(tracked, resource):
                self._applier.on_input(tracked, SpecChanged(upload.control))

    def _tell(self, asked: list[TrackedUpload], error: UnreadableLogError) -> None:
        for tracked in asked:
            if tracked.stored is not None and not tracked.gone and tracked not in self._told:
                self._told.add(tracked)
                notice = fault_event_texts.past_unreadable(str(error))
                self._notices.post(tracked.name, tracked.stored.uid, notice)
