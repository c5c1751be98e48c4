"""What the applier and the checkpoint need from outside.

The real ones live in `wire` and `kube`, the doubles for simulation in `uploadpp.testing`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from uploadpp.core.commands import Notice
from uploadpp.core.model import FileInfo, Origin, PolicyRef
from uploadpp.core.policy import Judged
from uploadpp.core.states import Outcome
from uploadpp.kube.events import UPLOAD, About
from uploadpp.kube.sealing import Opened
from uploadpp.kube.store import Stored
from uploadpp.wire.encode import Outgoing

Json = dict[str, Any]

Ask = Callable[[str], Awaitable[int | None]]
"""The HTTP status of a download URL, None when nobody answers (`pipeline.storage_check`). It never raises."""

ReadEnds = Callable[[Collection[str]], Awaitable[Mapping[str, Outcome]]]
"""The outcomes, `abort` or `delete`, of those of some uploads that have ended, as the whole log says
(`wire.past_ends`). It raises UnreadableLogError."""

Choose = Callable[[Origin, FileInfo], Judged]
"""What the policies say of an upload that arrives. It never raises."""

CountMatches = Callable[[Iterable[PolicyRef]], None]
"""Counts an upload for the rules that it matches."""


class Bus(Protocol):
    """Publishes events (`wire.publisher.Publisher`)."""

    def publish(
        self,
        outgoing: Outgoing,
        on_stored: Callable[[int], None],
        on_refused: Callable[[str], None],
    ) -> None:
        """Queue an event; exactly one callback follows."""

    def confirm(self, event_id: str, sequence: int) -> None:
        """The event was met in the log."""


class Resources(Protocol):
    """The checkpoint (`kube.store.Store`)."""

    async def count(self) -> int:
        """How many resources there are."""

    def list_all(self, selector: str = "", fields: str = "", newest: int = 0) -> AsyncIterator[Json]:
        """Every resource that the selectors of labels and fields leave, in a list from `newest` or later."""

    async def get(self, name: str) -> Json | None:
        """One resource, None when it is not there."""

    async def create(self, resource: Json) -> Stored:
        """Make a resource."""

    async def write_status(self, name: str, version: str, status: Json) -> Stored:
        """Replace the status of a version."""

    async def write_sealed(self, name: str, version: str, sealed: str) -> Stored:
        """Replace the sealed part of a version."""

    async def write_bucket(self, name: str, version: str, bucket: str) -> Stored:
        """Replace the label that says whose a resource is."""

    async def write_annotations(self, name: str, version: str, annotations: Json) -> Stored:
        """Replace the annotations of a version."""

    async def takes_new(self) -> bool:
        """Whether the CRD and the namespace are there, and are not being removed."""

    async def secret(self, name: str, key: str) -> str:
        """One value of a Secret."""

    async def delete(self, name: str, uid: str, version: str = "") -> None:
        """Remove exactly this resource."""


class Seals(Protocol):
    """Seals origins and plans (`kube.sealing.Sealer`)."""

    def seal(self, origin: Origin, upload_id: str, plan: Mapping[str, str | int]) -> str:
        """Encrypt."""

    def open(self, sealed: str, upload_id: str) -> Opened:
        """Decrypt."""


class Notices(Protocol):
    """Posts Kubernetes Events (`kube.events.EventLog`)."""

    def post(self, name: str, uid: str, notice: Notice, about: About = UPLOAD) -> None:
        """Queue a notice."""


class Watching(Protocol):
    """Tells what happens to resources (`resources.watch.kopf_thread.Watch`)."""

    ended: asyncio.Future[None]
    opened: asyncio.Event
    """Set whenever it begins anew: what is older than that is not told, but has to be listed."""

    @property
    def problem(self) -> str:
        """What keeps it from telling, in words; empty when nothing does."""

    def take_kind_was_missing(self) -> bool:
        """Whether the API server did not know the resources for a while, since this was last asked."""

    def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""
