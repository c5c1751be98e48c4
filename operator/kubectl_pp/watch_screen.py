"""The frame of `watch`: a line of numbers, then as many uploads as fit, those in trouble first."""

from collections import Counter

from kubectl_pp.screen import Color, Screen, clip, harmless
from kubectl_pp.times import clock, human
from kubectl_pp.upload import FINISHED, Stage, Upload, stage_color, stage_icon
from kubectl_pp.words import current

LINGER_SECONDS = 4.0
"""How long an upload that has ended is still shown."""

_NAME = 36
_WIDE = 100
"""Columns from which there is room for a whole UUID."""
_MIDDLE = 72
"""Columns from which there is room for the counts."""

_RANK = {
    Stage.HELD: 0,
    Stage.RELEASE_BACKING_OFF: 1,
    Stage.BACKING_OFF: 1,
    Stage.AWAITING_URL: 1,
    Stage.RUNNING: 2,
    Stage.DELAYING: 2,
    Stage.AWAITING_READY: 2,
    Stage.QUEUED: 3,
    Stage.AWAITING_TURN: 3,
    Stage.SUSPENDED: 3,
    Stage.PENDING: 3,
}


class WatchScreen:
    """The uploads a person watches."""

    def __init__(self, screen: Screen, *, namespaces: bool) -> None:
        self._screen = screen
        self._namespaces = namespaces
        self.uploads: dict[tuple[str, str], Upload] = {}
        self._ended_at: dict[tuple[str, str], float] = {}
        self.ended: Counter[str] = Counter()

    def put(self, upload: Upload, now: float) -> None:
        """An upload as it is now."""
        before = self.uploads.get(upload.key)
        if upload.ended and (before is None or not before.ended):
            since = upload.time("completionTime") or upload.since
            self._ended_at[upload.key] = now if before else min(since, now)
            if before is not None:
                self.ended[upload.stage] += 1
        elif not upload.ended:
            self._ended_at.pop(upload.key, None)
        self.uploads[upload.key] = upload

    def drop(self, upload: Upload) -> None:
        """An upload that is gone."""
        self.uploads.pop(upload.key, None)
        self._ended_at.pop(upload.key, None)

    def frame(self, now: float, *, lost: str = "") -> list[str]:
        """The lines to show."""
        width, height = self._screen.width or 80, self._screen.height
        moving = [u for u in self.uploads.values() if not u.ended]
        recent = [
            u
            for k, u in self.uploads.items()
            if now - self._ended_at.get(k, 0.0) < LINGER_SECONDS and u.ended
        ]
        lines = [*self._summary(moving, now, width, lost), ""]
        room = max(height - len(lines) - 3, 1)
        shown = sorted(moving, key=_urgency)
        rows = (shown[: max(room - min(len(recent), room // 3), 1)] + recent)[:room]
        lines.append(
            self._screen.paint(
                clip(self._columns("NAME", "STATE", "STEP", "DONE", "TRY", "SINCE", "FILE"), width),
                Color.TITLE,
            )
        )
        lines += [self._row(upload, now, width) for upload in rows]
        if not rows:
            lines.append("nothing is in postprocessing")
        hidden = len(moving) - sum(1 for upload in rows if not upload.ended)
        if hidden > 0:
            lines.append(self._screen.paint(f"… and {hidden:,} more", Color.FAINT))
        return lines

    def _summary(self, moving: list[Upload], now: float, width: int, lost: str) -> list[str]:
        counts = Counter(u.stage for u in moving)
        stuck = sum(1 for u in moving if u.stuck)
        order = [str(stage) for stage in Stage]
        parts = [
            f"{n:,} {stage}"
            for stage, n in sorted(counts.items(), key=lambda i: order.index(i[0]) if i[0] in order else 99)
        ]
        ended = [f"{n:,} {stage}" for stage, n in self.ended.most_common()]
        head = f"{len(moving):,} in postprocessing" + (f": {', '.join(parts)}" if parts else "")
        tail = f"{clock(now)}  ended while watching: {', '.join(ended) or 'none'}"
        steps = sorted(
            Counter(u.step for u in moving if u.step).items(), key=lambda i: (i[0] == FINISHED, i[0])
        )
        places = "in step: " + (", ".join(f"{n:,} {clip(step, 16)}" for step, n in steps) or "none")
        lines = [self._screen.paint(clip(head, width), Color.TITLE), clip(places, width), clip(tail, width)]
        if stuck:
            lines.append(
                self._screen.paint(clip(f"{stuck:,} stuck: kubectl pp list --stalled", width), Color.BAD)
            )
        if lost:
            lines.append(self._screen.paint(clip(f"connection lost, retrying: {lost}", width), Color.BAD))
        return lines

    def _columns(self, name: str, *rest: str) -> str:
        state, step, done, tries, since, file = rest
        width = self._screen.width or 80
        size = _NAME if width >= _WIDE else 14
        room = 12 if width >= _MIDDLE else 10
        counts = f"  {done:<5}  {tries:<3}" if width >= _MIDDLE else ""
        return (
            f"{clip(name, size):<{size}}  {state:<16}  {clip(step, room):<{room}}{counts}  {since:<7}  {file}"
        )

    def _row(self, upload: Upload, now: float, width: int) -> str:
        step = current(upload)
        stuck = upload.stuck and not upload.ended
        icon = self._screen.icon(stage_icon(upload.stage, stuck=stuck))
        name = f"{upload.namespace}/{upload.name}" if self._namespaces else upload.name
        at = upload.time("nextAttemptTime")
        since = _seconds(now - upload.since)
        if at is not None and not upload.ended:
            since = f"in {_seconds(at - now)}" if at > now else "due"
        text = self._columns(
            name,
            f"{icon} {clip(upload.stage, 14)}",
            upload.step,
            str(upload.status.get("progress", "")),
            str(step.attempts) if step else "",
            since,
            harmless(str(upload.file.get("filename", ""))),
        )
        return self._screen.paint(clip(text, width), stage_color(upload.stage, stuck=stuck))


def _seconds(length: float) -> str:
    """A duration that changes at most once a second, so that the screen is calm."""
    return human(float(int(length))) if length >= 1 else "0s"


def _urgency(upload: Upload) -> tuple[int, float, str]:
    rank: dict[str, int] = {str(k): v for k, v in _RANK.items()}
    return (0 if upload.stuck else 1 + rank.get(upload.stage, 2), upload.created, upload.name)
