"""What may be added, removed and changed once a resource is there: tried for every field that the CRD has."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from e2e.cluster.local import LocalCluster
from tests.integration.test_store import connect
from uploadpp.api import API_VERSION, KIND
from uploadpp.api.crd import custom_resource_definition
from uploadpp.kube.api import JSON_PATCH, Api, Json
from uploadpp.kube.errors import RefusedError

FREE = ("/desiredState", "/cancelPolicy", "/restart")
"""What people may do with a resource at any time."""
ADD, REMOVE, CHANGE = "add", "remove", "replace"
SPECIAL: dict[str, Any] = {
    "/upload/id": "u1",
    "/upload/receivedTime": "2026-11-18T11:06:40Z",
    "/steps/0/name": "scan",
    "/restart/fromStep": "scan",
    "/restart/mode": "Resume",
    "/urlSecretRef/name": "url",
}
CHANGED: dict[str, Any] = {
    "/urlSecretRef": {"name": "url", "key": "b2"},
    "/upload/receivedTime": "2026-11-18T11:06:41Z",
    "/steps/0/backoffSeconds": 0,
    "/retryPolicy/backoffSeconds": 0,
    "/restart/fromStep": "other",
    "/restart/token": "2",
}


class Field(NamedTuple):
    """A field of the spec, as a JSON pointer."""

    pointer: str
    schema: Json
    required: bool

    @property
    def is_free(self) -> bool:
        return self.pointer.startswith(FREE)


def fields(schema: Json, at: str = "") -> Iterator[Field]:
    for name, each in schema["properties"].items():
        pointer = f"{at}/{name}"
        yield Field(pointer, each, name in schema.get("required", ()))
        if each["type"] == "object":
            yield from fields(each, pointer)
        if each["type"] == "array":
            yield from fields(each["items"], f"{pointer}/0")


def value(schema: Json, at: str) -> Any:  # noqa: ANN401 -- JSON
    """Something that the API server takes there, with everything that is in it."""
    if at in SPECIAL:
        return SPECIAL[at]
    match schema["type"]:
        case "object":
            return {name: value(each, f"{at}/{name}") for name, each in schema["properties"].items()}
        case "array":
            return [value(schema["items"], f"{at}/0"), {"name": "other"}]
        case "integer":
            return schema["minimum"] + 1
    return schema["enum"][0] if "enum" in schema else "a1"


def other(field: Field) -> Any:  # noqa: ANN401 -- JSON
    """Another value of a field."""
    if field.pointer in CHANGED:
        return CHANGED[field.pointer]
    full = value(field.schema, field.pointer)
    match full:
        case dict():
            required = set(field.schema.get("required", ()))
            return {name: each for name, each in full.items() if name in required}
        case list():
            return full[:1]
        case int():
            return full + 1
    return field.schema["enum"][1] if "enum" in field.schema else "b2"


SPEC = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
FIELDS = list(fields(SPEC))


def may(field: Field, deed: str) -> bool:
    return field.is_free or (field.pointer == "/sealed" and deed != REMOVE)


def without(spec: Json, pointer: str) -> Json:
    """The spec without one field; other fields do not name what is left out."""
    *path, last = pointer.strip("/").split("/")
    parent: Any = spec
    for part in path:
        parent = parent[int(part) if isinstance(parent, list) else part]
    del parent[last]
    if pointer == "/steps":
        del spec["restart"]["fromStep"]
    return spec


async def store(api: Api, path: str, name: str, spec: Json) -> None:
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}
    await api.request("POST", path, body)


async def refused(api: Api, path: str, name: str, *operation: Json) -> str:
    """Why a change is refused; empty when it is not. Nothing is stored."""
    query = {"dryRun": "All"}
    try:
        await api.request("PATCH", f"{path}/{name}", list(operation), content_type=JSON_PATCH, params=query)
    except RefusedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("field", FIELDS, ids=[field.pointer for field in FIELDS])
async def test_s9_nothing_that_is_fixed_is_added_removed_or_changed(
    cluster: LocalCluster, namespace: str, field: Field
) -> None:
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/uploadpostprocessings"
    pointer = f"/spec{field.pointer}"
    async with await connect(cluster.kubeconfig) as api:
        await store(api, path, "full", value(SPEC, ""))
        change = {"op": CHANGE, "path": pointer, "value": other(field)}
        answers = {CHANGE: await refused(api, path, "full", change)}
        if not field.required:
            await store(api, path, "lacking", without(value(SPEC, ""), field.pointer))
            added = {"op": ADD, "path": pointer, "value": value(field.schema, field.pointer)}
            answers[ADD] = await refused(api, path, "lacking", added)
            answers[REMOVE] = await refused(api, path, "full", {"op": REMOVE, "path": pointer})
        for deed, answer in answers.items():
            if may(field, deed):
                assert not answer, deed
            else:
                top = field.pointer.split("/")[1]
                assert f"spec.{top}" in answer, deed
                assert "Forbidden" in answer, deed


async def test_s9_what_is_not_touched_stays_changeable(cluster: LocalCluster, namespace: str) -> None:
    """A resource with everything in it, and one with nothing."""
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/uploadpostprocessings"
    async with await connect(cluster.kubeconfig) as api:
        for name, spec in (("full", value(SPEC, "")), ("least", {"upload": {"id": "u1"}})):
            await store(api, path, name, spec)
            for pointer, new in (
                ("/spec/sealed", "gBBBB"),
                ("/spec/desiredState", "Suspended"),
                ("/spec/cancelPolicy", "Delete"),
                ("/spec/restart", {"token": "9"}),
                ("/metadata/labels", {"team": "blue"}),
            ):
                assert not await refused(api, path, name, {"op": ADD, "path": pointer, "value": new})
