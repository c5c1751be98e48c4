"""Resources in states that really occur, written to the real API server without an operator."""

import json
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from e2e.cluster.controlplane import ApiServer
from uploadpp.api.codec import ShownField, to_resource, to_status
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived, Input
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis, Origin, Upload
from uploadpp.testing.builders import CONFIG, FILE

Json = dict[str, Any]

SHOWN = frozenset({ShownField.FILENAME, ShownField.FILESIZE, ShownField.SPACE_ID, ShownField.USER_ID})
MINUTE = 60_000


def at(upload_id: str, *inputs: Input, ago_minutes: float, config: Any = CONFIG) -> Upload:  # noqa: ANN401 -- a Config
    """An upload that arrived some time ago and then met these inputs, a second apart."""
    now = Millis(int(time.time() * 1000 - ago_minutes * MINUTE) // 1000 * 1000)
    arrival = BytesReceived(Origin(url='"https://a"', filesize=str(FILE.filesize)), FILE)
    upload: Upload | None = None
    for second, event in enumerate((arrival, *inputs)):
        upload = decide(upload, upload_id, event, Millis(now + 1000 * second), config).upload
    assert upload is not None
    return upload


class Writer:
    """Creates resources and sets their status."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self._local = threading.local()
        self._opened: list[HTTPSConnection] = []
        self.namespace = namespace
        self.path = f"/apis/uploadpp.io/v1alpha1/namespaces/{namespace}/uploadpostprocessings"

    def put(self, upload: Upload) -> Json:
        """The resource as the operator would have left it."""
        resource = to_resource(upload, namespace=self.namespace, shown=SHOWN, sealed="")
        made = self.request("POST", self.path, resource)
        generation = made["metadata"]["generation"]
        status = to_status(evolve(upload, observed_generation=generation))
        return self.set_status(made["metadata"]["name"], status)

    def put_all(self, uploads: list[Upload]) -> None:
        """Many, a few at a time."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.put, uploads))

    def set_status(self, name: str, status: Json) -> Json:
        """Replace the status."""
        return self.request("PATCH", f"{self.path}/{name}/status", {"status": status})

    def get(self, name: str) -> Json:
        """A resource."""
        return self.request("GET", f"{self.path}/{name}")

    def list(self) -> list[Json]:
        """All resources."""
        items: list[Json] = self.request("GET", self.path)["items"]
        return items

    def request(self, method: str, path: str, body: Json | None = None) -> Json:
        """One request as the administrator."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {self._server.token}", "Content-Type": kind}
        connection = self._connection()
        while True:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer: Json = json.loads(response.read())
            if response.status != HTTPStatus.TOO_MANY_REQUESTS:
                break
            time.sleep(float(response.headers["Retry-After"]))  # just after the CRD came
        assert response.status < 400, answer
        return answer

    def close(self) -> None:
        """Close all connections."""
        for connection in self._opened:
            connection.close()

    def _connection(self) -> HTTPSConnection:
        found: HTTPSConnection | None = getattr(self._local, "connection", None)
        if found is None:
            context = ssl.create_default_context(cafile=str(self._server.ca_file))
            found = HTTPSConnection(urlsplit(self._server.url).netloc, context=context, timeout=30)
            self._local.connection = found
            self._opened.append(found)
        return found
