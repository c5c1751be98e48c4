"""Kubernetes Events: few, for people, best effort.

They go through a bounded queue at a bounded rate; the same words about the same resource
raise a count instead of making a new object. Losing one loses no upload.
"""

import asyncio
import logging
from collections import OrderedDict
from datetime import UTC, datetime
from uuid import uuid4

from uploadpp.core.commands import Notice
from uploadpp.kube.api import MERGE_PATCH, Api, Json
from uploadpp.kube.errors import ApiError
from uploadpp.kube.store import GROUP, VERSION

log = logging.getLogger(__name__)

QUEUE = 1000
PER_SECOND = 20
REMEMBERED = 1000


class EventLog:
    """Posts notices as Events about resources of one namespace."""

    def __init__(self, api: Api, namespace: str, instance: str) -> None:
        self._api = api
        self._namespace = namespace
        self._instance = instance
        self._queue: asyncio.Queue[tuple[str, str, Notice]] = asyncio.Queue(QUEUE)
        self._counts: OrderedDict[tuple[str, Notice], tuple[str, int]] = OrderedDict()
        self.dropped = 0

    def post(self, name: str, uid: str, notice: Notice) -> None:
        """Queue a notice about a resource; drops it when too many wait."""
        try:
            self._queue.put_nowait((name, uid, notice))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Post what is queued, until cancelled."""
        while True:
            name, uid, notice = await self._queue.get()
            try:
                await self._write(name, uid, notice)
            except ApiError as error:
                # Once for all to see, since a missing permission ends every one of them.
                log.log(logging.DEBUG if self.dropped else logging.WARNING, "event not posted: %s", error)
                self.dropped += 1
            await asyncio.sleep(1 / PER_SECOND)

    async def _write(self, name: str, uid: str, notice: Notice) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        path = f"/api/v1/namespaces/{self._namespace}/events"
        key = (uid, notice)
        known = self._counts.get(key)
        if known is not None:
            event, count = known[0], known[1] + 1
            self._counts[key] = (event, count)
            body: Json = {"count": count, "lastTimestamp": now}
            await self._api.request("PATCH", f"{path}/{event}", body, content_type=MERGE_PATCH)
            return
        event = f"{name}.{uuid4().hex[:16]}"
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event, "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": "UploadPostprocessing",
                "name": name,
                "namespace": self._namespace,
                "uid": uid,
            },
            "type": str(notice.type),
            "reason": notice.reason,
            "message": notice.message[:1024],
            "source": {"component": "uploadpp", "host": self._instance},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._api.request("POST", path, body)
        self._counts[key] = (event, 1)
        while len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
