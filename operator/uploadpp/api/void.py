"""Resources that are not those of their uploads, because other ones are."""

from collections.abc import Mapping
from typing import Any

from uploadpp.api.field_reader import FieldReader
from uploadpp.core.naming import VOID_ANNOTATION, resource_name


def why_void(obj: Mapping[str, Any]) -> str:
    """Why the operator has left a resource alone for good; empty when it has not.

    The resource with the name of its upload is never one: the upload goes on there, whoever annotates it.
    """
    root = FieldReader(obj, "")
    meta = root.child("metadata")
    annotations = meta.child("annotations")
    if VOID_ANNOTATION not in annotations:
        return ""
    upload_id = root.child("spec").child("upload").text("id")
    return annotations.text(VOID_ANNOTATION) if meta.text("name") != resource_name(upload_id) else ""
