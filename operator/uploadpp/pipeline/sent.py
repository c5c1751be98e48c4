"""Events that this owner has sent and not yet seen in the log: when they come back, nothing is new."""

from uploadpp.core.evolve import evolve
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.stream_message import StreamMessage


class SentEvents:
    """Events by their ids; the signature tells ours from somebody else's of the same id."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[TrackedUpload, bytes]] = {}
        self._acked_at: dict[str, int] = {}

    def add(self, outgoing: Outgoing, tracked: TrackedUpload) -> None:
        """An event goes out."""
        self._sent[outgoing.event_id] = tracked, outgoing.signature

    def acked(self, event_id: str, sequence: int) -> None:
        """The stream has an event, as its acknowledgement says."""
        if event_id in self._sent:
            self._acked_at[event_id] = sequence

    def refused(self, event_id: str) -> None:
        """The stream never takes an event."""
        self._sent.pop(event_id, None)

    def under_way(self) -> set[str]:
        """The ids of the uploads of which an event is not known to be in the stream."""
        return {sent[0].upload.id for event_id, sent in self._sent.items() if event_id not in self._acked_at}

    def acked_at(self, event_id: str) -> int | None:
        """Where an event was said to be, when it is met; None when nothing was said yet."""
        return self._acked_at.pop(event_id, None)

    def take(self, raw: StreamMessage) -> TrackedUpload | None:
        """The upload of an event that is met; None when it is not one of these.

        It tells the plan of the upload: from here on that is fixed.
        """
        sent = self._sent.get(raw.message_id)
        if sent is None or sent[1] not in raw.data:
            return None
        del self._sent[raw.message_id]
        tracked = sent[0]
        if not tracked.upload.plan_fixed:
            tracked.upload = evolve(tracked.upload, plan_fixed=True)
        return tracked
