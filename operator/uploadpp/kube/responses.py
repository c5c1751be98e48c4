"""What an HTTP response says, and whether it came from the API server.

Between us and the API server there may be proxies and load balancers that answer in its place:
with a login page and 200, with `{}`, with a 404 of their own. Only what has the form of the API
server's answers, about the object that was asked for, counts. Anything else is "unavailable": the
request is tried again, and a conflict that this causes is resolved by reading.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from uploadpp.core.nesting import shallow
from uploadpp.kube.errors import (
    ApiError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    MissingKindError,
    NotFoundError,
    Refusal,
    RefusedError,
    UnavailableError,
)

LONGEST_RETRY_AFTER_SECONDS = 5.0
"""Longest pause that a server may ask for. A pause of an hour would stop all writers."""
DEFAULT_RETRY_AFTER_SECONDS = 1.0
SHOWN = 80
"""Characters of an answer that is not the API server's: enough to recognise a proxy's page."""
NAMESPACED_PARTS = 4
LONGEST_IDENTITY = 256
"""Characters of a uid or resourceVersion. Python does not read a number of thousands of digits."""
MOST_SAID = 4_000
"""Characters of a Status that are read. They go into the log, into readiness and into Events."""

KINDS = {
    "uploadpostprocessings": "UploadPostprocessing",
    "postprocessingpolicies": "PostprocessingPolicy",
    "leases": "Lease",
    "secrets": "Secret",
    "events": "Event",
}
TYPED = {"Lease": ("spec",), "Secret": ("data",)}
"""Parts that are objects or are not there. Resources are not here: a CRD without types takes anything."""
REVIEWS = {"SelfSubjectAccessReview": "allowed", "SelfSubjectReview": "userInfo"}
"""What is asked for without being stored, and the field of its status that answers."""

ADMISSION = (
    ("ValidatingAdmissionPolicy", Refusal.POLICY),
    ("denied the request", Refusal.WEBHOOK),
    ("failed calling webhook", Refusal.WEBHOOK),
    ("denied request", Refusal.POLICY),
    ("exceeded quota", Refusal.QUOTA),
    ("status unknown for quota", Refusal.QUOTA),
    ("quota evaluation timed out", Refusal.QUOTA),
    ("request is too large", Refusal.SIZE),
    ("larger than max", Refusal.SIZE),
    ("Request entity too large", Refusal.SIZE),
)
"""Words of the API server that tell a refusal better than its code, which a webhook may choose."""

NO_SUCH_PATH = "404 page not found"
"""What the API server answers without the CRD, and not as a Status."""
CRD_LEAVES = "custom resource definition is terminating"
NAMESPACE_LEAVES = "because it is being terminated"
_TEXTS = frozenset({str})
_NO_NAMESPACE = re.compile(r'namespaces "[^"]+" not found')

Json = dict[str, Any]


class Target(NamedTuple):
    """What a request is about. Without a name it is a collection."""

    namespace: str
    plural: str
    name: str

    @classmethod
    def of(cls, path: str) -> "Target":
        """Read a path such as `/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/status`."""
        parts = path.split("/")
        if "%" in path:
            parts = [unquote(part) for part in parts]
        try:
            rest = parts[parts.index("namespaces") + 1 :]
        except ValueError:
            return cls("", "", "")
        namespace, plural, name, *_ = [*rest, "", "", ""]
        return cls(namespace, plural, name)

    @property
    def kind(self) -> str:
        """The kind of the object; empty when it is not one that we ask for."""
        return KINDS.get(self.plural, "")


def read_answer(method: str, path: str, body: object, status: int, data: bytes) -> Json:
    """The object that a successful answer holds.

    Args:
        method: of the request.
        path: of the request.
        body: of the request, as it was before it became JSON.
        status: of the answer, below 400.
        data: the answer's body.

    Raises:
        UnavailableError: it is not an answer of the API server about what was asked for.
    """
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise foreign(method, path, status, "is a redirect")
    try:
        answer = _read_json(data)
    except orjson.JSONDecodeError as error:
        raise foreign(method, path, status, f"is not JSON: {_shown(data)!r}") from error
    if not isinstance(answer, dict):
        raise foreign(method, path, status, "is not a JSON object")
    if wrong := _mismatch(method, Target.of(path), body, answer):
        raise foreign(method, path, status, wrong)
    return answer


def _read_json(data: bytes) -> object:
    """What a body says. A status may hold lists in lists by the thousand, which orjson does not read.

    Raises:
        orjson.JSONDecodeError: it is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return orjson.loads(shallow(data))


def foreign(method: str, path: str, status: int, what: str) -> UnavailableError:
    """The error for a response that did not come from the API server."""
    return UnavailableError(
        f"{method} {path}: the answer ({status}) {what}; "
        "something between the operator and the API server sent it",
        answered=True,
    )


def _mismatch(method: str, target: Target, body: object, answer: Json) -> str:  # noqa: PLR0911 -- a line for each
    """Why a response is not about what was asked for; empty if it is."""
    kind, metadata = answer.get("kind"), answer.get("metadata")
    if method == "DELETE" and kind == "Status":
        return "" if answer.get("status") == "Success" else "is a Status without success"
    if not isinstance(metadata, dict) or not isinstance(kind, str):
        return "has no kind or metadata"
    if kind in REVIEWS:
        return "" if not target.plural and _is_verdict(answer) else "is not what was asked for"
    if method == "GET" and not target.name:
        listed = isinstance(answer.get("items"), list) and kind in {f"{target.kind}List", "List"}
        return _wrong_in_list(answer) if listed else "is not the list that was asked for"
    if target.kind and kind != target.kind:
        return f"is not of the kind {target.kind}"
    if wrong := _wrong_in_object(answer):
        return wrong
    if kind in TYPED and not all(isinstance(answer.get(part), dict | None) for part in TYPED[kind]):
        return f"is not a valid {kind}"
    if target.namespace and metadata.get("namespace") != target.namespace:
        return "is about an object of another namespace"
    if method == "POST":
        return "" if _is_made_of(body, answer) else "is about another object"
    return "" if metadata.get("name") == target.name else "is about another object"


def _wrong_in_list(answer: Json) -> str:
    """What in a list cannot be from the API server; empty if nothing.

    One such object makes the list void: were it left out, its upload would count as deleted.
    """
    metadata = answer["metadata"]
    left = metadata.get("remainingItemCount")
    if not isinstance(metadata.get("continue"), str | None) or not isinstance(left, int | None):
        return "is a list without a readable end"
    return next((wrong for item in answer["items"] if (wrong := _wrong_in_object(item))), "")


def _wrong_in_object(answer: object) -> str:
    """What in the metadata cannot be from the API server; empty if nothing.

    The API server keeps to these types whatever somebody writes, also for a CRD that takes anything.
    """
    metadata = answer.get("metadata") if isinstance(answer, dict) else None
    if not isinstance(metadata, dict):
        return "has an object without metadata"
    uid, version, name = metadata.get("uid"), metadata.get("resourceVersion"), metadata.get("name")
    if not (isinstance(uid, str) and isinstance(version, str)):
        return "has no uid or resourceVersion"
    if not (0 < len(uid) <= LONGEST_IDENTITY and 0 < len(version) <= LONGEST_IDENTITY):
        return "has no uid or resourceVersion"
    if not (isinstance(name, str) and name) or not isinstance(metadata.get("generation"), int | None):
        return "has no name, or a generation that is not a number"
    if not _are_texts(metadata.get("labels")) or not _are_texts(metadata.get("annotations")):
        return "has labels or annotations that are not strings"
    return ""


def _are_texts(value: object) -> bool:
    return value is None or (isinstance(value, dict) and _TEXTS.issuperset(map(type, value.values())))


def _is_verdict(answer: Json) -> bool:
    """Whether a review says what it was asked for. It is stored nowhere, so it has no identity."""
    status = answer.get("status")
    verdict = status.get(REVIEWS[answer["kind"]]) if isinstance(status, dict) else None
    return isinstance(verdict, bool | dict)


def _is_made_of(body: object, answer: Json) -> bool:
    """Whether an object is the one to be made; a webhook may have given it another name."""
    if not isinstance(body, dict):
        return True
    upload = body.get("spec", {}).get("upload")
    if isinstance(upload, dict):
        spec = answer.get("spec")
        made = spec.get("upload") if isinstance(spec, dict) else None
        return isinstance(made, dict) and made.get("id") == upload.get("id")
    return bool(answer["metadata"].get("name") == body.get("metadata", {}).get("name"))


def error_of(method: str, path: str, status: int, headers: Mapping[str, str], data: bytes) -> ApiError:
    """The error for a response, in the words of the API server, with a remedy."""
    said = _status_of(data)
    words = " ".join(str(said.get("message", ""))[:MOST_SAID].split()) if said is not None else _shown(data)
    text = f"{method} {path}: {status} {words}{_remedy(status, words)}"
    if said is not None and (refused := _refusal(status, text, words)):
        return refused  # first of all: a webhook chooses its code, also one that says "try again"
    if _is_kind_missing(status, words):
        reason = Refusal.PERMISSION if NAMESPACE_LEAVES in words else Refusal.UNREACHABLE
        return MissingKindError(text, reason=reason)
    # A gateway that answers with 5xx may have handed on what it was sent, and the API server may go on.
    answered = status < HTTPStatus.INTERNAL_SERVER_ERROR
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return UnavailableError(text, _retry_after(headers), answered=answered)
    if said is None:
        text += " (this response is not from the API server)"
        return UnavailableError(text, answered=answered)
    return _plain(method, path, status, text, said)


def _is_kind_missing(status: int, words: str) -> bool:
    """Whether the API server says that the CRD or the namespace is not there, or is being removed."""
    match status:
        case HTTPStatus.NOT_FOUND:
            return words == NO_SUCH_PATH or _NO_NAMESPACE.fullmatch(words) is not None
        case HTTPStatus.FORBIDDEN | HTTPStatus.METHOD_NOT_ALLOWED:
            return CRD_LEAVES in words or NAMESPACE_LEAVES in words
    return False


def _refusal(status: int, text: str, words: str) -> ApiError | None:
    """The error of something that admission, a quota or etcd has refused, whatever the code."""
    for mark, reason in ADMISSION:
        if mark in words:
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR and reason is not Refusal.SIZE:
                return UnavailableError(text, reason=reason)
            return RefusedError(text, reason)
    return None


def _plain(method: str, path: str, status: int, text: str, said: Json) -> ApiError:  # noqa: PLR0911 -- an error for each code
    """The error that a Status of the API server is by its code."""
    match status:
        case HTTPStatus.NOT_FOUND if _names(said, Target.of(path)) and method != "POST":
            return NotFoundError(text)
        case HTTPStatus.NOT_FOUND | HTTPStatus.REQUEST_TIMEOUT:
            return UnavailableError(text)
        case HTTPStatus.GONE:
            return ExpiredError(text)
        case HTTPStatus.CONFLICT:
            return ConflictError(text)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return ForbiddenError(text)
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return RefusedError(text, Refusal.SIZE)
        case HTTPStatus.UNPROCESSABLE_ENTITY | HTTPStatus.BAD_REQUEST:
            return RefusedError(text, Refusal.SCHEMA)
        case _ if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return RefusedError(text)
    return UnavailableError(text)


def _status_of(data: bytes) -> Json | None:
    """The Status of the API server that a body is; None when it is something else."""
    try:
        said = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) and said.get("kind") == "Status" else None


def _names(said: Json, target: Target) -> bool:
    """Whether a Status says of exactly this object that it is not there, or that it cannot be."""
    if "/" in target.name or "%" in target.name:
        return True  # no object has such a name, which the API server says in other words
    details = said.get("details")
    if said.get("reason") != "NotFound" or not isinstance(details, dict):
        return False
    return details.get("name") == target.name and details.get("kind") == target.plural


def _retry_after(headers: Mapping[str, str]) -> float:
    wait = headers.get("Retry-After", "")
    if not (wait.isascii() and wait.isdecimal()):
        return DEFAULT_RETRY_AFTER_SECONDS  # a date, a negative number, or nothing
    return min(float(wait[:6]), LONGEST_RETRY_AFTER_SECONDS)


def _shown(data: bytes) -> str:
    """The beginning of an answer that is not the API server's, on one line and printable."""
    text = " ".join(data[: 4 * SHOWN].decode("utf-8", "replace").split())
    return "".join(char for char in text if char.isprintable())[:SHOWN]


def _remedy(status: int, words: str) -> str:
    """What an administrator can do about an answer, where that is known."""
    if status == HTTPStatus.NOT_FOUND and _NO_NAMESPACE.fullmatch(words):
        return " (create the namespace, or set UPLOADPP_NAMESPACE to another one)"
    if status == HTTPStatus.NOT_FOUND and words == NO_SUCH_PATH:
        return " (the CRD is not installed: kubectl apply -f crds/)"
    if status == HTTPStatus.FORBIDDEN and "cannot" in words:
        return " (the chart's Role grants what the operator needs)"
    if status == HTTPStatus.UNAUTHORIZED:
        return " (the credentials are unknown or have expired)"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return " (a proxy requires credentials; should NO_PROXY include the API server?)"
    return ""
