"""The checkpoint: UploadPostprocessing resources in the API server.

Status is written as a whole and only over the version it was computed from (compare and
set), so that neither a zombie nor a second writer can put the past over the present.
"""

import re
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import orjson

from uploadpp.api import API_VERSION, KIND
from uploadpp.api.plan import PLAN_FIELDS, added_to_plan
from uploadpp.core.sharding import BUCKET_LABEL
from uploadpp.kube.api import FIELD_MANAGER, JSON_PATCH, Api, Json
from uploadpp.kube.errors import (
    ApiError,
    ConflictError,
    MissingKindError,
    NotFoundError,
    OlderStoreError,
    Refusal,
    RefusedError,
    UnavailableError,
)
from uploadpp.kube.pages import PageSizes, pages
from uploadpp.kube.paths import api_path

GROUP = "uploadpp.io"
VERSION = "v1alpha1"
PLURAL = "uploadpostprocessings"
PAGE = 500
"""Maximum number of resources in one page."""
FIRST_PAGE = 50
"""Size of the first page, while the size of resources is unknown."""
PROBE = "is-the-crd-there"
SEALED = "sealed"
OURS = f"{GROUP}/"
"""How the names of our annotations begin."""
BINDING_OF_FILE = ("id", "receivedTime", "filesize")
"""What decides how an upload is driven after a restart, and cannot be changed later. A webhook that hides
names, or suspends what is new, is welcome to do so."""
ASKED_FOR = ("desiredState", "cancelPolicy", "restart")
"""What anybody may ask for in a spec, a webhook as well."""
ESSENTIAL = (
    "conditions",
    "currentStep",
    "run",
    "finishes",
    "steps",
    "log",
    "plan",
    "outcome",
    "nextAttemptTime",
    "completionTime",
    "expirationTime",
    "observedToken",
    "policy",
    "order",
    "startTime",
    "stageTime",
    "releases",
    "urlRequests",
    "uid",
)
"""Fields of the status without which a restart would not go on where we are."""
BUCKET_POINTER = f"/metadata/labels/{BUCKET_LABEL.replace('/', '~1')}"
MARK_OF_URLS = "uploadpp.io/url-secret"
"""Marks the Secrets that `spec.urlSecretRef` may name; the value is `true`."""
_WEB_ADDRESS = re.compile(r"https?://[!-~]{1,65536}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stored:
    """The identity and version of a resource after a write."""

    uid: str
    version: str
    generation: int
    renamed: str = ""
    """The name that a webhook has given it, if that is another than we asked for."""
    altered: str = ""
    """What of it is not as we wrote it: a webhook has changed, dropped or added it."""
    asks: Json | None = None
    """The resource as it was made, if a webhook has it ask for something else than we do; otherwise None."""


def stored(resource: Json) -> Stored:
    """What the next compare-and-set needs to know about a resource."""
    meta = resource["metadata"]
    return Stored(meta["uid"], meta["resourceVersion"], meta.get("generation", 1))


def is_terminating(resource: Json) -> bool:
    """Whether a resource was deleted, and is only there because a finalizer holds it. Ours never have one."""
    return bool(resource["metadata"].get("deletionTimestamp"))


def version_of(of: Stored) -> int:
    """Versions of one kind of resource are numbers that grow (KEP-5504)."""
    return int(of.version) if of.version.isdecimal() else 0


def altered_in(resource: Json, made: Json) -> str:
    """What of a resource that we have made is not as we wrote it; empty when all is."""
    spec, kept = resource["spec"], made["spec"]
    label = resource["metadata"].get("labels", {}).get(BUCKET_LABEL)
    if (made["metadata"].get("labels") or {}).get(BUCKET_LABEL, label) != label:
        return f"metadata.labels.{BUCKET_LABEL}"
    if kept == spec:  # nearly always, and much cheaper than field by field
        return ""
    binding = {field: spec[field] for field in PLAN_FIELDS if field in spec}
    binding["upload"] = {field: spec["upload"][field] for field in BINDING_OF_FILE if field in spec["upload"]}
    if found := difference(binding, kept, "spec") or added_to_plan(spec, kept):
        return found
    return "" if kept.get(SEALED) == spec.get(SEALED) else "spec.sealed"


def wishes_in(spec: Json) -> Json:
    """The fields of a spec that ask for something and may be changed at any time."""
    return {field: spec[field] for field in ASKED_FOR if spec.get(field) is not None}


def difference(written: object, kept: object, path: str) -> str:
    """The first field that was not kept as it was written; what was added does not count here."""
    if written == kept:
        return ""
    if isinstance(written, dict) and isinstance(kept, dict):
        parts = (difference(value, kept.get(name), f"{path}.{name}") for name, value in written.items())
        return next(filter(None, parts), "")
    if isinstance(written, list) and isinstance(kept, list) and len(written) == len(kept):
        pairs = enumerate(zip(written, kept, strict=True))
        return next(filter(None, (difference(a, b, f"{path}[{index}]") for index, (a, b) in pairs)), "")
    return path


def lost_annotation(written: Json, answer: Json) -> str:
    """The first of our annotations that a resource does not have as it was written; empty if it has all."""
    kept = _part(_part(answer, "metadata"), "annotations")
    lost = (name for name, text in written.items() if name.startswith(OURS) and kept.get(name) != text)
    return next((f"metadata.annotations.{name}" for name in lost), "")


def _part(answer: Json, name: str) -> Json:
    """A part of a resource; empty when it is not an object, which then counts as changed by somebody."""
    part = answer.get(name)
    return part if isinstance(part, dict) else {}


def _size(item: Json) -> int:
    """About how many bytes a resource has. Strangers may write as much as they like into its metadata."""
    metadata, spec = item.get("metadata"), item.get("spec") or {}
    sealed = spec.get("sealed") or "" if isinstance(spec, dict) else spec
    if not isinstance(sealed, str):
        return len(orjson.dumps(item))  # a CRD without our types takes anything there
    return 2_000 + len(orjson.dumps(metadata)) + len(sealed)


class Store:
    """Resources of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._path = api_path("apis", GROUP, VERSION, "namespaces", namespace, PLURAL)
        self._secrets = api_path("api", "v1", "namespaces", namespace, "secrets")
        self._params = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Ignore"}

    async def count(self) -> int:
        """Number of resources of all shards."""
        page = await self._api.request("GET", self._path, params={"limit": "1"})
        return len(page.get("items", [])) + int(page.get("metadata", {}).get("remainingItemCount", 0))

    async def list_all(self, selector: str = "", fields: str = "", newest: int = 0) -> AsyncIterator[Json]:
        """Every resource that a label and a field selector leave, in pages.

        When the rest of a list has expired it is read from the start, so a resource may come twice.

        Args:
            selector: of labels; all resources when empty.
            fields: a field selector; all resources when empty.
            newest: the highest version that a resource is known to have had; 0 when none is known.

        Raises:
            OlderStoreError: the list is from before that version.
            RefusedError: the CRD in the cluster does not know a field that is asked for.
        """
        selectors = {"labelSelector": selector, "fieldSelector": fields}
        sizes = PageSizes(first=min(FIRST_PAGE, PAGE), most=PAGE, size_of=_size)
        async for page in pages(self._api, self._path, selectors, sizes):
            if page.is_first and page.version.isdecimal() and 0 < int(page.version) < newest:
                raise OlderStoreError(
                    f"GET {self._path}: version {page.version} is older than our write, {newest}"
                )
            page.items.reverse()
            while page.items:
                yield page.items.pop()  # what was handled is not kept until the page is through

    async def get(self, name: str) -> Json | None:
        """One resource; None when it is not there."""
        try:
            return await self._api.request("GET", self._path + api_path(name))
        except NotFoundError:
            return None

    async def takes_new(self) -> bool:
        """Whether the CRD and the namespace are there, and are not being removed. Nothing is stored.

        Only a creation tells: while a CRD is being removed, all else is answered as before. This one is
        refused in any case, because its spec lacks what every upload has.

        Raises:
            ApiError: it cannot be told.
        """
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": PROBE}, "spec": {}}
        try:
            await self._api.request("POST", self._path, body, params={**self._params, "dryRun": "All"})
        except MissingKindError:
            return False
        except ApiError as error:
            if error.reason in {Refusal.UNREACHABLE, Refusal.PERMISSION}:
                raise
        return True

    async def create(self, resource: Json) -> Stored:
        """Make a resource; a webhook may have given it another name.

        Raises:
            ConflictError: there is one of that name.
            RefusedError: it is not taken.
            UnavailableError: also when the CRD or the namespace is missing.
        """
        made = await self._api.request("POST", self._path, resource, params=self._params)
        name: str = made["metadata"]["name"]
        renamed = "" if name == resource["metadata"]["name"] else name
        altered, found = altered_in(resource, made), stored(made)
        asks = made if wishes_in(made["spec"]) != wishes_in(resource["spec"]) else None
        changed = renamed or altered or asks is not None
        return replace(found, renamed=renamed, altered=altered, asks=asks) if changed else found

    async def write_status(self, name: str, version: str, status: Json) -> Stored:
        """Replace the status of the given version of a resource.

        Raises:
            ConflictError: the resource has changed since.
            NotFoundError: it is gone.
        """
        path = self._path + api_path(name, "status")
        answer = await self._patch(path, name, version, "/status", status)
        kept = _part(answer, "status")
        if kept == status:  # nearly always
            return stored(answer)
        lost = next((field for field in ESSENTIAL if kept.get(field) != status.get(field)), "")
        lost = lost and (difference(status.get(lost), kept.get(lost), f"status.{lost}") or f"status.{lost}")
        return replace(stored(answer), altered=lost) if lost else stored(answer)

    async def write_sealed(self, name: str, version: str, sealed: str) -> Stored:
        """Replace `spec.sealed`, after the storage has sent a fresh URL.

        Raises:
            ConflictError, NotFoundError: as for `write_status`.
        """
        answer = await self._patch(self._path + api_path(name), name, version, "/spec/sealed", sealed)
        altered = _part(answer, "spec").get("sealed") != sealed
        return replace(stored(answer), altered="spec.sealed") if altered else stored(answer)

    async def write_bucket(self, name: str, version: str, bucket: str) -> Stored:
        """Replace the label that says whose the resource is, after somebody has changed it.

        Raises:
            ConflictError, NotFoundError: as for `write_status`.
        """
        answer = await self._patch(self._path + api_path(name), name, version, BUCKET_POINTER, bucket)
        kept = _part(_part(answer, "metadata"), "labels").get(BUCKET_LABEL) == bucket
        return stored(answer) if kept else replace(stored(answer), altered=f"metadata.labels.{BUCKET_LABEL}")

    async def write_annotations(self, name: str, version: str, annotations: Json) -> Stored:
        """Replace the annotations of a resource; `altered` tells of ours alone.

        Raises:
            ConflictError, NotFoundError: as for `write_status`.
        """
        path = self._path + api_path(name)
        answer = await self._patch(path, name, version, "/metadata/annotations", annotations)
        lost = lost_annotation(annotations, answer)
        return replace(stored(answer), altered=lost) if lost else stored(answer)

    async def _patch(self, path: str, name: str, version: str, pointer: str, value: object) -> Json:
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": pointer, "value": value},
        ]
        try:
            return await self._api.request("PATCH", path, patch, content_type=JSON_PATCH, params=self._params)
        except RefusedError as error:
            # A failed test and an invalid object are both 422: the version tells them apart.
            current = await self.get(name)
            if current is None:
                raise NotFoundError(str(error)) from error
            if stored(current).version != version:
                raise ConflictError(str(error)) from error
            raise
        except NotFoundError as error:
            if await self.get(name) is not None:
                raise UnavailableError(f"{error}, but it can be read") from error
            raise

    async def secret(self, name: str, key: str) -> str:
        """A URL from a Secret that its owner has marked for this.

        Anybody who may create a resource chooses the name. So only Secrets with the label are read, and only
        values that are web addresses leave this function.

        Raises:
            NotFoundError: no such Secret or key, not marked, or the value is not an http(s) URL.
            UnavailableError: also when we may not read it.
        """
        try:
            secret = await self._api.request("GET", self._secrets + api_path(name))
        except (NotFoundError, RefusedError):  # refused: no Secret can have the name
            secret = {}
        labels = secret.get("metadata", {}).get("labels") or {}
        if labels.get(MARK_OF_URLS) != "true":
            raise NotFoundError(f"there is no Secret {name} with the label {MARK_OF_URLS}=true")
        try:
            value = b64decode((secret.get("data") or {})[key], validate=True).decode().strip()
        except (KeyError, TypeError, ValueError) as error:
            raise NotFoundError(f"Secret {name} has no readable key {key}") from error
        if not _WEB_ADDRESS.fullmatch(value):
            raise NotFoundError(f"key {key} of Secret {name} is not an http or https URL")
        return value

    async def delete(self, name: str, uid: str, version: str = "") -> None:
        """Remove exactly this resource; gone already is fine.

        Raises:
            ConflictError: it has changed since.
        """
        conditions = {"uid": uid} | ({"resourceVersion": version} if version else {})
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
        try:
            await self._api.request("DELETE", self._path + api_path(name), body)
        except NotFoundError as error:
            current = await self.get(name)
            if current is not None and stored(current).uid == uid:
                raise UnavailableError(f"{error}, but it can be read") from error
