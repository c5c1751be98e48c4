"""Which uploads a command is about: names, ids, @latest, selectors, and filters on what they are in."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator

from kubectl_pp.client import Client
from kubectl_pp.context import Context
from kubectl_pp.errors import ExpiredError, MissingError, UsageError
from kubectl_pp.times import parse_duration
from kubectl_pp.upload import Upload, collection

LATEST = "@latest"
LIST_TRIES = 3

Test = Callable[[Upload], bool]


def params(options: Namespace) -> dict[str, str]:
    """The part the API server filters."""
    fields = [options.field_selector] if getattr(options, "field_selector", None) else []
    for key, path in (
        ("step", "status.currentStep"),
        ("outcome", "status.outcome"),
        ("space", "spec.upload.spaceID"),
        ("user_id", "spec.upload.userID"),
    ):
        if value := getattr(options, key, None):
            fields.append(f"{path}={value}")
    found = {"fieldSelector": ",".join(fields), "labelSelector": getattr(options, "selector", None) or ""}
    return {key: value for key, value in found.items() if value}


def tests(options: Namespace) -> list[Test]:
    """The part we filter.

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
        earliest = now - parse_duration(since, "--since")
        found.append(lambda upload: upload.created >= earliest)
    if older := getattr(options, "older", None):
        latest = now - parse_duration(older, "--older")
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


def find_all(context: Context) -> tuple[list[Upload], str]:
    """The uploads that the options select, and the version of the list, to watch from."""
    checks = tests(context.options)
    client, namespace = context.client, context.namespace
    for attempt in range(LIST_TRIES):
        uploads, version = [], ""
        try:
            for page in client.pages(collection(namespace), params(context.options)):
                version = version or page["metadata"]["resourceVersion"]
                uploads += [Upload(item) for item in page.get("items", [])]
        except ExpiredError:
            if attempt == LIST_TRIES - 1:
                raise
        else:
            return [upload for upload in uploads if all(check(upload) for check in checks)], version
    raise AssertionError


def find_named(context: Context, names: list[str]) -> list[Upload]:
    """The uploads of these names, ids or @latest, each once.

    Raises:
        MissingError: one does not exist.
    """
    found = {upload.key: upload for name in names for upload in _find(context, name)}
    return list(found.values())


def find_one(context: Context, name: str) -> Upload:
    """The one upload of that name or id.

    Raises:
        MissingError, UsageError: there is none, or there are several.
    """
    found = list(_find(context, name))
    if len(found) > 1:
        places = ", ".join(sorted(upload.namespace for upload in found))
        raise UsageError(f"{name} is there more than once ({places})", "choose one with -n")
    return found[0]


def _find(context: Context, name: str) -> Iterator[Upload]:
    client, namespace = context.client, context.namespace
    if name == LATEST:
        found = [Upload(i) for page in client.pages(collection(namespace), {}) for i in page.get("items", [])]
        if not found:
            raise MissingError(f"there is no upload {_where(namespace)}", "kubectl pp list -A")
        yield max(found, key=lambda upload: upload.newest)
        return
    name = name.removeprefix("uploadpostprocessing.uploadpp.io/")
    if "/" in name:
        raise UsageError(f"{name!r} is no name", "give the name or the upload id alone")
    found = _by_field(client, namespace, "metadata.name", name) or _by_field(
        client, namespace, "spec.upload.id", name
    )
    if not found:
        raise MissingError(
            f"there is no upload {name} {_where(namespace)}",
            "see `kubectl pp list -A`; what has ended is removed after its time to live",
        )
    yield from found


def _by_field(client: Client, namespace: str | None, field: str, value: str) -> list[Upload]:
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    page = client.get(collection(namespace), {"fieldSelector": f"{field}={escaped}"})
    return [Upload(item) for item in page.get("items", [])]


def _where(namespace: str | None) -> str:
    return "in any namespace" if namespace is None else f"in namespace {namespace}"
