"""Requests to the API server through the proxy, with errors that name the remedy."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, TypeVar
from urllib.parse import urlencode

from kubectl_pp import bodies, fields
from kubectl_pp.bodies import SILENT_SECONDS, closed_on_error, read_json
from kubectl_pp.errors import ConflictError, ExpiredError, MissingError, PluginError, UnavailableError
from kubectl_pp.pages import read as bounded
from kubectl_pp.proxy import Proxy
from uploadpp.http.heads import BoundedResponse

Json = dict[str, Any]
T = TypeVar("T")

JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""The media type for an object's metadata alone."""
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
MERGE_PATCH = "application/merge-patch+json"
PAGE = 500
MAX_PAUSE_SECONDS = 5
BUSY_TRIES = 8
LIST_TRIES = 3
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_PLAIN_ERRORS: dict[int, type[PluginError]] = {
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.GONE: ExpiredError,
    HTTPStatus.BAD_REQUEST: PluginError,
    HTTPStatus.UNPROCESSABLE_ENTITY: PluginError,
}


class _UnixConnection(HTTPConnection):
    """HTTP over the proxy's socket."""

    response_class = BoundedResponse

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """One cluster. May be used by several threads; each gets a connection of its own."""

    def __init__(self, proxy: Proxy, timeout: float | None) -> None:
        self._proxy = proxy
        self._timeout = timeout
        self._socket = ""
        self._lock = threading.Lock()
        self._local = threading.local()
        self._lacks_fields = False
        self.paged = True
        """Whether lists come in pages. One that goes out of date again and again is read at once."""

    def get(self, path: str, params: dict[str, str] | None = None, accept: str = JSON) -> Json:
        """One object or list.

        Raises:
            PluginError: see `_error`.
        """
        return self._request("GET", path, params, accept=accept)

    def select(self, path: str, params: dict[str, str], accept: str = JSON) -> Json:
        """A list, or a page of one, by a field selector, which an older CRD may not know.

        Raises:
            PluginError: see `_error`.
        """
        if not self._lacks_fields:
            try:
                return self.get(path, params, accept)
            except PluginError as error:
                if not fields.is_lacking(error):
                    raise
                self._lacks_fields = True
        rest, wanted = fields.split(params)
        return fields.kept(self.get(path, rest, accept), wanted)

    def items(self, path: str, params: dict[str, str]) -> list[Json]:
        """All objects of a list, and again all when it goes out of date between two pages.

        Raises:
            PluginError: see `_error`.
        """
        return self.retried(
            lambda: [each for page in self.pages(path, params) for each in page.get("items", [])]
        )

    def retried(self, attempt: Callable[[], T]) -> T:
        """The result of an attempt that reads lists; begun anew when one goes out of date between two pages.

        The last attempt reads each list at once: that cannot go out of date.
        """
        for _ in range(LIST_TRIES - 1):
            try:
                return attempt()
            except ExpiredError:
                continue
        self.paged = False
        try:
            return attempt()
        finally:
            self.paged = True

    def text(self, path: str) -> str:
        """A response that is not JSON, such as metrics."""
        return self._send("GET", path, None, None, {}, bounded).decode(errors="replace")

    def probe(self, path: str, data: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of one request, whatever the status is: it says what we want to know."""
        method, headers = ("GET", {}) if data is None else ("POST", {"Content-Type": JSON})
        response, content = self._once(method, path, data, headers, bounded)
        return response.status, content

    def post(self, path: str, body: Json) -> Json:
        """Create an object."""
        return self._request("POST", path, None, body)

    def delete(self, path: str, uid: str, version: str, *, dry_run: bool = False) -> None:
        """Delete an object, if it is still as it was.

        Raises:
            ConflictError: it is not.
        """
        body: Json = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": version},
        }
        self._request("DELETE", path, None, body | ({"dryRun": ["All"]} if dry_run else {}))

    def patch(self, path: str, body: Json, *, dry_run: bool = False) -> Json:
        """Change an object by a merge patch."""
        params = {"fieldManager": "kubectl-pp"} | ({"dryRun": "All"} if dry_run else {})
        return self._request("PATCH", path, params, body)

    def pages(
        self, path: str, params: dict[str, str], accept: str = JSON, limit: int = PAGE
    ) -> Iterator[Json]:
        """A list in pages of so many objects.

        Raises:
            ExpiredError: the list went out of date between two pages.
        """
        token = ""
        while True:
            size = {"limit": str(limit)} if self.paged else {}
            page = self.select(path, {**params, **size, **({"continue": token} if token else {})}, accept)
            yield page
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return

    def watch(self, path: str, params: dict[str, str]) -> Iterator[Json]:
        """The events of a watch, until the server ends it.

        Raises:
            ExpiredError: the version to watch from is too old.
        """
        connection = _UnixConnection(self.socket(), SILENT_SECONDS)
        wanted: list[fields.Condition] = []
        if self._lacks_fields:
            params, wanted = fields.split(params)
        try:
            query = urlencode({**params, "watch": "1", "allowWatchBookmarks": "true"})
            connection.request("GET", f"{path}?{query}", headers={"Accept": JSON})
            with closed_on_error(connection.getresponse()) as response:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    error = _error("GET", path, response, self._whole(response))
                    self._lacks_fields = self._lacks_fields or fields.is_lacking(error)
                    raise error
                for line in bodies.lines(response):
                    event = _object(line)
                    if event["type"] == "ERROR":
                        raise ExpiredError(event["object"].get("message", "the watch has ended"))
                    if event["type"] != "BOOKMARK" and not all(
                        each.holds(event["object"]) for each in wanted
                    ):
                        event["type"] = "DELETED"  # as a server says of what is not selected any more
                    yield event
        except socket.timeout as error:
            raise ExpiredError(f"no data for {SILENT_SECONDS:g} s") from error
        except (OSError, HTTPException) as error:
            raise UnavailableError(f"the watch was interrupted: {error}") from error
        finally:
            connection.close()

    def socket(self) -> str:
        """The proxy's socket, once it listens."""
        with self._lock:
            if not self._socket:
                self._socket = self._proxy.socket()
        return self._socket

    @property
    def _patience(self) -> float:
        """Seconds for the next byte."""
        return SILENT_SECONDS if self._timeout is None else self._timeout

    def _whole(self, response: HTTPResponse) -> bytes:
        return bodies.whole(response, self._timeout)

    def _request(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None,
        body: Json | None = None,
        *,
        accept: str = JSON,
    ) -> Json:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = MERGE_PATCH if method == "PATCH" else JSON
        return _object(self._send(method, path, params, body, headers))

    def _send(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None,
        body: Json | None,
        headers: dict[str, str],
        read: Callable[[HTTPResponse], bytes] | None = None,
    ) -> bytes:
        target = f"{path}?{urlencode(params)}" if params else path
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(BUSY_TRIES):
            response, content = self._once(method, target, data, headers, read or self._whole)
            if response.status < HTTPStatus.BAD_REQUEST:
                return content
            if response.status not in BUSY or attempt == BUSY_TRIES - 1:
                raise _error(method, path, response, content)
            time.sleep(pause(response.headers.get("Retry-After"), attempt))
        raise AssertionError

    def _once(
        self,
        method: str,
        target: str,
        data: bytes | None,
        headers: dict[str, str],
        read: Callable[[HTTPResponse], bytes],
    ) -> tuple[HTTPResponse, bytes]:
        """One request; a connection that went stale is made anew once, all our requests may be repeated."""
        for fresh in (False, True):
            connection: _UnixConnection | None = getattr(self._local, "connection", None)
            if connection is None or fresh:
                connection = self._local.connection = _UnixConnection(self.socket(), self._patience)
            try:
                connection.request(method, target, data, headers)
                with closed_on_error(connection.getresponse()) as response:
                    return response, read(response)
            except PluginError:
                self._drop(connection)  # what is left of the answer is not read
                raise
            except socket.timeout as error:  # before 3.10 that is not a TimeoutError
                self._drop(connection)
                raise UnavailableError(
                    f"no answer from the API server within {self._patience:g} s", "see --request-timeout"
                ) from error
            except (OSError, HTTPException) as error:
                self._drop(connection)
                if fresh:
                    raise UnavailableError(f"kubectl proxy does not respond: {error}") from error
        raise AssertionError

    def _drop(self, connection: _UnixConnection) -> None:
        connection.close()
        self._local.connection = None


_MARKS = frozenset({"metadata", "object", "gitVersion", "resources"})
"""One of these is in each answer: an object, an event of a watch, /version, a list of resources."""


def _object(content: bytes) -> Json:
    """What the API server answers with.

    Raises:
        UnavailableError: it is not from the API server, such as the login page of a proxy.
    """
    try:
        found = read_json(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not _MARKS & found.keys():
        raise UnavailableError(
            "the response does not come from an API server", "is a proxy in between? check --context"
        )
    return found


_NO_KUBECONFIG = " 127.0.0.1:8080: "
"""In what is said about the address that kubectl asks if nobody names another one."""


def _error(method: str, path: str, response: HTTPResponse, content: bytes) -> PluginError:
    """An error of the API server (JSON) or kubectl (plain text), with a remedy."""
    try:
        status = json.loads(content)
        text, reason = str(status.get("message", "")), str(status.get("reason", ""))
    except (ValueError, AttributeError, RecursionError):
        text, reason = content.decode(errors="replace").strip(), ""
    if response.status in _PLAIN_ERRORS:
        return _PLAIN_ERRORS[response.status](text)
    if response.status == HTTPStatus.NOT_FOUND:
        ours = path.startswith("/apis/uploadpp.io")
        missing = ours and (reason != "NotFound" or not _names_object(path))
        return _no_crd() if missing else MissingError(text or f"{path} is not there")
    if response.status == HTTPStatus.UNAUTHORIZED:
        text = f"not authenticated: {text}"
        return UnavailableError(text, "log in again, or check `kubectl auth whoami`")
    if response.status == HTTPStatus.FORBIDDEN and reason:
        return UnavailableError(
            text, f"ask an administrator for permission to {_verb(method, path)}, see `kubectl pp doctor`"
        )
    if not reason and _NO_KUBECONFIG in text:
        return UnavailableError(
            f"cannot reach the API server: {text}",
            "is there a kubeconfig? without one kubectl asks this address; set KUBECONFIG or --kubeconfig",
        )
    return UnavailableError(
        f"cannot reach the API server: {text}" if not reason else text,
        "check the cluster and --context, or `kubectl cluster-info`" if not reason else "try again",
    )


def _verb(method: str, path: str) -> str:
    words = {"GET": "get" if _names_object(path) else "list", "POST": "create"}
    verb = words.get(method, method.lower())
    return f"{verb} {path.rstrip('/').split('/')[-2 if _names_object(path) else -1]}"


def _names_object(path: str) -> bool:
    """Whether the path is one of a namespaced object, not of a collection."""
    parts = path.strip("/").split("/")
    return "namespaces" in parts and len(parts) - parts.index("namespaces") > 3  # noqa: PLR2004


def _no_crd() -> UnavailableError:
    return UnavailableError(
        "the CRD uploadpostprocessings.uploadpp.io is not installed",
        "install the operator with its Helm chart, or the CRD alone: kubectl apply --server-side -f crds/",
    )


def pause(retry_after: str | None, attempt: int) -> float:
    """Seconds before the next attempt: what the server asks for, limited to what a person would wait."""
    asked = retry_after or ""
    if asked.isascii() and asked.isdecimal():
        return float(min(int(asked[:9]), MAX_PAUSE_SECONDS))
    return float(0.1 * 2**attempt)
