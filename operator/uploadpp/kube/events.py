"""Posts Kubernetes Events: few, for people, best effort.

They go through a bounded queue at a bounded rate; the same words about the same resource
raise a count instead of making a new object. Losing one loses no upload.
"""

import asyncio
import logging
from collections import OrderedDict
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.commands import Notice
from uploadpp.core.model import MAX_MESSAGE
from uploadpp.core.text import clean
from uploadpp.kube.api import MERGE_PATCH, Api, Json
from uploadpp.kube.errors import ApiError, NotFoundError
from uploadpp.kube.paths import api_path

log = logging.getLogger(__name__)

QUEUE = 1000
PER_SECOND = 20
QUIET_SECONDS = 60.0
REMEMBERED = 1000
MAX_NAME = 236
"""Of a resource's name, which may itself be as long as the name of an Event (253)."""


class About(NamedTuple):
    """What kind of object a notice is about."""

    api_version: str
    kind: str


UPLOAD = About(API_VERSION, KIND)
LEASE = About("coordination.k8s.io/v1", "Lease")


class EventLog:
    """Posts notices as Events about resources of one namespace."""

    def __init__(self, api: Api, namespace: str, instance: str) -> None:
        self._api = api
        self._namespace = namespace
        self._path = api_path("api", "v1", "namespaces", namespace, "events")
        self._instance = instance
        self._queue: asyncio.Queue[tuple[str, str, Notice, About]] = asyncio.Queue(QUEUE)
        self._counts: OrderedDict[tuple[str, Notice], tuple[str, int]] = OrderedDict()
        self._quiet_until = float("-inf")
        self.dropped = 0

    def post(self, name: str, uid: str, notice: Notice, about: About = UPLOAD) -> None:
        """Queue a notice about an object; drops it when too many wait."""
        try:
            self._queue.put_nowait((name, uid, notice, about))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Post what is queued, until cancelled."""
        while True:
            name, uid, notice, about = await self._queue.get()
            try:
                await self._write(name, uid, notice, about)
            except ApiError as error:
                self._complain(error)
            except Exception:
                log.exception(
                    "cannot create an Event; this is a bug, please report it", extra={"resource": name}
                )
            await asyncio.sleep(1 / PER_SECOND)

    def _complain(self, error: ApiError) -> None:
        """Warn at most once a minute: without the permission, every Event fails."""
        self.dropped += 1
        now = asyncio.get_running_loop().time()
        level = logging.WARNING if now >= self._quiet_until else logging.DEBUG
        if level == logging.WARNING:
            self._quiet_until = now + QUIET_SECONDS
        log.log(level, "cannot create an Event: %s", error)

    async def _write(self, name: str, uid: str, notice: Notice, about: About = UPLOAD) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        key = (uid, notice)
        known = self._counts.get(key)
        if known is not None:
            event, count = known[0], known[1] + 1
            body: Json = {"count": count, "lastTimestamp": now}
            try:
                await self._api.request("PATCH", self._path + api_path(event), body, content_type=MERGE_PATCH)
            except NotFoundError:
                # The API server removes Events after a time, and people do: this one is to be seen again.
                del self._counts[key]
            else:
                self._counts[key] = (event, count)
                return
        event = f"{name[:MAX_NAME].rstrip('-.')}.{uuid4().hex[:16]}"
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event, "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "name": name,
                "namespace": self._namespace,
                "uid": uid,
            },
            "type": str(notice.type),
            "reason": notice.reason,
            "message": clean(notice.message, MAX_MESSAGE),
            "source": {"component": "uploadpp", "host": self._instance},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._api.request("POST", self._path, body)
        self._counts[key] = (event, 1)
        while len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
