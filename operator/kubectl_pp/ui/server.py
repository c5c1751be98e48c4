"""The HTTP server of the page: loopback only, read-only, a secret in each path, nothing for other origins.

A client that does not know the token gets the same 404 for each address. A page of
another site cannot read answers (no CORS), cannot reach us under a name of its own (Host), and is
refused by what browsers say of where a request comes from (Sec-Fetch-Site).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pkgutil import get_data
from select import select
from socket import MSG_PEEK, SHUT_RDWR, socket
from threading import BoundedSemaphore, Lock
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from kubectl_pp.errors import MissingError, PluginError
from kubectl_pp.ui.answers import Answers

LOOPBACK = "127.0.0.1"
STREAMS = 16
"""Pages that may be open at once."""
STRANGERS = 64
"""Connections without the token that may be open at once. One more ends the oldest of them."""
REQUEST_SECONDS = 15
LONGEST_PATH = 4096
FILES = {
    "": ("index.html", "text/html"),
    "app.js": ("app.js", "text/javascript"),
    "charts.js": ("charts.js", "text/javascript"),
    "detail.js": ("detail.js", "text/javascript"),
    "dom.js": ("dom.js", "text/javascript"),
    "filters.js": ("filters.js", "text/javascript"),
    "keys.js": ("keys.js", "text/javascript"),
    "overview.js": ("overview.js", "text/javascript"),
    "table.js": ("table.js", "text/javascript"),
    "words.js": ("words.js", "text/javascript"),
    "style.css": ("style.css", "text/css"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def _split(path: str) -> SplitResult | None:
    """What is asked for; None when it cannot be read."""
    try:
        return urlsplit(path)
    except ValueError:
        return None


class Server(ThreadingHTTPServer):
    """Serves one page to one person."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answers: Answers, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.answers = answers
        self.token = secrets.token_urlsafe(24)
        self.streams = BoundedSemaphore(STREAMS)
        self.hosts = frozenset({f"{LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}"})
        self._strangers: dict[object, None] = {}
        """Connections that have not shown the token yet, the oldest first."""
        self._lock = Lock()

    def process_request(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        """Make room first: a client that sends a byte now and then would keep a thread forever."""
        with self._lock:
            self._strangers[request] = None
            oldest = next(iter(self._strangers)) if len(self._strangers) > STRANGERS else None
            self._strangers.pop(oldest, None)
        if isinstance(oldest, socket):
            with suppress(OSError):
                oldest.shutdown(SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket | tuple[bytes, socket]) -> None:
        """End a connection."""
        self.knows(request)
        super().shutdown_request(request)

    def knows(self, request: object) -> None:
        """The connection is that of the page, or is over."""
        with self._lock:
            self._strangers.pop(request, None)

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that disconnects is not an error."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "kubectl-pp", ""
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        """Answer."""
        path, params = self._asked()
        if path is None:
            return
        if path in FILES:
            name, kind = FILES[path]
            content = get_data("kubectl_pp.ui", f"page/{name}")
            self._send(HTTPStatus.OK, content or b"", f"{kind}; charset=utf-8")
        elif path == "live":
            self._stream(params)
        elif path == "upload":
            self._json(lambda: self.server.answers.upload(params))
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815 -- http.server's name

    def _not_allowed(self) -> None:
        self.close_connection = True  # a body may follow, which nobody reads
        self._send(
            HTTPStatus.METHOD_NOT_ALLOWED, b"this page is read-only\n", "text/plain", {"Allow": "GET, HEAD"}
        )

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_CONNECT = do_TRACE = _not_allowed  # noqa: N815

    def _asked(self) -> tuple[str | None, dict[str, str]]:
        """The path behind the token and the parameters; None when it was refused."""
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        if len(self.path) > LONGEST_PATH:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif self.headers.get_all("Host", []) != [self.headers.get("Host")] or (
            self.headers.get("Host", "").lower() not in self.server.hosts
        ):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
        elif (parts := _split(self.path)) is None:
            self._refuse(HTTPStatus.BAD_REQUEST)
        else:
            _, token, *rest = (parts.path + "/").split("/", 2)
            path = unquote("/".join(rest)).rstrip("/")
            known = compare_digest(token.encode(), self.server.token.encode())
            if not known or parts.scheme or parts.netloc or (not path and not parts.path.endswith("/")):
                self._refuse(HTTPStatus.NOT_FOUND)
            elif not self._is_ours(path):
                self._refuse(HTTPStatus.FORBIDDEN)
            else:
                self.server.knows(self.connection)
                return path, dict(parse_qsl(parts.query, keep_blank_values=True))
        return None, {}

    def _is_ours(self, path: str) -> bool:
        """Whether the page itself asks, or a person who opens it. The page alone holds no data."""
        site = self.headers.get("Sec-Fetch-Site", "none")
        opened = not path and self.headers.get("Sec-Fetch-Dest") == "document"
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in self.server.hosts:
            return False
        return site in {"same-origin", "none"} or opened

    def _stream(self, params: dict[str, str]) -> None:
        """Server-sent events until the browser goes away."""
        if not self.server.streams.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self.close_connection = True
        try:
            self._head(HTTPStatus.OK, "text/event-stream; charset=utf-8", {"Connection": "close"})
            if self.command == "HEAD":
                return
            for chunk in self.server.answers.live(params):
                if self._is_gone():
                    return
                self.wfile.write(chunk)
        except OSError:
            return
        finally:
            self.server.streams.release()

    def _is_gone(self) -> bool:
        """Whether the browser has closed the connection: what it has left to say is then nothing."""
        readable, _, _ = select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, MSG_PEEK)

    def _json(self, find: Callable[[], Any]) -> None:
        status = HTTPStatus.OK
        try:
            found = find()
        except PluginError as error:
            status = HTTPStatus.NOT_FOUND if isinstance(error, MissingError) else HTTPStatus.BAD_GATEWAY
            found = self.server.answers.problem(error)
        except Exception as error:  # noqa: BLE001 -- one odd upload must not look like a server that is gone
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            found = self.server.answers.problem(PluginError(f"{type(error).__name__}: {error}"))
        content = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()
        self._send(status, content, "application/json; charset=utf-8")

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(status, f"{status.phrase}\n".encode(), "text/plain; charset=utf-8")

    def _send(
        self, status: HTTPStatus, content: bytes, kind: str, more: dict[str, str] | None = None
    ) -> None:
        try:
            self._head(status, kind, {"Content-Length": str(len(content)), **(more or {})})
            if self.command != "HEAD":
                self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def _head(self, status: HTTPStatus, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- http.server's name
        """Log nothing: each line would contain the token."""
