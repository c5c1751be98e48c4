"""A plain GET to a server on this machine."""

import ssl
import urllib.request
from pathlib import Path

_TIMEOUT = 5.0


def get(url: str, *, token: str | None = None, ca_file: Path | None = None, timeout: float = _TIMEOUT) -> str:
    """The body of a 2xx answer.

    Raises:
        OSError: no connection, or another status (urllib.error.HTTPError).
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"no web address: {url}")
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]  # never for loopback
    if ca_file is not None:
        context = ssl.create_default_context(cafile=str(ca_file))
        handlers.append(urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    if token is not None:
        opener.addheaders = [("Authorization", f"Bearer {token}")]
    with opener.open(url, timeout=timeout) as answer:
        content: bytes = answer.read()
        return content.decode()
