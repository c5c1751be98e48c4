"""Converts an upload to its resource and back; what the rest of the operator imports."""

from uploadpp.api.decode import control_of, from_resource, shown_unserved
from uploadpp.api.encode import ALL_SHOWN, ShownField, to_resource, to_spec, to_status
from uploadpp.api.field_reader import InvalidResourceError

__all__ = [
    "ALL_SHOWN",
    "InvalidResourceError",
    "ShownField",
    "control_of",
    "from_resource",
    "shown_unserved",
    "to_resource",
    "to_spec",
    "to_status",
]
