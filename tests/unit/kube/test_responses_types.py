"""S8: a proxy may answer with any field of another type. Each is "unavailable", and none ends an ownership.

An error of another kind would count as an owner that ended at a message, and after three of them the
message would be set aside.
"""

from copy import deepcopy
from typing import Any

import orjson
import pytest

from uploadpp.kube.errors import UnavailableError
from uploadpp.kube.leasenotes import went_back
from uploadpp.kube.responses import read_answer
from uploadpp.kube.store import _part, stored, version_of

LEASES = "/apis/coordination.k8s.io/v1/namespaces/ocis/leases"
RESOURCES = "/apis/uploadpp.io/v1alpha1/namespaces/ocis/uploadpostprocessings"
SECRETS = "/api/v1/namespaces/ocis/secrets"
META = {
    "name": "one",
    "namespace": "ocis",
    "uid": "1-2",
    "resourceVersion": "7",
    "generation": 1,
    "labels": {"a": "b"},
    "annotations": {"uploadpp.io/position": "x"},
    "managedFields": [{"manager": "x" * 100_000}],
}
NUMBER_OF_MANY_DIGITS = "9" * 5000
ODD: list[Any] = [7, -1.5, True, "", NUMBER_OF_MANY_DIGITS, [], ["x"], {}, {"x": 1}, {"x": None}]


def objects() -> dict[str, dict[str, Any]]:
    return {
        f"{LEASES}/one": {"kind": "Lease", "metadata": META, "spec": {"holderIdentity": "a"}},
        f"{SECRETS}/one": {"kind": "Secret", "metadata": META, "data": {"url": "eA=="}},
        f"{RESOURCES}/one": {"kind": "UploadPostprocessing", "metadata": META, "spec": {}, "status": {}},
        RESOURCES: {
            "kind": "UploadPostprocessingList",
            "metadata": {"resourceVersion": "9", "continue": "", "remainingItemCount": 1},
            "items": [{"metadata": META, "spec": {}}],
        },
    }


def use(path: str, answer: dict[str, Any]) -> None:
    """What the callers of each path read of an answer."""
    if path == RESOURCES:
        int(answer["metadata"].get("remainingItemCount", 0) or 0)
        assert isinstance(answer["metadata"].get("continue") or "", str)
    for each in answer.get("items", [answer]):
        assert version_of(stored(each)) >= 0
        assert each["metadata"]["name"].encode()
        for texts in (each["metadata"].get("labels"), each["metadata"].get("annotations")):
            for text in (texts or {}).values():
                text.encode()
    if path.startswith(LEASES):
        {**(answer.get("spec") or {})}
        went_back(answer, answer)
    if path.startswith(SECRETS):
        (answer.get("data") or {}).get("url")
    _part(answer, "status").get("x")


def places(value: object, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for name, each in inner for place in places(each, (*here, name)))]


@pytest.mark.parametrize("path", list(objects()))
def test_s8_a_field_of_any_type_is_an_answer_or_unavailable(path: str) -> None:
    whole, refused = objects()[path], 0
    use(path, read_answer("GET", path, None, 200, orjson.dumps(whole)))
    for place in places(whole):
        for odd in [*ODD, None]:
            changed = {"": deepcopy(whole)}
            inner: Any = changed
            for name in ("", *place)[:-1]:
                inner = inner[name]
            inner[("", *place)[-1]] = odd
            data = orjson.dumps(changed[""])
            try:
                answer = read_answer("GET", path, None, 200, data)
            except UnavailableError:
                refused += 1
            else:
                use(path, answer)
    assert refused > 50


def test_s8_an_object_without_identity_makes_the_list_void() -> None:
    """Were it left out, its upload would count as deleted."""
    whole = objects()[RESOURCES]
    whole["items"] += [{"metadata": {"name": "two"}}]
    with pytest.raises(UnavailableError, match="no uid"):
        read_answer("GET", RESOURCES, None, 200, orjson.dumps(whole))
