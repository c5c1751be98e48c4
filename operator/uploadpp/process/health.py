"""/healthz, /readyz, /metrics and what policies would do (port 9255, as the legacy service).

Healthy means that the process works on what it should; ready means that it owns its shard
and reads the log, or stands by to take over. Unlike those of the legacy service, the probes check.

Any Pod that reaches the port may send what it likes: `process/connections.py` bounds what that costs.
"""

import logging
import re
from collections.abc import Callable
from hmac import compare_digest
from http import HTTPStatus
from time import monotonic
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl

from uploadpp.core.text import clean
from uploadpp.process.connections import Connections

log = logging.getLogger(__name__)

TEST = b"/policies/test"
Question = tuple[dict[str, str], bytes]
"""What is asked about policies: the parameters, and the policies to ask; empty for those of the cluster."""
AskPolicies = Callable[[Question], tuple[HTTPStatus, bytes]]
Check = Callable[[], str]
"""Returns what is wrong; empty if nothing is."""

METRICS_SHARE = 0.2
"""Share of the loop's time that scrapes may take. Until then, the same text is served again."""
TESTS_SHARE = 0.1
"""Share of the loop's time that questions about policies may take. Others are told to come back."""
MAX_QUESTION_BYTES = 128 * 1024
MAX_PARAMETERS = 16
MAX_PROBLEM = 4096
TEXT = "text/plain; charset=utf-8"


class Metrics(Protocol):
    """What /metrics serves."""

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        ...


class Answer(NamedTuple):
    """A response."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT
    more: str = ""
    """Further lines of its head."""


class BadRequestError(Exception):
    """A request that is refused; the response says why."""

    def __init__(self, status: HTTPStatus, why: str, more: str = "") -> None:
        super().__init__(why)
        self.answer = Answer(status, f"{why}\n".encode(), more=more)


class Request(NamedTuple):
    """What is looked at of a request."""

    method: bytes
    path: bytes
    authorization: list[bytes]
    query: bytes = b""
    length: bytes = b""


def parse_request(head: bytes) -> Request:
    """The head of a request, without its empty line.

    Raises:
        BadRequestError: it is not one.
    """
    first, *lines = head.split(b"\r\n")
    match first.split(b" "):
        case [method, target, version] if version.startswith(b"HTTP/1."):
            path, _, query = target.partition(b"?")
            if path.lower().startswith((b"http://", b"https://")):  # as proxies are asked
                path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        case _:
            raise BadRequestError(HTTPStatus.BAD_REQUEST, "not an HTTP/1.1 request")
    if method not in ({b"GET", b"HEAD", b"POST"} if path == TEST else {b"GET", b"HEAD"}):
        raise BadRequestError(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", "Allow: GET, HEAD\r\n")
    headers = [line.partition(b":") for line in lines]
    given = [value.strip() for name, _, value in headers if name.lower() == b"authorization"]
    length = next((value.strip() for name, _, value in headers if name.lower() == b"content-length"), b"")
    return Request(method, path, given, query, length)


def body_bytes(head: bytes) -> int:
    """The length of the body that is read, by the head of a request; 0 for one that is refused."""
    try:
        request = parse_request(head)
    except BadRequestError:
        return 0
    return _length(request) if request.method == b"POST" else 0


def _length(request: Request) -> int:
    """The length of a body; 0 when there is none, or more than is read."""
    digits = request.length
    length = int(digits) if digits.isdigit() and len(digits) <= len(str(MAX_QUESTION_BYTES)) else 0
    return length if length <= MAX_QUESTION_BYTES else 0


class Details(NamedTuple):
    """What only the operator itself can say."""

    report: Callable[[], list[str]] = list
    """What readiness looks at, a line each."""
    ask_policies: AskPolicies | None = None
    """What policies would do; None while they are off."""


class HealthServer:
    """A small HTTP server for probes and scrapes."""

    def __init__(
        self,
        address: str,
        token: str,
        metrics: Metrics,
        healthy: Check,
        ready: Check,
        details: Details | None = None,
    ) -> None:
        self._connections = Connections(address, self.respond, body_bytes)
        self._details = details or Details()
        self._tests_after = 0.0
        self._token = token.strip().encode("utf-8", "surrogateescape")
        self._text = b""
        self._text_until = 0.0
        self._metrics = metrics
        self._checks = {b"/healthz": healthy, b"/readyz": ready}

    @property
    def port(self) -> int:
        """The port it listens on, once it does."""
        return self._connections.port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be used.
        """
        self._connections.start()

    async def stop(self) -> None:
        """Stop listening."""
        self._connections.stop()

    def respond(self, head: bytes, body: bytes = b"") -> bytes:
        """The answer to a request."""
        method = b""
        try:
            if not head:
                raise BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long")  # noqa: TRY301
            request = parse_request(head)
            method = request.method
            answer = self._answer(request, body)
        except BadRequestError as error:
            answer = error.answer
        except Exception:
            log.exception("cannot answer a probe or scrape; this is a bug, please report it")
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed; the log says why\n")
        lines = (
            f"HTTP/1.1 {answer.status} {answer.status.phrase}\r\nContent-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n{answer.more}\r\n"
        )
        return lines.encode() + (b"" if method == b"HEAD" else answer.body)

    def _answer(self, request: Request, body: bytes) -> Answer:
        if (check := self._checks.get(request.path)) is not None:
            problem = check()
            text = clean(problem, MAX_PROBLEM) or "OK"
            if request.path == b"/readyz" and b"verbose" in re.split(rb"[=&]", request.query):
                lines = [*self._details.report(), f"readyz check {'failed' if problem else 'passed'}"]
                text = "\n".join(clean(line, MAX_PROBLEM) for line in lines)
            status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
            return Answer(status, f"{text}\n".encode())
        if request.path == TEST:
            return self._test(request, body)
        if request.path != b"/metrics":
            return Answer(HTTPStatus.NOT_FOUND, b"there are /healthz, /readyz and /metrics\n")
        if self._token and not self._may_read(request):
            more = "WWW-Authenticate: Bearer\r\n"
            return Answer(HTTPStatus.UNAUTHORIZED, b"a bearer token is needed\n", more=more)
        return Answer(HTTPStatus.OK, self._metrics_text(), "text/plain; version=0.0.4")

    def _test(self, request: Request, body: bytes) -> Answer:
        """What policies would do with an upload."""
        if self._details.ask_policies is None:
            return Answer(HTTPStatus.NOT_FOUND, b"policies are off: set UPLOADPP_POLICIES=enabled\n")
        if request.method == b"POST" and not body:
            why = f"a body of at most {MAX_QUESTION_BYTES} bytes is needed\n"
            return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why.encode())
        began = monotonic()
        if began < self._tests_after:
            return Answer(
                HTTPStatus.TOO_MANY_REQUESTS, b"too many questions; ask again\n", more="Retry-After: 1\r\n"
            )
        try:
            query = request.query.decode("ascii", "replace")
            given = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS))
        except ValueError:
            return Answer(HTTPStatus.BAD_REQUEST, b"too many parameters\n")
        status, text = self._details.ask_policies((given, body))
        ended = monotonic()
        self._tests_after = ended + (ended - began) / TESTS_SHARE
        return Answer(status, text, "application/json" if status == HTTPStatus.OK else TEXT)

    def _metrics_text(self) -> bytes:
        """The metrics; made anew only when that takes a small part of the loop's time."""
        began = monotonic()
        if began >= self._text_until:
            self._text = self._metrics.text()
            ended = monotonic()
            self._text_until = ended + (ended - began) / METRICS_SHARE
        return self._text

    def _may_read(self, request: Request) -> bool:
        """Whether the request has the token, compared in constant time."""
        given = request.authorization[0] if len(request.authorization) == 1 else b""
        scheme, _, token = given.partition(b" ")
        return compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"
