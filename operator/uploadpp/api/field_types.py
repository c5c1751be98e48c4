"""The building blocks of the models: bounded types and names.

The API server only looks at the schema made from these; strings and lists without a
bound would let one object fill etcd, and CEL refuses to run over them.
"""

import re
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

INT32 = {"format": "int32"}
INT64 = {"format": "int64"}
YEAR = 31_536_000
MONTH = 2_592_000
MAX_SEALED = 1_250_000
"""Characters. A NATS message has 1 MB by default. Sealed, it grows by a third if it cannot be compressed.

A request to etcd is 1.5 MiB at most, with 256 KiB of annotations and the status beside the sealed part.
"""

Identifier = Annotated[str, Field(max_length=256)]
Message = Annotated[str, Field(max_length=1024)]
MAX_STEP_NAME = 63
STEP_NAME = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
"""Step names end up in shells, terminals, labels and metrics, so a resource accepts only harmless ones."""
_STEP_NAME = re.compile(STEP_NAME.strip("^$"))
_WORD = re.compile(r"[^, \t\r\n]+")
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
OBJECT_NAME = rf"^{_LABEL}(\.{_LABEL})*$"
"""A DNS-1123 subdomain, which Kubernetes requires for the names of nearly all objects."""
DATA_KEY = "^[-._a-zA-Z0-9]+$"
"""The keys that Kubernetes accepts in the data of a Secret."""

RuleName = Annotated[str, Field(min_length=1, max_length=63, pattern=f"^{_LABEL}$")]
"""A DNS-1123 label."""
StepName = Annotated[str, Field(min_length=1, max_length=MAX_STEP_NAME)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=OBJECT_NAME)]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=DATA_KEY)]
_YEAR = "000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3}"
TIME = (
    rf"^({_YEAR})-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}"
    r"(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""The times that the format date-time, CEL and `api.timestamps` all read. The format alone also admits small
letters and the year 0. A resource with one that CEL does not read could be created and never be changed."""
Time = Annotated[AwareDatetime, Field(json_schema_extra={"pattern": TIME})]
Count = Annotated[int, Field(ge=0, le=2**31 - 1, json_schema_extra=INT32)]
Count64 = Annotated[int, Field(ge=0, json_schema_extra=INT64)]
Size = Annotated[int, Field(ge=1, json_schema_extra=INT64)]
Retries = Annotated[int, Field(ge=0, le=1000, json_schema_extra=INT32)]
Seconds = Annotated[int, Field(ge=1, le=YEAR, json_schema_extra=INT32)]
Wait = Annotated[int, Field(ge=0, le=MONTH, json_schema_extra=INT32)]


def is_step_name(name: str) -> bool:
    """Whether the spec of a resource accepts this as the name of a step."""
    return len(name) <= MAX_STEP_NAME and _STEP_NAME.fullmatch(name) is not None


def is_usable_step(name: str) -> bool:
    """Whether the operator may be configured with this as the name of a step."""
    return len(name) <= MAX_STEP_NAME and _WORD.fullmatch(name) is not None


def api_name(python_name: str) -> str:
    """`space_id` → `spaceID`, `max_retries` → `maxRetries`."""
    first, *rest = python_name.split("_")
    return first + "".join("ID" if word == "id" else word.capitalize() for word in rest)


class ApiModel(BaseModel):
    """One object of the resource; its docstring is the object's description."""

    model_config = ConfigDict(alias_generator=api_name, extra="forbid", strict=True)
