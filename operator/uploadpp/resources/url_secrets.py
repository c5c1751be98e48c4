"""Resources that a person has made: what they lack of BytesReceived, found elsewhere.

The file's name and size come from the spec; the URL from a Secret (`spec.urlSecretRef`), or
else from the storage, which is asked for one before the first step that needs it.
"""

import asyncio
import logging

from uploadpp.core.commands import Notice, NoticeType
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import SpecChanged
from uploadpp.core.model import Origin
from uploadpp.kube.errors import ApiError, NotFoundError
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.ports import Json, Notices, Resources
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import Entry
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
        self._wanted: asyncio.Queue[tuple[Entry, str, str]] = asyncio.Queue()
        self._waiting: set[Entry] = set()

    def want(self, entry: Entry, resource: Json) -> bool:
        """Queue a resource for its URL; False when it names no Secret."""
        reference = resource.get("spec", {}).get("urlSecretRef")
        if not reference or entry.upload.stage.ended:
            return False
        self._waiting.add(entry)
        self._wanted.put_nowait((entry, reference.get("name", ""), reference.get("key", "url")))
        return True

    def is_waiting(self, entry: Entry) -> bool:
        """Whether an upload must not start yet because its URL is being read."""
        return entry in self._waiting

    async def run(self) -> None:
        """Read what is queued, until cancelled."""
        while True:
            entry, name, key = await self._wanted.get()
            # One resource must not keep the URLs of all others from being read.
            with self._faults.isolated(entry):
                url = ""
                try:
                    url = await self._read(entry, name, key)
                finally:
                    self._waiting.discard(entry)
                if not entry.gone:
                    if url:
                        self._take(entry, url)
                    self._applier.on_input(entry, SpecChanged(entry.upload.control))

    async def _read(self, entry: Entry, name: str, key: str) -> str:
        """The URL; empty, and said on the resource, when there is none."""
        try:
            return await self._resources.secret(name, key)
        except ApiError as error:
            log.warning("no URL from the Secret: %s", error, extra={"upload": entry.upload.id})
            if entry.stored is not None and not entry.gone:
                text = f"urlSecretRef: {_words(error)}; the storage is asked for a URL instead"
                notice = Notice(NoticeType.WARNING, "URLSecretUnreadable", text)
                self._notices.post(entry.name, entry.stored.uid, notice)
            return ""

    def _take(self, entry: Entry, url: str) -> None:
        now = self._clock()
        fresh = Origin(url=go_string(url), url_received_at=now, url_expires_at=expiry_of(url))
        entry.upload = evolve(entry.upload, origin=entry.upload.origin.with_url_of(fresh))


def _words(error: ApiError) -> str:
    """What to say on the resource: an answer of the API server may name what its reader may not know."""
    return str(error) if isinstance(error, NotFoundError) else "the operator cannot read the Secret"
