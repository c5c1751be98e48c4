"""Whether breakers keep what they promise, as far as the uploads in memory and the stream tell."""

from collections.abc import Callable, Iterable

from uploadpp.core.commands import Kind
from uploadpp.core.model import Streak, Upload
from uploadpp.core.slots import holds_slot
from uploadpp.core.states import Stage
from uploadpp.ownership.ownership import Ownership
from uploadpp.pipeline.breakers import LOOK_SECONDS
from uploadpp.testing.apiserver import ApiServer
from uploadpp.testing.file_order import CLOCKS_DIFFER_MS
from uploadpp.testing.invariants import Checks, Invariant
from uploadpp.testing.stream import millis
from uploadpp.testing.stream_recorder import Record, StreamRecorder

Opened = tuple[int, str, int]
"""An ownership, a step, and since when its breaker is open."""


class BreakerChecks:
    """Looks at the uploads of all owners after each message."""

    def __init__(
        self,
        checks: Checks,
        server: ApiServer,
        journal: StreamRecorder,
        ownerships: Callable[[], Iterable[Ownership]],
    ) -> None:
        self._checks = checks
        self._server = server
        self._journal = journal
        self._ownerships = ownerships
        self._stragglers: dict[Opened, set[tuple[str, int, int]]] = {}
        """What was under way when an open breaker was first seen: each upload with its run and attempt."""
        self._outdated: dict[tuple[int, str], float] = {}
        """Breakers that are open although no upload tells of it, and since when."""
        self._known: set[int] = set()
        """Owners that were seen before."""
        self._retries: dict[tuple[Opened, str, int], int] = {}

    def look(self, record: Record) -> None:
        """Look at each breaker."""
        for ownership in self._ownerships() if self._checks.breakers else ():
            if ownership.acting:
                for step in self._checks.breakers:
                    self._look(ownership, step, record)
                self._known.add(id(ownership))

    def _look(self, ownership: Ownership, step: str, record: Record) -> None:
        here = [u for u in ownership.uploads if u.current_step == step and u.cursor < len(u.steps)]
        streak = max((u.step.streak for u in here if u.step.streak), key=_newest, default=None)
        is_open = streak is not None and streak.opened_at is not None
        if is_open is (step in ownership.open_breakers):
            self._outdated.pop((id(ownership), step), None)
        elif is_open or not self._closes_soon(ownership, step, record):
            text = f"{step}: open is {not is_open}, but the newest failure is {streak}"
            self._checks.broken(Invariant.BREAKER_KNOWN, text)
        if id(ownership) not in self._known and not is_open:
            self._check_take_over(ownership, step)
        if streak is None or streak.opened_at is None:
            return
        opened = (id(ownership), step, streak.opened_at)
        self._check_retries(opened, streak, here)
        self._check_start(opened, here, record)

    def _closes_soon(self, ownership: Ownership, step: str, record: Record) -> bool:
        """Whether the uploads that told of an open breaker were deleted just now: the next look closes it."""
        since = self._outdated.setdefault((id(ownership), step), record.at)
        return record.at - since <= LOOK_SECONDS

    def _check_take_over(self, ownership: Ownership, step: str) -> None:
        """What resources say of an open breaker, a new owner knows, unless a good answer has come since."""
        here = {(upload.id, upload.run) for upload in ownership.uploads if upload.current_step == step}
        for resource in self._server.resources.values():
            upload = self._checks.read(resource)
            if (upload.id, upload.run) not in here or upload.current_step != step:
                continue
            streak = upload.step.streak if upload.cursor < len(upload.steps) else None
            if streak is None or streak.opened_at is None or self._has_been_well(step, streak):
                continue
            if upload.id not in self._checks.doings.again | self._checks.doings.edited:
                self._checks.broken(
                    Invariant.BREAKER_KNOWN, f"{step} is closed, but {upload.id} has {streak}"
                )

    def _has_been_well(self, step: str, streak: Streak) -> bool:
        answers = [r for r in self._journal.records if r.type == "PostprocessingStepFinished"]
        return any(
            r.payload["FinishedStep"] == step
            and r.payload["Outcome"] in {"continue", "abort", "delete"}
            and millis(r.at) >= streak.last - CLOCKS_DIFFER_MS
            for r in answers
        )

    def _check_retries(self, opened: Opened, streak: Streak, here: list[Upload]) -> None:
        for upload in here:
            own = upload.step.streak
            if own is not None and own.since == streak.since and own.counted:
                self._checks.broken(
                    Invariant.RETRIES_KEPT, f"{upload.id}: {own.counted} retries are not given back"
                )
            before = self._retries.setdefault((opened, upload.id, upload.run), upload.step.retries)
            if upload.step.retries > before:
                text = f"{upload.id} has {upload.step.retries} retries at {opened[1]}, and had {before}"
                self._checks.broken(Invariant.RETRIES_KEPT, text)

    def _check_start(self, opened: Opened, here: list[Upload], record: Record) -> None:
        under_way = {_attempt(u): u for u in here if holds_slot(u)}
        if opened not in self._stragglers:
            was_open = opened[0] not in self._known  # then only what its predecessor has started is under way
            stragglers = {each for each in under_way if not was_open or self._was_started(each, record)}
            self._stragglers[opened] = stragglers
        stragglers = self._stragglers[opened]
        mark = record.mark
        if mark is None or mark.kind is not Kind.START or mark.detail != opened[1]:
            return
        started = (record.upload, mark.run, mark.number)
        if started in stragglers or started not in under_way or self._awaited_url(record.upload):
            return
        others = [each for each in under_way if each != started]
        if others:
            self._checks.broken(Invariant.ONE_PROBE, f"{record.text()} beside {others}")

    def _was_started(self, attempt: tuple[str, int, int], now: Record) -> bool:
        upload, run, number = attempt
        marks = [r.mark for r in self._journal.records if r.upload == upload and r is not now]
        return any(m is not None and (m.kind, m.run, m.number) == (Kind.START, run, number) for m in marks)

    def _awaited_url(self, upload: str) -> bool:
        """Whether it may have been granted the step long before."""
        return bool(self._journal.marks(Kind.RESTART, upload))


def _newest(streak: Streak) -> tuple[int, int]:
    return streak.last, streak.uploads


def _attempt(upload: Upload) -> tuple[str, int, int]:
    awaits_url = upload.stage is Stage.AWAITING_URL
    return upload.id, upload.run, upload.step.attempts + awaits_url
