"""Only the API server may say what has become of a request: answers of anything else are "unavailable"."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from uploadpp.kube.access import Access
from uploadpp.kube.api import Api
from uploadpp.kube.credentials import Credentials
from uploadpp.kube.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    MissingKindError,
    NotFoundError,
    Refusal,
    RefusedError,
    UnavailableError,
)
from uploadpp.kube.responses import (
    CRD_LEAVES,
    LONGEST_RETRY_AFTER_SECONDS,
    NAMESPACE_LEAVES,
    error_of,
    read_answer,
)
from uploadpp.kube.store import Store, stored

RESOURCES = "/apis/uploadpp.io/v1alpha1/namespaces/ocis/uploadpostprocessings"
ONE = f"{RESOURCES}/u1"
META = {"name": "u1", "namespace": "ocis", "uid": "1-2", "resourceVersion": "7"}
UPLOAD = {"kind": "UploadPostprocessing", "metadata": META, "spec": {"upload": {"id": "u1"}}}
LIST = {"kind": "UploadPostprocessingList", "metadata": {"resourceVersion": "9"}, "items": [UPLOAD]}
GONE = {
    "kind": "Status",
    "status": "Failure",
    "reason": "NotFound",
    "message": 'uploadpostprocessings.uploadpp.io "u1" not found',
    "details": {"name": "u1", "group": "uploadpp.io", "kind": "uploadpostprocessings"},
    "code": 404,
}
SUCCESS = {"kind": "Status", "status": "Success", "details": {"name": "u1"}}
OTHER = {**UPLOAD, "metadata": {**META, "name": "u2"}, "spec": {"upload": {"id": "u2"}}}
LOGIN = b"<html><title>Sign in</title></html>"


def changed(value: dict[str, Any], **members: object) -> dict[str, Any]:
    return {**value, **members}


@pytest.mark.parametrize("levels", [100, 900, 1100, 9000])
def test_s2_what_is_nested_without_end_hides_no_other(levels: int) -> None:
    """Whoever may write a status can nest lists as deep as the API server reads: 10,000 levels."""
    deep = b'{"metadata":%s,"status":{"x":%s}}' % (
        orjson.dumps({**META, "name": "deep"}),
        b"[" * levels + b"]" * levels,
    )
    body = orjson.dumps(LIST).replace(b'"items":[', b'"items":[' + deep + b",")
    found = read_answer("GET", RESOURCES, None, 200, body)
    assert [each["metadata"]["name"] for each in found["items"]] == ["deep", "u1"]


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", ONE, UPLOAD),
        ("PATCH", f"{ONE}/status", UPLOAD),
        ("POST", RESOURCES, UPLOAD),
        ("POST", RESOURCES, changed(UPLOAD, metadata={**META, "name": "renamed-by-a-webhook"})),
        ("GET", RESOURCES, LIST),
        ("GET", RESOURCES, changed(LIST, items=[])),
        ("DELETE", ONE, SUCCESS),
        ("DELETE", ONE, UPLOAD),  # it has a finalizer
        ("GET", ONE.replace("u1", "a%2Fb"), changed(UPLOAD, metadata={**META, "name": "a/b"})),
    ],
)
def test_what_the_api_server_answers_is_taken(method: str, path: str, answer: dict[str, Any]) -> None:
    assert read_answer(method, path, UPLOAD, 200, orjson.dumps(answer)) == answer


NOT_OURS: list[tuple[str, bytes]] = [
    ("a login page", LOGIN),
    ("nothing", b""),
    ("an empty object", b"{}"),
    ("half of the answer", orjson.dumps(UPLOAD)[:-9]),
    ("a list", b"[]"),
    ("null", b"null"),
    ("text", b'"OK"'),
    ("protobuf", b"k8s\x00\n\x1f"),
    ("deeper than anything", b"[" * 100_000),
    (
        "another name",
        orjson.dumps(changed(UPLOAD, metadata={**META, "name": "u2"}, spec={"upload": {"id": "u2"}})),
    ),
    ("another namespace", orjson.dumps(changed(UPLOAD, metadata={**META, "namespace": "other"}))),
    ("another kind", orjson.dumps(changed(UPLOAD, kind="Lease"))),
    ("no uid", orjson.dumps(changed(UPLOAD, metadata={**META, "uid": ""}))),
    ("no version", orjson.dumps(changed(UPLOAD, metadata={**META, "resourceVersion": 7}))),
    ("metadata is text", orjson.dumps(changed(UPLOAD, metadata="u1"))),
    ("the list", orjson.dumps(LIST)),
    ("a Status", orjson.dumps(GONE)),
]


@pytest.mark.parametrize("data", [data for _, data in NOT_OURS], ids=[name for name, _ in NOT_OURS])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ONE), ("PATCH", f"{ONE}/status"), ("PATCH", ONE), ("POST", RESOURCES), ("PUT", ONE)],
)
def test_what_others_answer_is_unavailable(method: str, path: str, data: bytes) -> None:
    with pytest.raises(UnavailableError, match="something between") as caught:
        read_answer(method, path, UPLOAD, 200, data)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("DELETE", ONE, {}),
        ("DELETE", ONE, GONE),
        ("GET", RESOURCES, {}),
        ("GET", RESOURCES, UPLOAD),
        ("GET", RESOURCES, changed(LIST, kind="SecretList")),
        ("GET", RESOURCES, changed(LIST, items=None)),  # a list of nothing would forget every upload
        ("GET", RESOURCES, changed(LIST, metadata=None)),
    ],
)
def test_lists_and_removals_are_looked_at_as_well(method: str, path: str, answer: dict[str, Any]) -> None:
    with pytest.raises(UnavailableError):
        read_answer(method, path, None, 200, orjson.dumps(answer))


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with pytest.raises(UnavailableError, match="redirect"):
        read_answer("PATCH", ONE, None, status, orjson.dumps(UPLOAD))


def said(
    status: int, data: bytes | dict[str, Any], path: str = ONE, method: str = "PATCH", wait: str = ""
) -> ApiError:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    return error_of(method, path, status, {"Retry-After": wait}, body)


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 407, 408, 409, 410, 413, 418, 422, 500, 502, 503, 504, 599]
)
@pytest.mark.parametrize("data", [LOGIN, b"", b"{}", b"[]", b'{"message":"not found","code":404}'])
def test_no_code_counts_without_a_status(status: int, data: bytes) -> None:
    error = said(status, data)
    assert type(error) is UnavailableError
    assert error.reason is Refusal.UNREACHABLE
    assert error.answered is (status < 500), "behind a gateway the request may go on"


def test_gone_is_what_the_api_server_says_of_exactly_this_object() -> None:
    assert type(said(404, GONE)) is NotFoundError
    assert type(said(404, GONE, f"{ONE}/status")) is NotFoundError
    for other in (
        changed(GONE, details={"name": "u2", "kind": "uploadpostprocessings"}),
        changed(GONE, details={"name": "u1", "kind": "leases"}),
        changed(GONE, details={"name": "ocis", "kind": "namespaces"}),
        changed(GONE, details=None),
        changed(GONE, reason="BadRequest"),
        changed(GONE, kind="Failure"),
    ):
        assert type(said(404, other)) is UnavailableError
    assert type(said(404, GONE, RESOURCES, "POST")) is UnavailableError


def words(message: str, reason: str = "Forbidden") -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "reason": reason, "message": message}


DENIED = "u1 is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"


@pytest.mark.parametrize(
    ("status", "message", "kind", "reason"),
    [
        (422, DENIED, RefusedError, Refusal.POLICY),
        (403, DENIED, RefusedError, Refusal.POLICY),
        (403, 'admission webhook "x" denied the request: no', RefusedError, Refusal.WEBHOOK),
        # A webhook chooses its code: it must not be taken for something else.
        (404, 'admission webhook "x" denied the request: no', RefusedError, Refusal.WEBHOOK),
        (409, 'admission webhook "x" denied the request: no', RefusedError, Refusal.WEBHOOK),
        (401, 'admission webhook "x" denied the request: no', RefusedError, Refusal.WEBHOOK),
        (429, 'admission webhook "x" denied the request: no', RefusedError, Refusal.WEBHOOK),
        (503, 'admission webhook "x" denied the request: no', UnavailableError, Refusal.WEBHOOK),
        (403, "policy 'x' with binding 'y' denied request: no", RefusedError, Refusal.POLICY),
        (403, "status unknown for quota: q, resources: count/x", RefusedError, Refusal.QUOTA),
        (500, "resource quota evaluation timed out", UnavailableError, Refusal.QUOTA),
        (
            500,
            'failed calling webhook "x": timeout',
            UnavailableError,
            Refusal.WEBHOOK,
        ),
        (403, "u1 is forbidden: exceeded quota: q, requested: count/uploads=1", RefusedError, Refusal.QUOTA),
        (403, 'User "x" cannot create resource "y"', ForbiddenError, Refusal.PERMISSION),
        (401, "Unauthorized", ForbiddenError, Refusal.PERMISSION),
        (413, "Request entity too large: limit is 3145728", RefusedError, Refusal.SIZE),
        (500, "etcdserver: request is too large", RefusedError, Refusal.SIZE),
        (500, "rpc error: trying to send message larger than max", RefusedError, Refusal.SIZE),
        (422, "spec.sealed: Too long", RefusedError, Refusal.SCHEMA),
        (400, "strict decoding error", RefusedError, Refusal.SCHEMA),
        (405, "not allowed", RefusedError, Refusal.OTHER),
        (409, "the object has been modified", ConflictError, Refusal.OTHER),
        (500, "etcdserver: leader changed", UnavailableError, Refusal.UNREACHABLE),
        (503, "apiserver not ready", UnavailableError, Refusal.UNREACHABLE),
    ],
)
def test_the_words_tell_the_reason(status: int, message: str, kind: type[ApiError], reason: Refusal) -> None:
    error = said(status, words(message))
    assert (type(error), error.reason) == (kind, reason)
    assert message in str(error)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (404, b"404 page not found\n", Refusal.UNREACHABLE),
        (404, words('namespaces "uploads" not found', "NotFound"), Refusal.UNREACHABLE),
        (403, words(f"x is forbidden: create not allowed while {CRD_LEAVES}"), Refusal.UNREACHABLE),
        (405, words(f"create not allowed while {CRD_LEAVES}", "MethodNotAllowed"), Refusal.UNREACHABLE),
        (403, words(f"x is forbidden: cannot create in namespace n {NAMESPACE_LEAVES}"), Refusal.PERMISSION),
    ],
)
def test_what_the_api_server_says_of_a_kind_that_is_missing(
    method: str, status: int, answer: dict[str, Any] | bytes, reason: Refusal
) -> None:
    error = said(status, answer, RESOURCES, method)
    assert isinstance(error, MissingKindError)
    assert error.reason is reason


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (403, words(f'admission webhook "x" denied the request: {CRD_LEAVES}')),
        (403, words(f'admission webhook "x" denied the request: {NAMESPACE_LEAVES}')),
        (403, words('User "x" cannot create resource "y"')),
        (404, words('uploadpostprocessings "x" not found', "NotFound")),
        (404, b"<html>404 page not found</html>"),
        (503, b"404 page not found"),
    ],
)
def test_what_others_say_is_not_that_the_kind_is_missing(status: int, answer: dict[str, Any] | bytes) -> None:
    assert not isinstance(said(status, answer, RESOURCES, "POST"), MissingKindError)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        ("1", 1.0),
        ("3", 3.0),
        ("3600", LONGEST_RETRY_AFTER_SECONDS),
        ("9" * 400, LONGEST_RETRY_AFTER_SECONDS),
        ("-5", 1.0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 1.0),
        ("1e9", 1.0),
        ("\u0665", 1.0),
        ("", 1.0),
    ],
)
def test_a_pause_that_is_asked_for_is_capped(status: int, wait: str, seconds: float) -> None:
    error = said(status, words("slow down"), wait=wait)
    assert isinstance(error, UnavailableError)
    assert error.retry_after == seconds


def test_foreign_pages_are_shown_short_and_printable() -> None:
    text = str(said(502, b"<h1>\x1b[31mBad\r\nGateway\x9b</h1>" + b"x" * 10_000))
    assert "Bad Gateway" in text
    assert text.isprintable()
    assert len(text) < 300


# -- over a real connection -------------------------------------------------------------------

Script = list[bytes]


def http(data: bytes | dict[str, Any], status: str = "200 OK", *headers: str) -> bytes:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
async def scripted() -> AsyncIterator[Callable[[Script], Store]]:
    """A store before a server that answers each request with the next of some bytes, then hangs up."""
    answers: Script = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.split(b":")[1]))
        if answers:
            writer.write(answers.pop(0))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Api(Credentials(Access(server=f"http://127.0.0.1:{port}"))) as api:

        def start(script: Script) -> Store:
            answers[:] = script
            return Store(api, "ocis")

        yield start
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [
        http(UPLOAD)[:-20],
        http(LOGIN, "200 OK", "Content-Type: text/html"),
        http(b"", "204 No Content"),
        http(b"", "302 Found", "Location: https://login.example.org/"),
        http(LOGIN, "502 Bad Gateway"),
        http(LOGIN, "407 Proxy Authentication Required"),
        http(b"{}", "409 Conflict"),
        b"",
        b"SSH-2.0-OpenSSH\r\n",
    ],
    ids=["reset in the middle", "page", "empty", "redirect", "502", "407", "409", "hung up", "not HTTP"],
)
async def test_a_write_that_a_proxy_answers_is_unavailable(
    scripted: Callable[[Script], Store], answer: bytes
) -> None:
    store = scripted([answer])
    with pytest.raises(UnavailableError):
        await store.write_status("u1", "7", {})


async def test_gone_needs_a_second_answer(scripted: Callable[[Script], Store]) -> None:
    gone = http(GONE, "404 Not Found")
    with pytest.raises(NotFoundError):
        await scripted([gone, gone]).write_status("u1", "7", {})
    with pytest.raises(UnavailableError, match="can be read"):
        await scripted([gone, http(UPLOAD)]).write_status("u1", "7", {})
    with pytest.raises(UnavailableError):
        await scripted([gone, http(LOGIN, "404 Not Found")]).write_status("u1", "7", {})
    await scripted([gone, gone]).delete("u1", "1-2")
    with pytest.raises(UnavailableError, match="can be read"):
        await scripted([gone, http(UPLOAD)]).delete("u1", "1-2")


async def test_a_renamed_resource_is_known_by_its_new_name(scripted: Callable[[Script], Store]) -> None:
    renamed = changed(UPLOAD, metadata={**META, "name": "tenant-u1"})
    made = await scripted([http(renamed, "201 Created")]).create({**UPLOAD, "metadata": {"name": "u1"}})
    assert made.renamed == "tenant-u1"
    assert (await scripted([http(UPLOAD)]).create({**UPLOAD, "metadata": {"name": "u1"}})) == stored(UPLOAD)


@pytest.mark.parametrize("status", [403, 404, 409, 422, 500])
def test_words_without_end_are_cut(status: int) -> None:
    """They go into the log, into readiness and into Events."""
    assert len(str(said(status, words("no\n" * 1_000_000)))) < 5_000
