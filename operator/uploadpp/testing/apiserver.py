"""An API server in memory: resources with versions, a Lease, a watch, and every way to fail.

Listings are consistent when they are asked for, as with a real server, and may arrive long
after: what happens meanwhile is not in them. Everything written went through JSON.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from uploadpp.api.timestamps import format_time
from uploadpp.core.model import Millis
from uploadpp.core.sharding import BUCKET_LABEL
from uploadpp.kube.errors import ConflictError, NotFoundError, RefusedError
from uploadpp.kube.store import GROUP, PLURAL, VERSION
from uploadpp.testing.stream import millis
from uploadpp.testing.virtual_loop import VirtualScheduler

Json = dict[str, Any]
Listener = Callable[["Change"], None]
NAMESPACE = "uploads"
RESOURCES = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


class Verb(StrEnum):
    """What happens to a resource."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """A write that was carried out."""

    verb: Verb
    actor: str
    before: Json | None
    after: Json | None
    status: bool = False

    @property
    def resource(self) -> Json:
        """The resource as a watch shows it."""
        resource = self.after or self.before
        assert resource is not None  # noqa: S101 -- one of the two is always there
        return resource


@dataclass(frozen=True, slots=True)
class Copy:
    """What is stored at a moment."""

    resources: dict[str, Json]
    leases: dict[str, Json]
    version: int


def _copy(value: object) -> Any:  # noqa: ANN401 -- JSON
    return orjson.loads(orjson.dumps(value))


def _selected(resource: Json, selector: str) -> bool:
    """Whether a resource is one of those with certain fields, as `a.b=word,c.d!=word`."""
    for term in filter(None, selector.split(",")):
        path, _, word = term.partition("=")
        value: Any = resource
        for name in path.removesuffix("!").split("."):
            value = value.get(name, {})
        if ((value or "") == word) is path.endswith("!"):
            return False
    return True


class ApiServer:
    """The resources and Leases of one namespace."""

    def __init__(self, kernel: VirtualScheduler) -> None:
        self._kernel = kernel
        self._version = 100
        self._made = 0
        self.resources: dict[str, Json] = {}
        self.leases: dict[str, Json] = {}
        self.listeners: list[Listener] = []
        self.checks: list[Callable[[Change], None]] = []
        self.on_put_back: list[Callable[[], None]] = []
        """Who is told that it has begun anew, with an older store."""

    def copy(self) -> Copy:
        """All that is stored, as a snapshot of etcd has it."""
        return Copy(_copy(self.resources), _copy(self.leases), self._version)

    def put_back(self, copy: Copy) -> None:
        """Somebody restores a snapshot: watches begin anew, and versions are given a second time."""
        self.resources, self.leases = _copy(copy.resources), _copy(copy.leases)
        self._version = copy.version
        for tell in self.on_put_back:
            tell()

    # -- requests -------------------------------------------------------------------------

    def request(
        self, actor: str, method: str, path: str, body: object, params: Mapping[str, str] | None = None
    ) -> Json:
        """Carry a request out.

        Raises:
            ApiError: as the real client does.
        """
        if path.startswith(LEASES):
            return self._lease(method, path.removeprefix(LEASES).lstrip("/"), body)
        name, _, part = path.removeprefix(RESOURCES).lstrip("/").partition("/")
        match method:
            case "GET" if not name:
                return self._list(params or {})
            case "GET":
                return self._get(name)
            case "POST" if (params or {}).get("dryRun"):
                raise RefusedError(f"{method} {path}: 422 spec.upload is required")
            case "POST":
                return self.create(actor, _copy(body))
            case "PATCH":
                return self._patch(actor, name, part, _copy(body))
            case "DELETE":
                return self._delete(actor, name, _copy(body))
        raise RefusedError(f"{method} {path}: 405")

    def _list(self, params: Mapping[str, str]) -> Json:
        found = [each for each in self.resources.values() if _selected(each, params.get("fieldSelector", ""))]
        if params.get("labelSelector", "").endswith(f"!{BUCKET_LABEL}"):
            found = [each for each in found if BUCKET_LABEL not in each["metadata"].get("labels", {})]
        meta = {"resourceVersion": str(self._version)}
        if params.get("limit") == "1":
            return {"items": found[:1], "metadata": {**meta, "remainingItemCount": max(len(found) - 1, 0)}}
        return {"items": found, "metadata": meta}

    def _get(self, name: str) -> Json:
        try:
            return self.resources[name]
        except KeyError:
            raise NotFoundError(f"GET {name}: 404") from None

    def create(self, actor: str, resource: Json) -> Json:
        """Make a resource, as the operator or a person does."""
        name = resource["metadata"]["name"]
        if name in self.resources:
            raise ConflictError(f"POST {name}: 409 AlreadyExists")
        self._made += 1
        resource["metadata"] |= {
            "uid": f"uid-{self._made}",
            "generation": 1,
            "creationTimestamp": format_time(Millis(millis(self._kernel.now))),
        }
        resource.pop("status", None)
        return self._put(Verb.ADDED, actor, None, resource)

    def _patch(self, actor: str, name: str, part: str, operations: list[Json]) -> Json:
        current = self._get(name)
        test, change = operations
        if test["value"] != current["metadata"]["resourceVersion"]:
            raise RefusedError(f"PATCH {name}: 422 the test failed")
        if part == "status":
            return self._put(
                Verb.MODIFIED, actor, current, {**current, "status": change["value"]}, status=True
            )
        field = change["path"].rpartition("/")[2]
        if change["path"].startswith("/metadata/labels/"):
            labels = {**current["metadata"].get("labels", {}), field.replace("~1", "/"): change["value"]}
            return self.label(actor, name, labels)
        if change["path"] == "/metadata/annotations":
            meta = {**current["metadata"], "annotations": change["value"]}
            return self._put(Verb.MODIFIED, actor, current, {**current, "metadata": meta})
        return self.edit(actor, name, **{field: change["value"]})

    def edit(self, actor: str, name: str, **spec: object) -> Json:
        """Change the spec, as the operator or a person does; None removes a field."""
        current = self._get(name)
        changed = {k: v for k, v in {**current["spec"], **spec}.items() if v is not None}
        after = {**current, "spec": changed}
        if changed != current["spec"]:
            generation = current["metadata"]["generation"] + 1
            after["metadata"] = {**current["metadata"], "generation": generation}
        return self._put(Verb.MODIFIED, actor, current, after)

    def label(self, actor: str, name: str, labels: Json) -> Json:
        """Change the labels, as a person or a tool does."""
        current = self._get(name)
        return self._put(
            Verb.MODIFIED, actor, current, {**current, "metadata": {**current["metadata"], "labels": labels}}
        )

    def _delete(self, actor: str, name: str, body: Json) -> Json:
        meta = self._get(name)["metadata"]
        wanted = body.get("preconditions", {})
        if wanted.get("uid", meta["uid"]) != meta["uid"]:
            raise ConflictError(f"DELETE {name}: 409 uid")
        if wanted.get("resourceVersion", meta["resourceVersion"]) != meta["resourceVersion"]:
            raise ConflictError(f"DELETE {name}: 409 resourceVersion")
        return self.delete(actor, name)

    def delete(self, actor: str, name: str) -> Json:
        """Remove a resource."""
        gone = self._get(name)
        change = Change(Verb.DELETED, actor, gone, None)
        for check in self.checks:
            check(change)
        del self.resources[name]
        self._tell(change)
        return {}

    def _put(self, verb: Verb, actor: str, before: Json | None, after: Json, *, status: bool = False) -> Json:
        if before is not None and after == before:
            return before  # the real server writes nothing either
        self._version += 1
        stored = {**after, "metadata": {**after["metadata"], "resourceVersion": str(self._version)}}
        change = Change(verb, actor, before, stored, status)
        self.resources[stored["metadata"]["name"]] = stored
        for check in self.checks:
            check(change)
        self._tell(change)
        return stored

    def _tell(self, change: Change) -> None:
        for listener in self.listeners:
            listener(change)

    # -- leases ---------------------------------------------------------------------------

    def _lease(self, method: str, name: str, body: object) -> Json:
        current = self.leases.get(name)
        if method == "GET":
            if current is None:
                raise NotFoundError(f"GET lease {name}: 404")
            return current
        lease: Json = _copy(body)
        name = lease["metadata"]["name"]
        current = self.leases.get(name)
        if method == "POST" and current is not None:
            raise ConflictError(f"POST lease {name}: 409")
        if method == "PUT" and current is None:
            raise NotFoundError(f"PUT lease {name}: 404")
        if current is not None:
            version = lease["metadata"].get("resourceVersion")
            if version != current["metadata"]["resourceVersion"]:
                raise ConflictError(f"PUT lease {name}: 409")
        self._version += 1
        lease["metadata"]["resourceVersion"] = str(self._version)
        self.leases[name] = lease
        return lease


__all__ = ["LEASES", "NAMESPACE", "RESOURCES", "ApiServer", "Change", "Copy", "Json", "Verb"]
