"""Which of several resources is that of an upload, and those that are not."""

from collections.abc import Mapping
from typing import Any

from uploadpp.api.decode import is_of_another
from uploadpp.api.field_reader import FieldReader
from uploadpp.api.timestamps import parse_time
from uploadpp.core.bounds import LAST_MOMENT
from uploadpp.core.naming import LABELS, VOID_ANNOTATION, resource_name


def rank(obj: Mapping[str, Any], upload_id: str) -> tuple[bool, bool, int]:
    """How well a resource is entitled to drive an upload; the greater the better.

    The resource with the name of the id wins: the operator has made it. Then one with a status wins, then
    the older.
    """
    meta = obj["metadata"]
    try:
        created = parse_time(meta.get("creationTimestamp") or "")
    except ValueError:
        created = LAST_MOMENT
    return meta["name"] == resource_name(upload_id), bool(obj.get("status")), -created


def why_void(obj: Mapping[str, Any]) -> str:
    """Why the operator has left a resource alone for good; empty when it has not.

    The resource with the name of its upload is none once the operator has made it, or written a status: the
    upload goes on there, whoever annotates it.
    """
    root = FieldReader(obj, "")
    meta = root.child("metadata")
    annotations = meta.child("annotations")
    if VOID_ANNOTATION not in annotations:
        return ""
    upload_id = root.child("spec").child("upload").text("id")
    goes_on = meta.text("name") == resource_name(upload_id) and (
        bool(root.child("status")) or bool(root.child("spec").text("sealed")) or is_made_by_us(obj)
    )
    return "" if goes_on else annotations.text(VOID_ANNOTATION)


def is_made_by_us(obj: Mapping[str, Any]) -> bool:
    """Whether a resource has the labels of those that the operator creates."""
    labels = obj["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in LABELS.items())


def is_over(obj: Mapping[str, Any]) -> bool:
    """Whether an upload has ended by this resource, as its status says."""
    status = obj.get("status") or {}
    return "conditions" in status and "completionTime" in status


def may_have_begun(obj: Mapping[str, Any]) -> bool:
    """Whether the operator may have begun an upload by this resource.

    It has written a status of it, or made it. What a person has made without a status has not begun.
    """
    if "conditions" in (obj.get("status") or {}):
        return not is_of_another(obj)
    return bool((obj.get("spec") or {}).get("sealed")) and is_made_by_us(obj)
