"""`watch`: a live screen on a terminal that can show one, a line for every change elsewhere."""

import time

from kubectl_pp import selection
from kubectl_pp.client import Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode
from kubectl_pp.live import Live
from kubectl_pp.reflector import Change, Kind, Reflector
from kubectl_pp.times import clock
from kubectl_pp.tracker import Tracker
from kubectl_pp.upload import Upload, collection, stage_color
from kubectl_pp.verbs.status import readable_events
from kubectl_pp.view import render
from kubectl_pp.watch_screen import WatchScreen
from kubectl_pp.words import silence, state

REFRESH_SECONDS = 1.0
"""Ages change even if nothing else does."""


def run(context: Context) -> int:
    """Watch until Ctrl-C; named uploads until they end."""
    try:
        if context.options.names:
            return _watch_named(context)
        if context.screen.steerable:
            return _watch_board(context)
        return run_plain(context)
    except KeyboardInterrupt:
        return ExitCode.OK


def run_plain(context: Context) -> int:
    """Print a line for every change, until Ctrl-C."""
    checks, feed = selection.tests(context.options), _feed(context)
    printed: dict[tuple[str, str], str] = {}
    try:
        while True:
            change = feed.get(None)
            if change is None:
                continue
            if change.kind is Kind.LOST:
                context.screen.note(f"connection lost, retrying: {change.error}")
            for upload in change.uploads:
                if change.kind is Kind.DELETED:
                    if printed.pop(upload.key, None) is not None:
                        _line(context, upload, "removed")
                elif all(check(upload) for check in checks):
                    words = _words(upload)
                    if printed.get(upload.key) != words:
                        printed[upload.key] = words
                        _line(context, upload, words)
            context.screen.out.flush()
    except KeyboardInterrupt:
        return ExitCode.OK


def _feed(context: Context) -> Reflector:
    """Changes of what is selected; at first only what has not ended, unless a filter asks for more."""
    params = selection.params(context.options)
    narrowed = selection.narrowed(params, selection.NOT_ENDED)
    listed = params if selection.tests(context.options) else narrowed
    return Reflector(context.client, collection(context.namespace), params, listed=listed)


def _words(upload: Upload) -> str:
    text = state(upload)
    if upload.retries:
        text += f", {upload.retries} retries"
    if at := upload.time("nextAttemptTime"):
        text += f", next at {clock(at)}"
    return text + (f", {why}" if (why := silence(upload)) else "")


def _line(context: Context, upload: Upload, words: str) -> None:
    place = f"{upload.namespace}/" if context.namespace is None else ""
    color = stage_color(upload.stage, stuck=upload.stuck and not upload.ended)
    context.screen.line(f"{clock(time.time())}  {place}{upload.name}  {context.screen.paint(words, color)}")


def _watch_board(context: Context) -> int:
    board = WatchScreen(context.screen, namespaces=context.namespace is None)
    checks, feed, lost = selection.tests(context.options), _feed(context), ""
    first = feed.get(None)  # an error at the start is printed on the normal screen
    with Live(context.screen) as live:
        change = first
        while True:
            if change is not None:
                lost = _apply(board, change, checks)
            change = feed.get(live.wait) if live.wait else None
            if change is None:
                live.draw(board.frame(time.time(), lost=lost))
                change = feed.get(REFRESH_SECONDS)


def _apply(board: WatchScreen, change: Change, checks: list[selection.Test]) -> str:
    """Put a change on the board; returns what is wrong with the connection."""
    if change.kind is Kind.LOST:
        return str(change.error)
    now = time.time()
    if change.kind is Kind.SNAPSHOT:
        present = {upload.key for upload in change.uploads}
        for upload in [u for key, u in board.uploads.items() if key not in present]:
            board.drop(upload)
    for upload in change.uploads:
        if change.kind is Kind.DELETED or not all(check(upload) for check in checks):
            board.drop(upload)
        else:
            board.put(upload, now)
    return ""


def _watch_named(context: Context) -> int:
    uploads = selection.find_named(context, context.options.names)
    tracker = Tracker(context, uploads)
    if not context.screen.steerable:
        return _follow_plainly(context, tracker)
    events: dict[tuple[str, str], list[Json] | None] = {}
    moved = set(tracker.uploads)

    def note(upload: Upload) -> None:
        moved.add(upload.key)

    with Live(context.screen) as live:
        while True:
            for key in moved:
                events[key] = readable_events(context, tracker.uploads[key])
            lines: list[str] = []
            for key, upload in tracker.uploads.items():
                lines += [*([""] if lines else []), *render(context, upload, events[key], time.time())]
            live.draw(lines)
            if all(upload.ended or key in tracker.gone for key, upload in tracker.uploads.items()):
                return ExitCode.OK
            moved.clear()
            tracker.follow(lambda u: u.ended, deadline=time.monotonic() + REFRESH_SECONDS, on_change=note)


def _follow_plainly(context: Context, tracker: Tracker) -> int:
    printed: dict[tuple[str, str], str] = {}

    def tell(upload: Upload) -> None:
        words = "removed" if upload.key in tracker.gone else _words(upload)
        if printed.get(upload.key) != words:
            printed[upload.key] = words
            _line(context, upload, words)
            context.screen.out.flush()

    for upload in tracker.uploads.values():
        tell(upload)
    tracker.follow(lambda upload: upload.ended, on_change=tell)
    return ExitCode.OK
