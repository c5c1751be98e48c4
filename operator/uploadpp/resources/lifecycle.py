"""What happens when an upload can be written, ends, or is forgotten, and which objects do it."""

from dataclasses import dataclass

from uploadpp.pipeline.lost_uploads import LostUploads
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.resources.ended import EndedUploads
from uploadpp.resources.forgotten import ForgottenResources
from uploadpp.resources.left_alone import LeftAlone


@dataclass(frozen=True, slots=True)
class LifecycleHandlers:
    """The handlers for the uploads of one shard (implements `pipeline.uploads.Lifecycle`)."""

    queue: WriteQueue
    lost: LostUploads
    ended: EndedUploads
    forgotten: ForgottenResources
    left_alone: LeftAlone

    def on_storable(self, tracked: TrackedUpload) -> None:
        """It is written, and the storage may have to be asked whether it still has the file."""
        self.queue.put(tracked)
        self.lost.look(tracked)

    def on_ended(self, tracked: TrackedUpload) -> None:
        """It is evicted soon, and removed when its time to live is over."""
        self.ended.add(tracked)

    def on_forgotten(self, tracked: TrackedUpload) -> None:
        """Later events about its resource are ignored."""
        self.forgotten.done_with(tracked)

    def on_overruled(self, tracked: TrackedUpload) -> None:
        """The resource of a person is left alone, unless it becomes that of the upload."""
        self.left_alone.overruled(tracked)
