"""Which uploads a command is about: names, ids, @latest, selectors, and filters by state."""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from kubectl_pp.client import JSON, TABLE, Client, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, MissingError, UsageError
from kubectl_pp.flags import same_cluster
from kubectl_pp.times import parse_age
from kubectl_pp.upload import Stage, Upload, collection

LATEST = "@latest"
KINDS = frozenset({"uploadpostprocessing", "uploadpostprocessings", "upp"})
"""Prefixes of a name, as in kubectl: upp/NAME."""
FEW = 50
"""Up to this many uploads are read one by one, which is faster than listing all completed ones."""
SAME_SECOND = 100
"""Uploads that are looked at to find the newest; creation times have whole seconds only."""

Test = Callable[[Upload], bool]
T = TypeVar("T")


def params(options: Namespace) -> dict[str, str]:
    """The part that the API server filters."""
    fields = [options.field_selector] if getattr(options, "field_selector", None) else []
    for key, path in (
        ("step", "status.currentStep"),
        ("outcome", "status.outcome"),
        ("space", "spec.upload.spaceID"),
        ("user_id", "spec.upload.userID"),
    ):
        if value := getattr(options, key, None):
            fields.append(f"{path}={escaped(value)}")
    found = {"fieldSelector": ",".join(fields), "labelSelector": getattr(options, "selector", None) or ""}
    return {key: value for key, value in found.items() if value}


def escaped(value: str) -> str:
    """A value in a field selector; a comma in it would begin another condition."""
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


NOT_ENDED = "status.completionTime="
ENDED = "status.completionTime!="
RELEASE_FAILED = f"{ENDED},status.currentStep=finished,status.outcome=continue"


def queries(options: Namespace) -> list[dict[str, str]]:
    """Parameters of lists that no upload is in twice and that together hold all which `tests` let through.

    The API server finds few among many a hundred times faster than we do.
    """
    base = params(options)
    wanted = getattr(options, "processing", None)
    if getattr(options, "running", False) or wanted == "true" or getattr(options, "all", False):
        parts = [NOT_ENDED]
    elif getattr(options, "stalled", False):
        parts = [NOT_ENDED, RELEASE_FAILED]
    elif getattr(options, "failed", False):
        parts = [f"{ENDED},status.outcome!=continue", RELEASE_FAILED]
    elif getattr(options, "has_virus", None) == "true":
        parts = ["status.outcome!="]  # storages have released what they were told to delete
    elif wanted == "false":
        parts = [ENDED]
    else:
        return [base]
    return [narrowed(base, part) for part in parts]


def narrowed(base: dict[str, str], field_selector: str) -> dict[str, str]:
    """The parameters with a further field selector."""
    both = [each for each in (base.get("fieldSelector"), field_selector) if each]
    return {**base, "fieldSelector": ",".join(both)}


def tests(options: Namespace) -> list[Test]:
    """The part that the plugin filters.

    Raises:
        UsageError: a value cannot be read.
    """
    found: list[Test] = []
    if getattr(options, "running", False):
        found.append(lambda upload: not upload.ended)
    if getattr(options, "failed", False):
        found.append(lambda upload: upload.failed)
    if getattr(options, "stalled", False):
        found.append(lambda upload: upload.stuck)
    now = time.time()
    if since := getattr(options, "since", None):
        earliest = now - parse_age(since, "--since")
        found.append(lambda upload: upload.created >= earliest)
    if older := getattr(options, "older", None):
        latest = now - parse_age(older, "--older")
        found.append(lambda upload: upload.created < latest)
    switches: tuple[tuple[str, Test], ...] = (
        ("processing", lambda upload: not upload.ended),
        ("expired", lambda upload: (upload.time("expirationTime") or now + 1) <= now),
        ("has_virus", lambda upload: upload.virus is not None),
    )
    for key, test in switches:
        wanted = getattr(options, key, None)
        if wanted is not None:
            found.append(_equals(test, wanted=wanted == "true"))
    return found


def _equals(test: Test, *, wanted: bool) -> Test:
    return lambda upload: test(upload) is wanted


def read(
    context: Context, wanted: Sequence[dict[str, str]], take: Callable[[Json], None], accept: str = JSON
) -> None:
    """Hand each page of some lists to `take`, which keeps what it needs.

    Raises:
        ExpiredError: a list went out of date between two pages.
    """
    read_pages(context, wanted, take, accept)
    query = unreleased(context.options)
    if query:
        include = {key: value for key, value in wanted[0].items() if key == "includeObject"}
        _read_unreleased(context, query, include, take, accept)


def read_pages(
    context: Context, wanted: Sequence[dict[str, str]], take: Callable[[Json], None], accept: str = JSON
) -> None:
    """The same for these lists and no other one.

    Raises:
        ExpiredError: a list went out of date between two pages.
    """
    for query in wanted:
        for page in context.client.pages(collection(context.namespace), query, accept):
            take(page)


def unreleased(options: Namespace) -> dict[str, str]:
    """What lists the failed uploads that no field tells from completed ones; empty when none are wanted."""
    if not getattr(options, "failed", False) or getattr(options, "running", False):
        return {}
    return narrowed(params(options), f"{ENDED},status.currentStep=,status.outcome=continue")


def _read_unreleased(
    context: Context,
    query: dict[str, str],
    include: dict[str, str],
    take: Callable[[Json], None],
    accept: str,
) -> None:
    """Of the completed ones, of which there may be very many, it reads no more than rows."""
    client, path = context.client, collection(context.namespace)
    found: list[tuple[str, str]] = []
    for page in client.pages(path, {**query, "includeObject": "Metadata"}, TABLE):
        names = [column["name"].lower() for column in page["columnDefinitions"]]
        at = names.index("status")
        for row in page.get("rows") or []:
            if row["cells"][at] != Stage.COMPLETED:
                meta = row["object"]["metadata"]
                found.append((meta["namespace"], meta["name"]))
    if len(found) > FEW:
        for page in client.pages(path, {**query, **include}, accept):
            take(page)
        return
    for place, name in found:
        take(client.select(collection(place), {"fieldSelector": f"metadata.name={name}", **include}, accept))


def find_all(context: Context) -> tuple[list[Upload], str]:
    """The uploads that the options select, and the version of the list, to watch from."""
    return kept_of_all(context, lambda upload: upload)


def kept_of_all(context: Context, keep: Callable[[Upload], T]) -> tuple[list[T], str]:
    """What `keep` makes of each upload that the options select, and the version of the list.

    A page is forgotten before the next one is read: what is kept is all that takes memory.
    """
    checks = tests(context.options)

    def attempt() -> tuple[list[T], str]:
        kept: list[T] = []
        versions: list[str] = []

        def take(page: Json) -> None:
            versions.append(page["metadata"]["resourceVersion"])
            found = (Upload(item) for item in page.get("items", []))
            kept.extend(keep(upload) for upload in found if all(check(upload) for check in checks))

        read(context, queries(context.options), take)
        return kept, versions[0]

    return context.client.retried(attempt)


def find_named(context: Context, names: list[str]) -> list[Upload]:
    """The uploads of these names, ids or @latest, each once. Of several names some may not exist.

    Raises:
        MissingError: none exists.
    """
    found: dict[tuple[str, str], Upload] = {}
    missing: list[MissingError] = []
    for name in dict.fromkeys(names):
        try:
            found.update((upload.key, upload) for upload in _find(context, name))
        except MissingError as error:
            missing.append(error)
    last = None if found or not missing else missing.pop()
    for each in missing:
        context.miss(each)
    if last is not None:
        raise last
    return list(found.values())


def find_one(context: Context, name: str) -> Upload:
    """The one upload of that name or id.

    Raises:
        MissingError, UsageError: there is none, or there are several.
    """
    found = list(_find(context, name))
    if len(found) > 1:
        places = ", ".join(sorted(upload.namespace for upload in found))
        raise UsageError(f"{name} exists more than once ({places})", "select one with -n")
    return found[0]


def _find(context: Context, name: str) -> Iterator[Upload]:
    client, namespace = context.client, context.namespace
    if name == LATEST:
        yield _latest(context)
        return
    kind, slash, rest = name.partition("/")
    if slash and kind.lower().partition(".")[0] in KINDS:
        name = rest
    if "/" in name:
        raise UsageError(f"{name!r} is not a name", "give only the name or the upload id")
    found = _by_field(client, namespace, "metadata.name", name)
    if not found:
        found = _by_field(client, namespace, "spec.upload.id", name)
        found = [upload for upload in found if not upload.left_alone] or found
    if not found:
        raise MissingError(
            f"no upload {name} {_where(namespace)}",
            f"see `{_list_everywhere(context)}`; ended uploads are deleted after their time to live",
        )
    yield from found


def _latest(context: Context) -> Upload:
    """The newest upload; of the others it reads no more than when they were made."""

    def attempt() -> list[tuple[str, str]]:
        newest: list[str] = [""]
        found: list[tuple[str, str]] = []

        def take(page: Json) -> None:
            for meta in [row["object"]["metadata"] for row in page.get("rows") or []]:
                if meta["creationTimestamp"] > newest[0]:
                    newest[0] = meta["creationTimestamp"]
                    found.clear()
                if meta["creationTimestamp"] == newest[0]:
                    found.append((meta["namespace"], meta["name"]))

        read(context, [{"includeObject": "Metadata"}], take, TABLE)
        return found

    uploads = []
    for place, name in context.client.retried(attempt)[:SAME_SECOND]:
        with contextlib.suppress(MissingError):
            uploads.append(Upload(context.client.get(f"{collection(place)}/{name}")))
    if not uploads:
        raise MissingError(f"no upload {_where(context.namespace)}", _list_everywhere(context))
    return max(uploads, key=lambda upload: upload.newest)


def _by_field(client: Client, namespace: str | None, field: str, value: str) -> list[Upload]:
    found = client.items(collection(namespace), {"fieldSelector": f"{field}={escaped(value)}"})
    return [Upload(item) for item in found]


def _list_everywhere(context: Context) -> str:
    """The command that lists the uploads of all namespaces of this cluster."""
    return f"kubectl pp list -A{same_cluster(vars(context.options))}"


def _where(namespace: str | None) -> str:
    return "in any namespace" if namespace is None else f"in namespace {namespace}"


def choose(context: Context) -> tuple[list[Upload], str]:
    """The uploads of a verb that changes some, and the version of the list they come from, if of one.

    Raises:
        UsageError: nothing is chosen, or two ways of choosing exclude each other.
    """
    options = context.options
    narrowed = options.selector or options.field_selector or options.step or options.failed or options.stalled
    if options.names and (narrowed or options.all):
        raise UsageError("names and selectors are mutually exclusive")
    if options.all and narrowed:
        raise UsageError("--all and other selectors are mutually exclusive")
    if options.names:
        return find_named(context, options.names), ""
    if not narrowed and not options.all:
        raise UsageError(
            "no upload is selected",
            f"a NAME, -l, --step, --stalled or --all; kubectl pp {options.verb} --help",
        )
    uploads, version = find_all(context)
    return [upload for upload in uploads if not upload.ended] if options.all else uploads, version


def nothing_matched(context: Context) -> int:
    """Report that nothing was done, and why."""
    options = context.options
    step = f" in step {options.step}" if options.step else ""
    context.screen.note(f"nothing matched: no such upload{step} {_where(context.namespace)}")
    return ExitCode.OK
