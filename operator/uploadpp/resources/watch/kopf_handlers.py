"""The kopf handlers: what the API server tells us. Each only passes on; nothing is written.

Only `on.event` is used on resources, because every other kind of handler writes
annotations or finalizers into them.
"""

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import kopf

from uploadpp.kube.credentials import Credentials
from uploadpp.kube.store import GROUP, VERSION
from uploadpp.resources.watch.kopf_session import KopfSession

Sink = Callable[[str | None, Any], None]

PAGE = 500
BACK_OFF_SECONDS = (1.0, 2.0, 3.0, 5.0, 10.0)
"""The pauses before a request is tried again; the last one from then on."""
SILENT_SECONDS = 75.0
"""A watch without events for this long is reopened: the API server sends a bookmark each minute."""


class EndlessBackOff:
    """Waits in seconds before a request is tried again, without an end: an API server may stay away."""

    def __iter__(self) -> Iterator[float]:
        """A new series for each request."""
        return chain(BACK_OFF_SECONDS, repeat(BACK_OFF_SECONDS[-1]))


class NoDiffBase(kopf.DiffBaseStorage):
    """Stores no last-handled configuration: we have no change handlers."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> Any:  # noqa: ANN401 -- kopf's type
        """Nothing is compared."""
        del body, extra_fields
        return {}

    def fetch(self, *, body: kopf.Body) -> None:
        """Nothing was stored."""
        del body

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: object) -> None:
        """Nothing is stored."""


class NoProgress(kopf.ProgressStorage):
    """Stores no progress of handlers: `on.event` has none."""

    def fetch(self, *, key: str, body: kopf.Body) -> None:
        """Nothing was stored."""
        del key, body

    def store(self, *, key: str, record: object, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing is stored."""

    def purge(self, *, key: str, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing to remove."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """Nothing to touch."""

    def clear(self, *, essence: Any) -> Any:  # noqa: ANN401 -- kopf's type
        """Nothing to leave out."""
        return essence


def make_registry(sink: Sink, session: KopfSession, credentials: Credentials) -> kopf.OperatorRegistry:
    """The handlers, with `sink` called for every event on a resource of the session's kind."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401 -- kopf's protocol
        return await session.session(credentials)

    @kopf.on.event(GROUP, VERSION, session.plural, registry=registry, id="resource")
    async def on_resource(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 -- kopf's protocol
        # Nothing to wait for; but what is not `async` kopf runs in a thread, which costs more than this does.
        sink(event["type"], event["object"])

    return registry


def make_settings(plural: str, selector: str) -> kopf.OperatorSettings:
    """Settings under which kopf writes nothing and watches only what it must."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.chunk_size = PAGE
    settings.watching.inactivity_timeout = SILENT_SECONDS
    if selector:
        settings.watching.label_selectors[GROUP, plural] = selector
    settings.queueing.idle_timeout = 0.5
    settings.networking.request_timeout = 15
    settings.networking.error_backoffs = EndlessBackOff()
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    return settings
