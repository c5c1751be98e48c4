"""`list`: the server's own table, so its columns are those of `kubectl get`; and the old session list."""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple

from kubectl_pp import selection, yaml
from kubectl_pp.client import TABLE, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, UsageError
from kubectl_pp.sessions import session
from kubectl_pp.table import Paint, columns, layout
from kubectl_pp.upload import ENDED, QUALIFIED, Stage, Upload, stage_color
from uploadpp.core.states import STALLED

STATUS_COLUMN = "Status"
ROWS_ON_A_TERMINAL = 200
NEEDS_A_PERSON = frozenset({STALLED, Stage.HELD, Stage.UPLOAD_FAILED, Stage.UNANSWERED})


def run(context: Context) -> int:
    """Print the selected uploads."""
    options = context.options
    if options.watch:
        if options.output or options.json:
            raise UsageError("--watch prints lines; it does not go with --output and --json")
        from kubectl_pp.verbs import watch  # noqa: PLC0415 -- only here

        return watch.run_plain(context)
    if options.json:
        if options.output:
            raise UsageError("--json and --output exclude each other")
        uploads, _ = selection.find_all(context)
        sys.stdout.write(json.dumps([session(upload) for upload in uploads]) + "\n")
        return ExitCode.OK
    if options.output in (None, "wide"):
        return _print_table(context)
    uploads, _ = selection.find_all(context)
    _print_objects(context, uploads)
    return ExitCode.OK


def _print_objects(context: Context, uploads: list[Upload]) -> None:
    if context.options.output == "name":
        context.screen.lines([f"{QUALIFIED}/{upload.name}" for upload in uploads])
        if not uploads:
            _say_nothing_found(context)
        return
    found = {
        "apiVersion": "v1",
        "items": [upload.raw for upload in uploads],
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }
    sys.stdout.write(
        yaml.dump(found) if context.options.output == "yaml" else json.dumps(found, indent=4) + "\n"
    )


class _Row(NamedTuple):
    """What is kept of a row of the server's table."""

    cells: list[Any]
    namespace: str
    created: str
    name: str


class _Table:
    """The server's table of the selected uploads, without the objects it came with."""

    def __init__(self, context: Context) -> None:
        self._checks = selection.tests(context.options)
        self.definitions: list[Json] = []
        self.rows: list[_Row] = []
        include = {"includeObject": "Object" if self._checks else "Metadata"}
        queries = [{**query, **include} for query in selection.queries(context.options)]
        selection.read(context, queries, self._take, TABLE)

    def _take(self, page: Json) -> None:
        self.definitions = self.definitions or page["columnDefinitions"]
        for row in page.get("rows") or []:
            if all(check(Upload(row["object"])) for check in self._checks):
                meta = row["object"]["metadata"]
                self.rows.append(
                    _Row(row["cells"], meta["namespace"], meta["creationTimestamp"], meta["name"])
                )

    def column(self, name: str) -> int | None:
        """The place of a column; None when there is none of that name."""
        names = [definition["name"].lower() for definition in self.definitions]
        return names.index(name.lower()) if name.lower() in names else None

    def sort(self, by: str) -> None:
        """Sort by a column; without one by who has to act: a person, the operator, nobody; the newest first.

        Raises:
            UsageError: there is no such column.
        """
        self.rows.sort(key=lambda row: row.name)
        self.rows.sort(key=lambda row: row.created, reverse=True)
        if not by:
            status = self.column(STATUS_COLUMN)
            if status is not None:
                self.rows.sort(key=lambda row: _rank(row.cells[status]))
            return
        if by.lower() == "age":
            return
        at = self.column(by)
        if at is None:
            names = ", ".join(definition["name"].lower() for definition in self.definitions)
            raise UsageError(f"there is no column {by!r}", f"--sort-by is one of {names}")
        self.rows.sort(
            key=lambda row: (row.cells[at] is None, row.cells[at] if row.cells[at] is not None else "")
        )


def _rank(status: object) -> int:
    if status in NEEDS_A_PERSON:
        return 0
    return 2 if status in ENDED else 1


def _print_table(context: Context) -> int:
    table = context.client.retried(lambda: _Table(context))
    if not table.rows:
        _say_nothing_found(context)
        return ExitCode.OK
    table.sort(context.options.sort_by or "")
    limit = _limit(context)
    rows = table.rows[:limit] if limit else table.rows
    _print_rows(context, table.definitions, rows)
    if len(rows) < len(table.rows):
        context.screen.note(f"… and {len(table.rows) - len(rows):,} more; --limit=0 lists all")
    return ExitCode.OK


def _limit(context: Context) -> int:
    """How many rows are printed; 0 is all of them."""
    given = context.options.limit
    if given is None:
        return ROWS_ON_A_TERMINAL if context.screen.tty else 0
    if not given.isdecimal():
        raise UsageError(f"--limit must be a whole number, not {given!r}", "--limit=0 lists all")
    return int(given)


def _print_rows(context: Context, definitions: list[Json], rows: list[_Row]) -> None:
    wide = context.options.output == "wide"
    shown = [i for i, column in enumerate(definitions) if wide or not column.get("priority")]
    table = columns([row.cells[i] for i in shown] for row in rows)
    head = [definitions[i]["name"].upper() for i in shown]
    if context.namespace is None:
        head.insert(0, "NAMESPACE")
        for line, row in zip(table, rows):
            line.insert(0, row.namespace)
    top = [] if context.options.no_headers else [head]
    paint: Paint = {}
    if STATUS_COLUMN.upper() in head:
        x = head.index(STATUS_COLUMN.upper())
        paint = {(y, x): stage_color(line[x]) for y, line in enumerate(table, len(top))}
    context.screen.lines(layout([*top, *table], context.screen, paint))


def _say_nothing_found(context: Context) -> None:
    place = "" if context.namespace is None else f" in {context.namespace} namespace"
    context.screen.note(f"No uploads found{place}.")
