"""Resources that a person has made: what they lack of BytesReceived, found elsewhere.

The file's name and size come from the spec; the URL from a Secret (`spec.urlSecretRef`), or
else from the storage, which is asked for one before the first step that needs it.
"""

import asyncio
import logging
from dataclasses import dataclass, replace

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived, SpecChanged
from uploadpp.core.model import Origin
from uploadpp.core.states import Stage
from uploadpp.kube.errors import ApiError, ForbiddenError, NotFoundError, UnavailableError
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.ports import Json, Notices, Resources
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.wire.rawjson import go_string
from uploadpp.wire.urls import expiry_of

log = logging.getLogger(__name__)

PAUSE_SECONDS = (0.5, 10.0)
"""The first and the longest pause before an API server that does not return a Secret is asked again."""
UNAVAILABLE_SECONDS = 60.0
"""How long an upload waits for an API server that does not return the Secret, before the storage is asked."""
LOOK_AGAIN_SECONDS = (10.0, 300.0)
"""The first and the longest pause before a Secret is read again that could not be used. Somebody may create
or label it while the URL is still missed."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A URL that an upload lacks, and where it should be."""

    tracked: TrackedUpload
    name: str
    key: str
    give_up_at: float | None = None
    """Until when the upload waits for an answer, on the clock of the loop; None before the first read."""
    pause: float = 0.0
    said: str = ""
    """What was said last of why it cannot be read."""


class UrlSecretReader:
    """Reads the URLs of hand-made resources from their Secrets before these start.

    While the API server does not return a Secret, it is asked again. Without such a Secret, or without the
    right to read it, the upload begins, the storage is asked for a URL when a step needs one, and the Secret
    is looked at now and then.
    """

    def __init__(self, shared: Shared, applier: Applier, resources: Resources, notices: Notices) -> None:
        self._clock = shared.clock
        self._faults = shared.faults
        self._applier = applier
        self._resources = resources
        self._notices = notices
        self._wanted: asyncio.Queue[_Wanted] = asyncio.Queue()
        self._waiting: set[TrackedUpload] = set()

    def want(self, tracked: TrackedUpload, resource: Json) -> bool:
        """Queue a resource for its URL; False when it names no Secret."""
        reference = resource.get("spec", {}).get("urlSecretRef")
        if not reference or tracked.upload.stage.ended:
            return False
        self._waiting.add(tracked)
        self._wanted.put_nowait(_Wanted(tracked, reference.get("name", ""), reference.get("key", "url")))
        return True

    def is_waiting(self, tracked: TrackedUpload) -> bool:
        """Whether an upload must not start yet because its URL is being read."""
        return tracked in self._waiting

    async def run(self) -> None:
        """Read what is queued, until cancelled."""
        while True:
            wanted = await self._wanted.get()
            # One resource must not keep the URLs of all others from being read.
            with self._faults.isolated(wanted.tracked):
                await self._look(wanted)

    async def _look(self, wanted: _Wanted) -> None:
        """Read a Secret; then its upload goes on, or waits for the next look."""
        tracked = wanted.tracked
        waits = tracked in self._waiting
        url, problem, still_waits = "", "", False
        try:
            if _lacks_url(tracked):
                url = await self._resources.secret(wanted.name, wanted.key)
        except ApiError as error:
            problem = _words(error)
            still_waits = waits and self._is_asked_again(wanted, error)
            if problem != wanted.said:
                what = {"upload": tracked.upload.id, "waits": still_waits}
                log.warning("cannot read the URL from the Secret, retrying: %s", error, extra=what)
        finally:
            if not still_waits:
                self._waiting.discard(tracked)
        if problem:
            self._look_again(replace(wanted, said=problem), waits=still_waits)
            if not still_waits and tracked.stored is not None and (waits or problem != wanted.said):
                notice = fault_event_texts.url_secret_unreadable(problem)
                self._notices.post(tracked.name, tracked.stored.uid, notice)
        if url and _lacks_url(tracked):
            self._take(tracked, url)
        if waits and not still_waits:
            self._applier.on_input(tracked, SpecChanged(tracked.upload.control))

    def _is_asked_again(self, wanted: _Wanted, error: ApiError) -> bool:
        """Whether an upload that has not begun waits on, because the API server has not said anything."""
        if _is_decided(error):
            return False
        return wanted.give_up_at is None or asyncio.get_running_loop().time() < wanted.give_up_at

    def _look_again(self, wanted: _Wanted, *, waits: bool) -> None:
        """Read the Secret again later: soon if the upload waits for that."""
        loop = asyncio.get_running_loop()
        first, longest = PAUSE_SECONDS if waits else LOOK_AGAIN_SECONDS
        pause = min(max(wanted.pause, first), longest)
        give_up_at = wanted.give_up_at or loop.time() + UNAVAILABLE_SECONDS
        later = replace(wanted, give_up_at=give_up_at, pause=pause * 2)
        loop.call_later(pause, self._wanted.put_nowait, later)

    def _take(self, tracked: TrackedUpload, url: str) -> None:
        now, upload = self._clock(), tracked.upload
        fresh = Origin(url=go_string(url), url_received_at=now, url_expires_at=expiry_of(url))
        origin = upload.origin.with_url_of(fresh)
        if upload.stage is Stage.AWAITING_URL:  # it goes on as if the storage had answered
            self._applier.on_input(tracked, BytesReceived(origin, upload.file))
        else:
            tracked.upload = evolve(upload, origin=origin)


def _lacks_url(tracked: TrackedUpload) -> bool:
    """Whether an upload may still need the URL of its Secret."""
    upload = tracked.upload
    return not (tracked.gone or upload.stage.ended or upload.origin.has_url)


def _words(error: ApiError) -> str:
    """What to say on the resource: an answer of the API server may name what its reader may not know."""
    if isinstance(error, NotFoundError):
        return str(error)
    return "the operator may not read the Secret" if _is_decided(error) else "it cannot be read at the moment"


def _is_decided(error: ApiError) -> bool:
    """Whether the API server has answered that we get no Secret."""
    return isinstance(error, ForbiddenError) or not isinstance(error, UnavailableError)
