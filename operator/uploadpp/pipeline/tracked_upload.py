"""One upload in memory: its state, and how much of it is published and stored.

Memory is ahead of etcd by `version - saved` changes, and ahead of the stream by `unpublished` commands. Etcd
is never ahead of the stream: a state is written only when all commands that led to it are there (invariant
2.1).

An upload of one step, from its announcement at position 7 to its first record:

    what happens                          version  saved  unpublished  dirty  storable  7 may be acknowledged
    BytesReceived is applied                 1       0         1        yes      no             no
    the stream has the start, at 8           2       0         0        yes      yes            no
    a writer begins, with version 2          2       0         0        yes      yes            no
    the step answers: finish is decided      3       0         1        yes      no             no
    etcd has version 2                       3       2         1        yes      no             yes
    the stream has the finish                4       2         0        yes      yes            yes

The write of version 2 covers 7, because 7 led to version 1. The answer has to wait for version 3.
"""

from bisect import bisect_right
from dataclasses import dataclass, field, replace

from uploadpp.core.commands import Notice
from uploadpp.core.conditions import Unserved
from uploadpp.core.model import Millis, Origin, Upload
from uploadpp.core.policy import Judged
from uploadpp.core.rules.past_ends import is_unproven
from uploadpp.kube.errors import ApiError, ContendedError, Refusal, UnavailableError
from uploadpp.kube.store import Stored
from uploadpp.pipeline.acks import PendingMessage

SEVERAL, SEVERAL_ALONE = 3, 2
SHARED = frozenset({Refusal.LIMIT, Refusal.QUOTA, Refusal.PERMISSION})
"""What is refused to all, even if others were faster to take the room that there was."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the state of an upload could not be written the last time, and how often in a row."""

    reason: Refusal
    attempts: int
    verb: str = ""
    others: int = 0
    """How many writes of the verb had succeeded before the first of these attempts failed."""
    alone: int = 0
    """How many of them failed although a write of another upload had succeeded since the first."""
    unanswered: bool = False
    """Whether one of them may still be on its way: nothing has answered it."""
    over_since: float | None = None
    """When the first attempt after the end of the upload failed; None before that."""
    words: str = ""
    """What the last of them was told; empty unless the upload is refused alone."""

    @property
    def is_alone(self) -> bool:
        """Whether this upload is what is refused, and not all of them: it may stay so for good."""
        enough = self.attempts >= SEVERAL and self.alone >= SEVERAL_ALONE
        return enough and self.reason not in SHARED


def failed(before: Refused | None, error: ApiError, verb: str, written: int, over: float | None) -> Refused:
    """What is known of the refusal of an upload after another attempt.

    Args:
        before: what was known; None at the first attempt.
        error: why this one failed.
        verb: what was tried.
        written: how many writes of that verb have succeeded, of all uploads.
        over: the present time if the upload has ended; None if it has not.
    """
    same = before if before is not None and before.verb == verb else None
    others = same.others if same is not None else written
    attempts = before.attempts + 1 if before is not None else 1
    alone = (same.alone if same is not None else 0) + (written > others)
    away = error.reason is Refusal.UNREACHABLE
    lost = away and not (isinstance(error, UnavailableError) and error.answered)
    found = Refused(
        error.reason,
        attempts,
        verb,
        others,
        alone,
        lost or (away and before is not None and before.unanswered),
        before.over_since if before is not None and before.over_since is not None else over,
    )
    if not found.is_alone:
        return found
    # The API server can be reached, as others show: then it is not unreachable for one of them.
    hidden = Refusal.CHANGED if isinstance(error, ContendedError) else Refusal.PROXY
    return replace(found, reason=hidden if away else error.reason, words=str(error))


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A decision to report: what an upload was, and what it has become."""

    before: Upload | None
    after: Upload
    notices: tuple[Notice, ...]
    now: Millis


@dataclass(slots=True, eq=False)
class TrackedUpload:
    """The record of an upload in memory. Each part of the pipeline changes fields of its own.

    Invariants: `saved <= version`. `unpublished >= 0`. What is `gone` is in no table, and stays gone.
    """

    name: str
    """The name of its resource."""
    upload: Upload
    """The newest state, as the applier has decided it."""
    version: int = 0
    """Counts changes of the state. It only grows."""
    saved: int = 0
    """The version that etcd has. Only `Uploads.saved` moves it, and only forward."""
    unpublished: int = 0
    """Commands that are decided and not known to be in the stream. While there are any, neither a writer nor
    a timer touches the upload. A doubt whether it is deleted counts as one (`resources.deletions`)."""
    stored: Stored | None = None
    """The resource as we have last written or read it; None before it is created. The next write compares
    with it. It may be older than the resource: then that write meets a conflict. It is never newer."""
    sealed: Origin | None = field(default=None, repr=False)
    """What `spec.sealed` of the resource contains. Where it is another than the origin of the state, that is
    sealed and written again."""
    sealed_with: str = ""
    """The fingerprint of the key that has sealed it, as far as we have seen to that ourselves."""
    notices: tuple[Notice, ...] = ()
    """What is said on the resource after the next write: an Event names a resource that is there."""
    unreported: tuple[Report, ...] = ()
    """What a replay has decided, and nobody was told of so far (`pipeline.reports`)."""
    judged: Judged | None = None
    """What the policies have said of it, until it is counted."""
    _waiting: list[PendingMessage] = field(default_factory=list)
    """Messages that led to versions etcd does not have."""
    _versions: list[int] = field(default_factory=list)
    """For each of these the version that has to be saved first. It never falls from one to the next."""
    queued: bool = False
    """Whether it waits to be written, is being written, or is parked. Then it is not queued a second time."""
    refused: Refused | None = None
    """Set from a write that has failed until one succeeds."""
    maybe_made: bool = True
    """Whether it may have a resource although `stored` is None: an answer of ours got lost, a removal failed,
    or a person has made one that the watch has not shown. Only a look after its end tells
    (`resources.unseen`)."""
    noted: bool = False
    """Whether its end is noted in the Lease, because its resource does not tell it (docs/adr/0063)."""
    creating: bool = False
    """Whether its creation is on its way in a form that does not tell the end."""
    unserved: Unserved | None = None
    """What its resource shows about the service of its step, from the next write on. No decision uses it."""
    gone: bool = False
    """Whether it is forgotten or evicted: nothing is published, written or awaited for it any more."""

    @property
    def dirty(self) -> bool:
        """Whether etcd lags behind."""
        return self.version > self.saved

    @property
    def storable(self) -> bool:
        """Whether the present state may be written now.

        One that must not begin yet looks like any other in a status, and the next owner would begin it.
        """
        may_be = self.version > self.saved and self.unpublished == 0 and not self.gone
        return may_be and not is_unproven(self.upload)

    @property
    def is_unrecorded_end(self) -> bool:
        """Whether it has ended, and its resource is refused and not there: then nothing waits for that.

        With a resource it is another matter: that would say after a restart that the upload is still running,
        unless the Lease says that this is not so.
        """
        if self.refused is None or self.refused.reason is Refusal.UNREACHABLE:
            return False
        has_resource = self.stored is not None or self.maybe_made or self.creating
        return self.upload.stage.ended and (self.noted or not has_resource)

    def defer_ack(self, message: PendingMessage) -> None:
        """Have a message acknowledged no sooner than the present version is stored."""
        # For every message: `refused` and the versions are looked at here, because a property costs a call.
        is_unrecorded_end = self.refused is not None and self.is_unrecorded_end
        if self.version > self.saved and not self.gone and not is_unrecorded_end:
            message.open += 1
            self._waiting.append(message)
            self._versions.append(self.version)

    @property
    def first_deferred(self) -> int:
        """The sequence of the first message that waits for it; 0 when none does."""
        return min((message.sequence for message in self._waiting), default=0)

    def take_waiting(self) -> list[PendingMessage]:
        """All messages that wait for it. Another upload in its place is to take them over."""
        waiting, self._waiting, self._versions = self._waiting, [], []
        return waiting

    def take_covered(self) -> list[PendingMessage]:
        """The messages that the stored version covers; all of them when nothing is to be stored."""
        covered = self.gone or self.is_unrecorded_end
        count = len(self._versions) if covered else bisect_right(self._versions, self.saved)
        done = self._waiting[:count]
        del self._waiting[:count], self._versions[:count]
        return done
