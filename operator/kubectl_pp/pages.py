"""Reads pages that a Pod serves. Other people may have chosen their content, and the Pod.

Anybody who may write Leases chooses the Pod that is asked, with the permissions of the person who runs the
plugin.
"""

from __future__ import annotations

import re
import time
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from typing import IO, Any, Protocol
from urllib.error import HTTPError
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from kubectl_pp.errors import UnavailableError, UsageError
from kubectl_pp.screen import harmless
from uploadpp.http.heads import BoundedResponse

PORT = 9255
TIMEOUT_SECONDS = 5
SECONDS = 15.0
"""Timeout for a whole page."""
MOST_BYTES = 16 << 20
PART = 64 << 10
_POD = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


class Body(Protocol):
    """A body that is read in parts."""

    def read1(self, n: int) -> bytes:
        """What is there, at most so much; nothing at the end."""
        ...


class _Connection(HTTPConnection):
    response_class = BoundedResponse


class _SecureConnection(HTTPSConnection):
    response_class = BoundedResponse


class _Http(HTTPHandler):
    """Limits the head of a response."""

    def http_open(self, req: Request) -> Any:  # noqa: ANN401 -- the library's
        """Ask."""
        return self.do_open(_Connection, req)


class _Https(HTTPSHandler):
    """The same over TLS."""

    def https_open(self, req: Request) -> Any:  # noqa: ANN401 -- the library's
        """Ask."""
        return self.do_open(_SecureConnection, req)


class _NoRedirects(HTTPRedirectHandler):
    """Does not follow redirects: the library would read their bodies to the end, and go anywhere."""

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:  # noqa: ANN401 -- the library's
        """Treat it as the response."""
        raise HTTPError(req.full_url, code, msg, headers, fp)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def path_of(namespace: str, pod: str, page: str, port: int = PORT) -> str:
    """The path at which the API server proxies a page of a Pod.

    Raises:
        UnavailableError: no Pod can have the name. It would be part of another request.
    """
    if _POD.fullmatch(pod) is None:
        raise UnavailableError(f"{harmless(pod)!r} is not the name of a Pod", "who wrote it into the Lease?")
    return f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/{page}"


def read(body: Body) -> bytes:
    """A page, within bounds.

    Raises:
        UnavailableError: it does not end.
    """
    ends, parts, left = time.monotonic() + SECONDS, list[bytes](), MOST_BYTES
    while part := body.read1(PART):
        parts.append(part)
        left -= len(part)
        if left < 0 or time.monotonic() > ends:
            raise UnavailableError("the response is too large", "is it really the operator that responds?")
    return b"".join(parts)


def fetch(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of an address that a person has given.

    Raises:
        UsageError: it is not an http or https URL.
        UnavailableError: nothing that can be read answers.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--metrics-url {url} is not an http or https URL")
    try:
        with _OPENER.open(Request(url, data), timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 -- checked
            return response.status, read(response)
    except HTTPError as error:
        with error:
            return error.code, _short(error)
    except (OSError, ValueError, HTTPException) as error:
        raise UnavailableError(f"{url} cannot be read: {error}") from error


def _short(error: HTTPError) -> bytes:
    """What an answer says that is not a page.

    Raises:
        UnavailableError: it does not end.
    """
    body: Any = error.fp
    return read(body)


_OPENER = build_opener(_Http, _Https, _NoRedirects)
