"""The part of ocis that stores files, as far as postprocessing knows it (storage-users, group `dcfs`).

It does what the real one does with every event, including what it does wrong: a second
PostprocessingFinished(abort) removes the bytes that the first one kept.
"""

import logging
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext

from e2e.demo.gateway import DataGateway
from e2e.demo.sessions import Session, Sessions, new_resource
from e2e.demo.wire import Event, consume, publish

RESTARTED_BY = {"id": {"opaque_id": "postprocessing-restart"}}
_log = logging.getLogger(__name__)


@dataclass
class Faults:
    """What goes wrong next."""

    failing_releases: int = 0
    """So many releases fail, as with a blob store that is unavailable."""
    lost_events: int = 0
    """So many PostprocessingFinished are lost, as when the storage dies while it handles one."""


@dataclass(frozen=True)
class Handled:
    """An event that was for the storage, and what it did."""

    event: Event
    action: str


@dataclass
class Storage:
    """A storage in `root` that is connected to NATS. Use it as an asynchronous context manager."""

    root: Path
    nats_url: str
    url_lifetime: float = 86_400.0
    faults: Faults = field(default_factory=Faults)
    handled: list[Handled] = field(default_factory=list)
    scans: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.root)
        self.gateway = DataGateway(self.sessions.uploads)
        self._client: Client | None = None

    @property
    def js(self) -> JetStreamContext:
        """Its connection to the stream."""
        if self._client is None:
            raise RuntimeError("the storage is not started")
        return self._client.jetstream()

    async def __aenter__(self) -> Self:
        await self.gateway.start()
        self._client = await nats.connect(self.nats_url, name="storage-users", max_reconnect_attempts=-1)
        await consume(self.js, "dcfs", self._on_event)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            if self._client.is_connected:  # what the server would still hand over would be missing for 30 s
                await self._client.drain()
            await self._client.close()
        await self.gateway.stop()

    async def upload(
        self,
        filename: str,
        content: bytes,
        *,
        user: dict[str, Any] | None = None,
        upload_id: str | None = None,
        initiator: str = "",
    ) -> str:
        """Receive a file and ask for its postprocessing; an empty one is released without."""
        space = str(user["id"]["opaque_id"]) if user else "project-1"
        session = Session(
            id=upload_id or str(uuid.uuid4()),
            filename=filename,
            size=len(content),
            user=user,
            initiator=initiator,
            resource=new_resource(space),
        )
        self.sessions.create(session, content)
        if content:
            await self._bytes_received(session, session.user, initiator)
        else:
            self.sessions.release(session)
        return session.id

    def actions(self, upload_id: str) -> list[str]:
        """What it did for an upload, in order."""
        return [handled.action for handled in self.handled if handled.event.upload_id == upload_id]

    async def _bytes_received(self, session: Session, user: dict[str, Any] | None, initiator: str) -> None:
        restarted = user is RESTARTED_BY
        payload = {
            "UploadID": session.id,
            "SpaceOwner": session.owner,
            "ExecutingUser": user,
            # The storage forgets its own id, the visitor and the initiator when it is asked again.
            "ResourceID": {k: v for k, v in session.resource.items() if k != "storage_id" or not restarted},
            "Filename": session.filename,
            "Filesize": session.size,
            "URL": self.gateway.url(session.id, self.url_lifetime),
            "Timestamp": None,
            "ImpersonatingUser": None if restarted else session.impersonating,
        }
        await publish(self.js, "BytesReceived", payload, {"initiatorid": initiator})

    async def _on_event(self, event: Event) -> None:
        match event.type:
            case "PostprocessingFinished":
                action = await self._finish(event)
            case "RestartPostprocessing":
                action = await self._restart(event)
            case "PostprocessingStepFinished":
                self._remember_scan(event)
                return
            case _:
                return
        self.handled.append(Handled(event, action))

    async def _finish(self, event: Event) -> str:
        if self.faults.lost_events > 0:
            self.faults.lost_events -= 1
            return "lost"
        session = self.sessions.load(event.upload_id)
        if session is None:
            _log.error("Failed to get upload", extra={"upload": event.upload_id})
            return "failed to get upload"
        if not self.sessions.has_node(session.id):
            self.sessions.discard(session.id)
            return "node gone, bytes removed"
        outcome = event.payload.get("Outcome")
        if outcome == "continue":
            if self.faults.failing_releases > 0:
                self.faults.failing_releases -= 1
                await self._upload_ready(session, event, failed=True)
                return "release failed"
            self.sessions.release(session)
            await self._upload_ready(session, event, failed=False)
            return "released"
        self.sessions.revert(session.id)
        if outcome == "delete":
            self.sessions.discard(session.id)
        await self._upload_ready(session, event, failed=True)
        return "removed" if outcome == "delete" else "aborted, bytes kept"

    async def _upload_ready(self, session: Session, event: Event, *, failed: bool) -> None:
        now = time.time_ns()
        space = session.resource["space_id"]
        root = {"storage_id": session.resource["storage_id"], "opaque_id": space, "space_id": space}
        payload = {
            "UploadID": session.id,
            "Filename": event.payload.get("Filename"),
            "SpaceOwner": session.owner,
            "ExecutingUser": event.payload.get("ExecutingUser"),
            "ImpersonatingUser": event.payload.get("ImpersonatingUser"),
            "FileRef": {"resource_id": root, "path": f"./{session.filename}"},
            "Timestamp": {"seconds": now // 10**9, "nanos": now % 10**9},
            "Failed": failed,
            "IsVersion": False,
        }
        await publish(self.js, "UploadReady", payload, {"initiatorid": session.initiator})

    async def _restart(self, event: Event) -> str:
        session = self.sessions.load(event.upload_id)
        if session is None:
            _log.error("Failed to get upload", extra={"upload": event.upload_id})
            return "failed to get upload"
        await self._bytes_received(session, RESTARTED_BY, "")
        return "sent a fresh URL"

    def _remember_scan(self, event: Event) -> None:
        result = event.payload.get("Result")
        if event.payload.get("FinishedStep") == "virusscan" and result and not result.get("ErrorMsg"):
            self.scans[event.upload_id] = str(result.get("Description") or "")
