"""`list`: the server's own table, so its columns are those of `kubectl get`; and the old session list."""

import json
import sys

from kubectl_pp import selection, yaml
from kubectl_pp.client import TABLE, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, UsageError
from kubectl_pp.sessions import session
from kubectl_pp.table import Paint, columns, layout
from kubectl_pp.upload import QUALIFIED, Upload, collection, stage_color

STATUS_COLUMN = "Status"


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


def _print_table(context: Context) -> int:
    checks = selection.tests(context.options)
    params = {**selection.params(context.options), "includeObject": "Object" if checks else "Metadata"}
    definitions: list[Json] = []
    rows: list[Json] = []
    for page in context.client.pages(collection(context.namespace), params, TABLE):
        definitions = definitions or page["columnDefinitions"]
        found = page.get("rows") or []
        rows += [row for row in found if all(check(Upload(row["object"])) for check in checks)]
    if not rows:
        _say_nothing_found(context)
        return ExitCode.OK
    _print_rows(context, definitions, rows)
    return ExitCode.OK


def _print_rows(context: Context, definitions: list[Json], rows: list[Json]) -> None:
    wide = context.options.output == "wide"
    shown = [i for i, column in enumerate(definitions) if wide or not column.get("priority")]
    table = columns([row["cells"][i] for i in shown] for row in rows)
    head = [definitions[i]["name"].upper() for i in shown]
    if context.namespace is None:
        head.insert(0, "NAMESPACE")
        for line, row in zip(table, rows, strict=True):
            line.insert(0, row["object"]["metadata"]["namespace"])
    top = [] if context.options.no_headers else [head]
    paint: Paint = {}
    if STATUS_COLUMN.upper() in head:
        x = head.index(STATUS_COLUMN.upper())
        paint = {(y, x): stage_color(line[x]) for y, line in enumerate(table, len(top))}
    context.screen.lines(layout([*top, *table], context.screen, paint))


def _say_nothing_found(context: Context) -> None:
    place = "" if context.namespace is None else f" in {context.namespace} namespace"
    context.screen.note(f"No uploads found{place}.")
