"""What the storage keeps on disk: upload sessions, the nodes people see, and released files."""

import json
import uuid
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Place(StrEnum):
    """Where the bytes of an upload are."""

    UPLOADS = "kept in uploads/"
    RELEASED = "in released/"
    GONE = "removed"


@dataclass(frozen=True)
class Session:
    """One upload, as the storage remembers it in uploads/<id>.info."""

    id: str
    filename: str
    size: int
    user: dict[str, Any] | None
    impersonating: dict[str, Any] | None = None
    initiator: str = ""
    resource: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> dict[str, Any] | None:
        """The owner of the space: here everybody uploads into a space of their own."""
        return self.user.get("id") if self.user else None


class Sessions:
    """The folders of a storage. Every upload makes a new file, so its node appears with it."""

    def __init__(self, root: Path) -> None:
        self.uploads = root / "uploads"
        self.nodes = root / "nodes"
        self.released = root / "released"
        for folder in (self.uploads, self.nodes, self.released):
            folder.mkdir(parents=True, exist_ok=True)

    def create(self, session: Session, content: bytes) -> None:
        """Keep the received bytes; the file shows up, marked as being processed."""
        (self.uploads / session.id).write_bytes(content)
        self._info(session.id).write_text(json.dumps(asdict(session)))
        self._node(session.id).write_text("processing")

    def load(self, upload_id: str) -> Session | None:
        """The session, if it and its bytes are still there."""
        if not self._info(upload_id).exists() or not (self.uploads / upload_id).exists():
            return None
        return Session(**json.loads(self._info(upload_id).read_text()))

    def has_node(self, upload_id: str) -> bool:
        """Whether the file is still listed."""
        return self._node(upload_id).exists()

    def processing(self, upload_id: str) -> bool:
        """Whether a download by its user is answered with 425 Too Early."""
        return self.has_node(upload_id) and self._node(upload_id).read_text() == "processing"

    def release(self, session: Session) -> None:
        """Make the bytes the content of the file and forget the session."""
        (self.uploads / session.id).rename(self.released / session.id)
        self._info(session.id).unlink()
        self._node(session.id).write_text("ready")

    def revert(self, upload_id: str) -> None:
        """Make the new file vanish from the listing; bytes and session stay."""
        self._node(upload_id).unlink(missing_ok=True)

    def discard(self, upload_id: str) -> None:
        """Remove session and bytes."""
        (self.uploads / upload_id).unlink(missing_ok=True)
        self._info(upload_id).unlink(missing_ok=True)

    def place(self, upload_id: str) -> Place:
        """Where the bytes are now."""
        if (self.released / upload_id).exists():
            return Place.RELEASED
        return Place.UPLOADS if (self.uploads / upload_id).exists() else Place.GONE

    def _info(self, upload_id: str) -> Path:
        return self.uploads / f"{upload_id}.info"

    def _node(self, upload_id: str) -> Path:
        return self.nodes / upload_id


def new_resource(space: str) -> dict[str, str]:
    """The id of a new file in a space."""
    return {"storage_id": "storage-users-1", "opaque_id": str(uuid.uuid4()), "space_id": space}
