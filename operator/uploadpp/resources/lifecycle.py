"""What is done at the turning points of an upload, and by whom: the one place where that is written down."""

from dataclasses import dataclass

from uploadpp.pipeline.lost_uploads import LostUploads
from uploadpp.pipeline.tracked_upload import Entry
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.resources.ended import EndedUploads
from uploadpp.resources.forgotten import ForgottenResources
from uploadpp.resources.left_alone import LeftAlone


@dataclass(frozen=True, slots=True)
class Followers:
    """Those who follow the uploads of one shard (`pipeline.uploads.Lifecycle`)."""

    queue: WriteQueue
    lost: LostUploads
    ended: EndedUploads
    forgotten: ForgottenResources
    left_alone: LeftAlone

    def on_storable(self, entry: Entry) -> None:
        """It is written, and the storage may have to be asked whether it still has the file."""
        self.queue.put(entry)
        self.lost.look(entry)

    def on_ended(self, entry: Entry) -> None:
        """It is evicted soon, and removed when its time to live is over."""
        self.ended.add(entry)

    def on_forgotten(self, entry: Entry) -> None:
        """What is still told of its resource is late."""
        self.forgotten.done_with(entry)

    def on_overruled(self, entry: Entry) -> None:
        """The resource of a person is left alone, unless it becomes that of the upload."""
        self.left_alone.overruled(entry)
