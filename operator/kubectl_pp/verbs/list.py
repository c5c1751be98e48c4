"""`list`: the server's own table, so its columns are those of `kubectl get`; and the old session list."""

from __future__ import annotations

import contextlib
import json
import sys
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from kubectl_pp import selection
from kubectl_pp.client import TABLE, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, MissingError, UsageError
from kubectl_pp.objects import JSON, YAML, Form
from kubectl_pp.screen import clip
from kubectl_pp.sessions import session
from kubectl_pp.sorting import Entry, arranged, is_path, no_column, path_of, value_at
from kubectl_pp.table import PADDING, Paint, columns, layout
from kubectl_pp.upload import LEFT_ALONE, QUALIFIED, Upload, collection, stage_color
from uploadpp.core.naming import VOID_ANNOTATION

STATUS_COLUMN = "Status"
STEP_COLUMN = "Step"
MESSAGE_COLUMN = "message"
ROWS_ON_A_TERMINAL = 200
MOST_DIGITS = 18
NARROW_PADDING = 2
NARROWEST_STEP = 6


def _print_names(texts: Iterable[str]) -> None:
    for text in texts:
        sys.stdout.write(f"{text}\n")


def _print_sessions(texts: Iterable[str]) -> None:
    before = "["
    for text in texts:
        sys.stdout.write(before + text)
        before = ", "
    sys.stdout.write("[]\n" if before == "[" else "]\n")


_SESSIONS = Form(lambda upload: json.dumps(session(upload)), _print_sessions)
_FORMS = {"name": Form(lambda upload: f"{QUALIFIED}/{upload.name}", _print_names), "json": JSON, "yaml": YAML}


def run(context: Context) -> int:
    """Print the selected uploads."""
    options = context.options
    if options.watch:
        if options.output or options.json:
            raise UsageError("--watch cannot be used with --output or --json")
        from kubectl_pp.verbs import watch  # noqa: PLC0415 -- only here

        return watch.run_plain(context)
    if options.json and options.output:
        raise UsageError("--json and --output are mutually exclusive")
    limit = _limit(context)
    if not options.json and options.output in (None, "wide"):
        return _print_table(context, limit)
    form = _SESSIONS if options.json else _FORMS[options.output]
    texts = _objects(context, form)
    kept = texts[:limit] if limit else texts
    form.print_all(map(_unpacked, kept))
    if not kept and options.output == "name":
        _say_nothing_found(context)
    _say_what_is_left_out(context, len(texts) - len(kept))
    return ExitCode.OK


def _limit(context: Context) -> int:
    """How many uploads are printed; 0 is all of them. Only a table on a terminal has a default limit.

    Raises:
        UsageError: it is not a number.
    """
    options = context.options
    if options.limit is None:
        table = not options.json and options.output in (None, "wide")
        return ROWS_ON_A_TERMINAL if table and context.screen.tty else 0
    if not options.limit.isdecimal() or len(options.limit) > MOST_DIGITS:
        shown = clip(options.limit, 2 * MOST_DIGITS)
        raise UsageError(f"--limit must be a whole number, not {shown!r}", "--limit=0 lists all")
    return int(options.limit)


def _say_what_is_left_out(context: Context, count: int) -> None:
    if count > 0:
        context.screen.note(f"… and {count:,} more; --limit=0 lists all")


def _objects(context: Context, form: Form) -> list[bytes]:
    """The texts of the selected uploads, in order; 50,000 of them take less than 100 MB."""
    by = context.options.sort_by or ""
    path = path_of(by) if by else []

    def entry(upload: Upload) -> Entry:
        return Entry(
            upload.name,
            upload.meta.get("creationTimestamp", ""),
            upload.status_word,
            value_at(upload.raw, path) if by else None,
            zlib.compress(form.text(upload).encode(errors="surrogatepass"), 1),
        )

    entries, _ = selection.kept_of_all(context, entry)
    return [entry.content for entry in arranged(entries, by)]


def _unpacked(packed: bytes) -> str:
    return zlib.decompress(packed).decode(errors="surrogatepass")


class _Row(NamedTuple):
    """What is printed of a row of the server's table."""

    cells: list[Any]
    namespace: str


class _Table:
    """The server's table of the selected uploads, without the objects it came with."""

    def __init__(self, context: Context) -> None:
        by = context.options.sort_by or ""
        self._by = by
        self._client, self._asked = context.client, 0
        self._path = path_of(by) if is_path(by) else []
        self._checks = selection.tests(context.options)
        self.definitions: list[Json] = []
        self._entries: list[Entry] = []
        include = {"includeObject": "Object" if self._checks or self._path else "Metadata"}
        queries = [{**query, **include} for query in selection.queries(context.options)]
        selection.read(context, queries, self._take, TABLE)

    def rows(self) -> list[_Row]:
        """All rows, in order."""
        return [entry.content for entry in arranged(self._entries, self._by)]

    def _take(self, page: Json) -> None:
        self.definitions = self.definitions or page["columnDefinitions"]
        names = [definition["name"].lower() for definition in page["columnDefinitions"]]
        status = names.index(STATUS_COLUMN.lower()) if STATUS_COLUMN.lower() in names else None
        by = self._column(names)
        for row in page.get("rows") or []:
            if all(check(Upload(row["object"])) for check in self._checks):
                cells, meta = row["cells"], row["object"]["metadata"]
                if why := self._left_alone(row["object"]):
                    shown = {STATUS_COLUMN.lower(): LEFT_ALONE, MESSAGE_COLUMN: why}
                    cells = [shown.get(name, cell) for name, cell in zip(names, cells)]
                value = value_at(row["object"], self._path) if self._path else None
                self._entries.append(
                    Entry(
                        meta["name"],
                        meta["creationTimestamp"],
                        None if status is None else cells[status],
                        value if by is None else cells[by],
                        _Row(cells, meta["namespace"]),
                    )
                )

    def _left_alone(self, found: Json) -> str:
        """Why another resource counts for the upload, which the server's table does not say.

        A row has the metadata alone. It does not tell the upload's id, so few resources are read for that.
        """
        meta = found["metadata"]
        if VOID_ANNOTATION not in (meta.get("annotations") or {}):
            return ""
        if "spec" not in found and self._asked < selection.FEW:
            self._asked += 1
            with contextlib.suppress(MissingError):
                found = self._client.get(f"{collection(meta['namespace'])}/{meta['name']}")
        return Upload(found).left_alone

    def _column(self, names: list[str]) -> int | None:
        if not self._by or self._path:
            return None
        if self._by.lower() not in names:
            raise no_column(self._by, names)
        return names.index(self._by.lower())


def _print_table(context: Context, limit: int) -> int:
    table = context.client.retried(lambda: _Table(context))
    rows = table.rows()
    if not rows:
        _say_nothing_found(context)
        return ExitCode.OK
    kept = rows[:limit] if limit else rows
    _print_rows(context, table.definitions, kept)
    _say_what_is_left_out(context, len(rows) - len(kept))
    return ExitCode.OK


def _print_rows(context: Context, definitions: list[Json], rows: list[_Row]) -> None:
    wide = context.options.output == "wide"
    shown = [i for i, column in enumerate(definitions) if wide or not column.get("priority")]
    table = columns([row.cells[i] for i in shown] for row in rows)
    head = [definitions[i]["name"].upper() for i in shown]
    if context.namespace is None:
        head.insert(0, "NAMESPACE")
        for line, row in zip(table, rows):
            line.insert(0, row.namespace)
    width = context.screen.width if context.screen.tty and not wide else None
    padding = PADDING
    if width is not None and _overflow([head, *table], padding, width):
        padding = NARROW_PADDING
        _clip_steps(head, table, width)
    top = [] if context.options.no_headers else [head]
    paint: Paint = {}
    if STATUS_COLUMN.upper() in head:
        x = head.index(STATUS_COLUMN.upper())
        paint = {(y, x): stage_color(line[x]) for y, line in enumerate(table, len(top))}
    context.screen.lines(layout([*top, *table], context.screen, paint, padding))


def _overflow(table: list[list[str]], padding: int, width: int) -> int:
    """Columns by which a table is too wide."""
    return max(max(map(len, layout(table, padding=padding))) - width, 0)


def _clip_steps(head: list[str], table: list[list[str]], width: int) -> None:
    """Give the step the room that is left. Names stay whole, because people copy them."""
    if STEP_COLUMN.upper() not in head:
        return
    x = head.index(STEP_COLUMN.upper())
    room = max(len(line[x]) for line in table) - _overflow([head, *table], NARROW_PADDING, width)
    for line in table:
        line[x] = clip(line[x], max(room, NARROWEST_STEP))


def _say_nothing_found(context: Context) -> None:
    place = "" if context.namespace is None else f" in {context.namespace} namespace"
    context.screen.note(f"No uploads found{place}.")
