"""Whether anybody waits for a slot for longer than docs/guarantees.md says, as far as the stream tells."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.model import Upload
from uploadpp.core.shares import Share, SharePolicy, longest_wait
from uploadpp.core.slots import holds_slot
from uploadpp.core.states import Stage
from uploadpp.ownership.ownership import Ownership
from uploadpp.pipeline.share_owner import share_of_upload
from uploadpp.testing.invariants import Checks, Invariant
from uploadpp.testing.stream import millis
from uploadpp.testing.stream_recorder import Record

Queued = tuple[int, str, str, int, Share]
"""An ownership, a step, an upload that is queued there, since when it is queued, and its share.

The URL of a resource that was made by hand comes later and may name another share.
"""


@dataclass(slots=True)
class _Wait:
    """What is known of an upload that waits."""

    others: int = 0
    """How many of other shares were granted since its own had a slot."""
    rivals: set[Share] = field(default_factory=set)


class ShareChecks:
    """Counts the grants that each queued upload sees; with a new owner turns begin anew, and so do counts."""

    def __init__(
        self, checks: Checks, policy: SharePolicy, ownerships: Callable[[], Iterable[Ownership]]
    ) -> None:
        self._checks = checks
        self._policy = policy
        self._ownerships = ownerships
        self._waits: dict[Queued, _Wait] = {}
        self._seen: dict[tuple[int, str, str, int], int] = {}
        """When the owner of a queued upload was first seen to know that it is queued, in ms. `since` is the
        time of the message that queued it; until the owner read that, it granted slots without it."""
        self._asking: set[tuple[str, str]] = set()
        """Step and upload of those that have a slot and ask for a URL before the start, whoever owns them."""

    def look(self, record: Record) -> None:
        """Look at those who wait at the step that an upload was granted."""
        now = millis(record.at)
        for ownership in self._ownerships():
            for each in ownership.uploads:
                if each.stage is Stage.QUEUED:
                    self._seen.setdefault(_seen_key(id(ownership), each), now)
        mark = record.mark
        if mark is None or mark.kind not in {Kind.START, Kind.RESTART}:
            return
        key = mark.detail, record.upload
        had_slot = key in self._asking
        for ownership in self._ownerships():
            uploads = {each.id: each for each in ownership.uploads if each.current_step == mark.detail}
            granted = uploads.get(record.upload)
            if not ownership.acting or granted is None or not _is_attempt(granted, mark):
                continue
            self._granted(id(ownership), mark.detail, granted, uploads, had_slot=had_slot)
            self._asking.discard(key)
            if mark.kind is Kind.RESTART:
                self._asking.add(key)

    def _granted(
        self, owner: int, step: str, granted: Upload, uploads: Mapping[str, Upload], *, had_slot: bool
    ) -> None:
        """With `had_slot`, the upload held its slot and asked for its URL, which may name another share."""
        shares = {each: share_of_upload(upload, self._policy) for each, upload in uploads.items()}
        holding = {shares[each.id] for each in uploads.values() if holds_slot(each) and each.id != granted.id}
        queued = [each for each in uploads.values() if each.stage is Stage.QUEUED]
        for upload in queued:
            own = shares[upload.id]
            key = owner, step, upload.id, upload.since, own
            if own in holding or own == shares[granted.id]:
                self._waits[key] = _Wait()  # the share has a slot, and waits anew behind all others
                continue
            if had_slot:
                continue
            wait = self._waits.setdefault(key, _Wait())
            wait.rivals |= {shares[each.id] for each in [*queued, granted]} - {own}
            if granted.since <= max(upload.since, self._seen[_seen_key(owner, upload)]):
                continue
            wait.others += 1
            most = longest_wait(own.weight, [each.weight for each in wait.rivals])
            if wait.others > most:
                text = f"{upload.id} at {step}: {wait.others} others were granted a slot, not {most} at most"
                self._checks.broken(Invariant.WAIT_BOUNDED, text)


def _seen_key(owner: int, upload: Upload) -> tuple[int, str, str, int]:
    return owner, upload.current_step, upload.id, upload.since


def _is_attempt(upload: Upload, mark: Mark) -> bool:
    """Whether an owner knows of this command. One that was paused does not know of those of its successor."""
    if mark.kind is Kind.RESTART:
        asks = upload.stage is Stage.AWAITING_URL
        return asks and (upload.run, upload.url_requests) == (mark.run, mark.number)
    running = upload.stage is Stage.RUNNING
    return running and (upload.run, upload.step.attempts) == (mark.run, mark.number)
