"""Restores the label by which a resource belongs to a shard (`core.sharding.BUCKET_LABEL`).

With another label the owner of its upload is not told of a resource any more, and the owner of another shard
is. Any owner that sees such a resource restores it.
"""

import asyncio
import logging
from collections import OrderedDict

from uploadpp.core.sharding import BUCKET_LABEL, bucket_label
from uploadpp.kube.errors import ApiError
from uploadpp.kube.store import Stored, stored
from uploadpp.pipeline.faults import Faults
from uploadpp.pipeline.ports import Json, Resources
from uploadpp.pipeline.uploads import Uploads

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.05
LABEL_SECONDS = 30.0
"""A label is restored at most this often."""
REMEMBERED = 10_000


class BucketLabels:
    """The labels of the resources that one shard meets."""

    def __init__(self, uploads: Uploads, faults: Faults, resources: Resources) -> None:
        self._uploads = uploads
        self._faults = faults
        self._resources = resources
        self._wrong: OrderedDict[str, tuple[str, Stored, str]] = OrderedDict()
        self._next_at: OrderedDict[str, float] = OrderedDict()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._wrong)

    def check(self, resource: Json, upload_id: str) -> None:
        """Restore the label of a resource, if it is not that of its upload."""
        label = (resource["metadata"].get("labels") or {}).get(BUCKET_LABEL)
        if label is None or label == bucket_label(upload_id) or len(self._wrong) >= REMEMBERED:
            return
        known = stored(resource)
        self._wrong[known.uid] = resource["metadata"]["name"], known, upload_id
        self._wake.set()

    async def run(self) -> None:
        """Restore labels, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            now = asyncio.get_running_loop().time()
            while self._wrong:
                uid, (name, known, upload_id) = self._wrong.popitem(last=False)
                if now < self._next_at.get(uid, 0.0):
                    continue  # not a fight; the next listing finds it again
                self._next_at[uid] = now + LABEL_SECONDS
                if len(self._next_at) > REMEMBERED:
                    self._next_at.popitem(last=False)
                await self._put_back(name, known, upload_id)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _put_back(self, name: str, known: Stored, upload_id: str) -> None:
        try:
            written = await self._resources.write_bucket(name, known.version, bucket_label(upload_id))
        except ApiError as error:
            log.warning("cannot restore the label of a resource: %s", error)
            return
        except Exception as error:  # noqa: BLE001 -- logged there
            self._faults.resource_fault(name, known.uid, error, upload_id)
            return
        if written.altered:
            why = f"{name}: a webhook changes {written.altered}; exempt this kind of resource from it"
            log.warning("cannot restore the label of a resource: %s", why, extra={"upload": upload_id})
            return
        log.warning("restored the label of a resource", extra={"upload": upload_id})
        tracked = self._uploads.by_id(upload_id)
        if tracked is not None and tracked.stored is not None and tracked.stored.uid == known.uid:
            tracked.stored = written
