"""One upload in memory: its state, and how much of it is published and stored."""

from bisect import bisect_right
from dataclasses import dataclass, field

from uploadpp.core.commands import Notice
from uploadpp.core.model import Origin, Upload
from uploadpp.kube.errors import Refusal
from uploadpp.kube.store import Stored
from uploadpp.pipeline.acks import PendingMessage


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the state of an upload could not be written the last time, and how often in a row."""

    reason: Refusal
    attempts: int


@dataclass(slots=True, eq=False)
class Entry:
    """Mutable companion of an `Upload`.

    `version` counts changes of the state; `saved` is the version etcd has. A version may
    be stored only when `unpublished` is zero (law 2.1).
    """

    name: str
    upload: Upload
    version: int = 0
    saved: int = 0
    unpublished: int = 0
    stored: Stored | None = None
    sealed: Origin | None = field(default=None, repr=False)
    sealed_with: str = ""
    """The fingerprint of the key that has sealed it, as far as we have seen to that ourselves."""
    notices: tuple[Notice, ...] = ()
    _waiting: list[PendingMessage] = field(default_factory=list)
    _versions: list[int] = field(default_factory=list)
    queued: bool = False
    refused: Refused | None = None
    maybe_made: bool = False
    """Whether it may have a resource although `stored` is None: an answer got lost, or a removal failed."""
    creating: bool = False
    """Whether its creation is on its way in a form that does not tell the end."""
    gone: bool = False

    @property
    def dirty(self) -> bool:
        """Whether etcd lags behind."""
        return self.version > self.saved

    @property
    def storable(self) -> bool:
        """Whether the present state may be written now."""
        return self.dirty and self.unpublished == 0 and not self.gone

    @property
    def is_unrecorded_end(self) -> bool:
        """Whether it has ended, and the API server refuses to take its resource: nothing waits for that.

        With a resource it is another matter: that would say after a restart that the upload is still running.
        """
        if self.refused is None or self.refused.reason is Refusal.UNREACHABLE:
            return False  # first: this is asked for every message
        has_resource = self.stored is not None or self.maybe_made or self.creating
        return not has_resource and self.upload.stage.ended

    def defer_ack(self, message: PendingMessage) -> None:
        """Have a message acknowledged no sooner than the present version is stored."""
        if self.dirty and not self.gone and not self.is_unrecorded_end:
            message.open += 1
            self._waiting.append(message)
            self._versions.append(self.version)

    @property
    def first_deferred(self) -> int:
        """The sequence of the first message that waits for it; 0 when none does."""
        return self._waiting[0].sequence if self._waiting else 0

    def take_covered(self) -> list[PendingMessage]:
        """The messages that the stored version covers; all of them when nothing is to be stored."""
        covered = self.gone or self.is_unrecorded_end
        count = len(self._versions) if covered else bisect_right(self._versions, self.saved)
        done = self._waiting[:count]
        del self._waiting[:count], self._versions[:count]
        return done
