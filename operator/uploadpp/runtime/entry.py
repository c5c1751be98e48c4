"""One upload in memory: its state, and how much of it is published and stored."""

from dataclasses import dataclass, field

from uploadpp.core.commands import Notice
from uploadpp.core.model import Origin, Upload
from uploadpp.kube.store import Stored
from uploadpp.runtime.ledger import Slot


@dataclass(slots=True, eq=False)
class Entry:
    """Mutable companion of an `Upload`.

    `version` counts changes of the state; `saved` is the version etcd has. A version may
    be stored only when `unpublished` is zero (law 2.1). `waiting` are places in the log
    that must not be acknowledged before the version beside them is stored.
    """

    name: str
    upload: Upload
    version: int = 0
    saved: int = 0
    unpublished: int = 0
    stored: Stored | None = None
    sealed: Origin | None = field(default=None, repr=False)
    waiting: list[tuple[int, Slot]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    queued: bool = False
    gone: bool = False

    @property
    def dirty(self) -> bool:
        """Whether etcd lags behind."""
        return self.version > self.saved

    @property
    def storable(self) -> bool:
        """Whether the present state may be written now."""
        return self.dirty and self.unpublished == 0 and not self.gone

    def release(self) -> list[Slot]:
        """The places in the log that the stored version covers."""
        done = [slot for version, slot in self.waiting if version <= self.saved or self.gone]
        if done:
            self.waiting = [(v, s) for v, s in self.waiting if v > self.saved and not self.gone]
        return done
