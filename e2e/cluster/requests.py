"""Requests to the API server of a local cluster, without a process for each as with kubectl.

As kubectl does, they are sent again when the API server says when to.
"""

import json
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64decode
from pathlib import Path
from typing import Any

_TIMEOUT = 60.0  # as long as kubectl may take
_MOST_RETRIES = 10  # as kubectl


class ApiRequests:
    """HTTP with the token of a kubeconfig that `write_kubeconfig` has written."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ca = b64decode(cluster["certificate-authority-data"]).decode()
        tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cadata=ca))
        self._server: str = cluster["server"]
        self._headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), tls)  # never for loopback

    def get(self, path: str) -> Any:  # noqa: ANN401  # whatever the API says
        """What is there.

        Raises:
            OSError: no connection, or another status (urllib.error.HTTPError).
        """
        return self._send(path, None)

    def create(self, path: str, made: dict[str, Any]) -> Any:  # noqa: ANN401  # same
        """Create an object in a collection.

        Raises:
            OSError: as above.
        """
        return self._send(path, json.dumps(made).encode())

    def _send(self, path: str, body: bytes | None) -> Any:  # noqa: ANN401  # same
        request = urllib.request.Request(self._server + path, body, self._headers)  # noqa: S310 -- it is https
        for _ in range(_MOST_RETRIES):
            try:
                return self._answer(request)
            except urllib.error.HTTPError as error:
                wait = error.headers.get("Retry-After", "")
                if not wait.isdigit():  # else an API server that starts, or has too much to do
                    raise
                error.close()
                time.sleep(int(wait))
        return self._answer(request)

    def _answer(self, request: urllib.request.Request) -> Any:  # noqa: ANN401  # same
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            return json.loads(answer.read())
