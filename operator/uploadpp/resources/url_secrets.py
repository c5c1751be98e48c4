"""Resources that a person has made: what they lack of BytesReceived, found elsewhere.

The file's name and size come from the spec; the URL from a Secret (`spec.urlSecretRef`), or
else from the storage, which is asked for one before the first step that needs it.
"""

import asyncio
import logging

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import SpecChanged
from uploadpp.core.model import Origin
from uploadpp.kube.errors import ApiError, NotFoundError
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.ports import Json, Notices, Resources
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.wire.rawjson import go_string
from uploadpp.wire.urls import expiry_of

log = logging.getLogger(__name__)


class UrlSecretReader:
    """Reads the URLs of hand-made resources from their Secrets before these start."""

    def __init__(self, shared: Shared, applier: Applier, resources: Resources, notices: Notices) -> None:
        self._clock = shared.clock
        self._faults = shared.faults
        self._applier = applier
        self._resources = resources
        self._notices = notices
        self._wanted: asyncio.Queue[tuple[TrackedUpload, str, str]] = asyncio.Queue()
        self._waiting: set[TrackedUpload] = set()

    def want(self, tracked: TrackedUpload, resource: Json) -> bool:
        """Queue a resource for its URL; False when it names no Secret."""
        reference = resource.get("spec", {}).get("urlSecretRef")
        if not reference or tracked.upload.stage.ended:
            return False
        self._waiting.add(tracked)
        self._wanted.put_nowait((tracked, reference.get("name", ""), reference.get("key", "url")))
        return True

    def is_waiting(self, tracked: TrackedUpload) -> bool:
        """Whether an upload must not start yet because its URL is being read."""
        return tracked in self._waiting

    async def run(self) -> None:
        """Read what is queued, until cancelled."""
        while True:
            tracked, name, key = await self._wanted.get()
            # One resource must not keep the URLs of all others from being read.
            with self._faults.isolated(tracked):
                url = ""
                try:
                    url = await self._read(tracked, name, key)
                finally:
                    self._waiting.discard(tracked)
                if not tracked.gone:
                    if url:
                        self._take(tracked, url)
                    self._applier.on_input(tracked, SpecChanged(tracked.upload.control))

    async def _read(self, tracked: TrackedUpload, name: str, key: str) -> str:
        """The URL; empty, and said on the resource, when there is none."""
        try:
            return await self._resources.secret(name, key)
        except ApiError as error:
            log.warning("cannot read the URL from the Secret: %s", error, extra={"upload": tracked.upload.id})
            if tracked.stored is not None and not tracked.gone:
                notice = fault_event_texts.url_secret_unreadable(_words(error))
                self._notices.post(tracked.name, tracked.stored.uid, notice)
            return ""

    def _take(self, tracked: TrackedUpload, url: str) -> None:
        now = self._clock()
        fresh = Origin(url=go_string(url), url_received_at=now, url_expires_at=expiry_of(url))
        tracked.upload = evolve(tracked.upload, origin=tracked.upload.origin.with_url_of(fresh))


def _words(error: ApiError) -> str:
    """What to say on the resource: an answer of the API server may name what its reader may not know."""
    return str(error) if isinstance(error, NotFoundError) else "the operator cannot read the Secret"
