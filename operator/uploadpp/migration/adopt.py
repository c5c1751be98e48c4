"""`uploadpp adopt`: create resources for the uploads that the legacy service has in its bucket.

    read bucket and log → decide (pure) → publish what is missing → create → status → mark the entry

If it is interrupted, running it again continues: the log shows what is published, the resource what is
created, and the mark in the entry what is done (docs/adr/0045).
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from uploadpp.api.codec import to_resource, to_status
from uploadpp.api.field_reader import FieldReader
from uploadpp.api.timestamps import format_time
from uploadpp.core.adoption import Adopted, Ground, Left, Record, Refusal, adopt, adopt_unrecorded
from uploadpp.core.evolve import evolve
from uploadpp.core.history import Said
from uploadpp.core.model import Millis, Upload
from uploadpp.core.naming import ADOPTED_ANNOTATION, resource_name
from uploadpp.core.plan_text import plan_to_seal
from uploadpp.kube.api import Json
from uploadpp.kube.errors import ConflictError, RefusedError
from uploadpp.kube.sealing import TooLargeError
from uploadpp.kube.store import SEALED, Stored, altered_in, stored
from uploadpp.migration.report import Report
from uploadpp.migration.site import (
    AT_ONCE,
    Options,
    Site,
    all_of,
    alone,
    check_key,
    check_legacy_service,
    check_stream,
)
from uploadpp.wire.bucket import Bucket, BucketError, Entry, Wrapped, decode_entry
from uploadpp.wire.encode import encode
from uploadpp.wire.handing_back import keep_position, own_consumers
from uploadpp.wire.history import History, oldest, read_history
from uploadpp.wire.stream import STREAM, reads_behind

OVERLAP_MS = 5_000
"""The log is read this much further back than the oldest record needs."""
_SAME = frozenset({"", f"spec.{SEALED}"})
ANOTHER = (
    "an earlier run has made the resource {}, and it does not say what is to be adopted now: a webhook has "
    "changed it, or the service has gone on since; delete the resource and adopt again"
)
LOST_MS = 600_000
"""How far back in the log to look for uploads that the service has read and lost."""


@dataclass(frozen=True, slots=True)
class AdoptOptions(Options):
    """What a person asks for."""

    look_back_ms: int = 86_400_000


@dataclass(slots=True)
class Found:
    """What exists: entries of the bucket, resources, and messages of the log."""

    entries: list[tuple[Entry, Wrapped]]
    resources: dict[str, Json]
    by_upload: dict[str, str]
    history: History
    ground: Ground

    def taken(self, record: Record) -> Left | None:
        """Why an upload gets no resource although it could: it already has one."""
        name = self.by_upload.get(record.id, "")
        resource = self.resources.get(name)
        if resource is None or _is_unfinished(resource):
            return None
        ended_at = FieldReader(resource.get("status") or {}, "status").time("completionTime")
        if ended_at is None or record.written_at <= ended_at:
            return Left(Refusal.HAS_RESOURCE, f"resource {name}, which stays as it is")
        text = f"resource {name} says that it has ended, and the service drives it since: delete the resource"
        return Left(Refusal.HAS_ENDED, f"{text} and adopt again")


class Adoption:
    """One run."""

    def __init__(self, site: Site, options: AdoptOptions, report: Report) -> None:
        self._site = site
        self._options = options
        self._report = report
        self._bucket = Bucket(site.js, options.names)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Do it.

        Raises:
            RefusedToRunError: somebody else is at work.
        """
        site, report, wait = self._site, self._report, self._options.wait_seconds
        await check_stream(site)
        await check_legacy_service(site, report, force=self._options.force, wait_seconds=wait)
        async with alone(site, report, wait):
            found = await self._look()
            if not self._options.dry_run and not await own_consumers(site.js):
                await keep_position(site.js, found.ground.behind, found.ground.stream)
            work = [self._entry(found, *each) for each in found.entries]
            await all_of(work + [self._unrecorded(found, *each) for each in found.history.announced.items()])

    # -- reading --------------------------------------------------------------------------

    async def _look(self) -> Found:
        site, now = self._site, self._site.clock()
        behind, stream = await reads_behind(site.js, site.settings.start_from)
        resources = [each async for each in site.store.list_all()]
        check_key(site, resources)
        entries = [each async for each in self._entries()]
        if not entries and not await self._bucket.exists():
            self._report.notes.append(f"there is no bucket {self._options.names.stream}")
        times = [entry.written_at for entry, _ in entries] + [Millis(now - LOST_MS)]
        since = Millis(max(min(times) - OVERLAP_MS, now - self._options.look_back_ms))
        since = max(since, await oldest(site.js) or since)
        moment = datetime.fromtimestamp(since / 1000, UTC)
        wanted = {wrapped.record.id for _, wrapped in entries}
        history = await read_history(site.js, moment, site.marks, wanted)
        self._report.position = {
            "the operator continues after": behind,
            "the log was read up to": history.last,
            "the log was read from": format_time(since),
        }
        return Found(
            entries,
            {each["metadata"]["name"]: each for each in resources},
            {each["spec"]["upload"]["id"]: each["metadata"]["name"] for each in resources},
            history,
            Ground(stream, history.last, behind, since, now),
        )

    async def _entries(self) -> AsyncIterator[tuple[Entry, Wrapped]]:
        if not await self._bucket.exists():
            return
        async for entry in self._bucket.entries():
            try:
                wrapped = decode_entry(entry)
            except BucketError as error:
                self._report.leave(entry.key, Refusal.BROKEN, str(error), fine=False)
                continue
            if wrapped.is_adopted:
                self._leave(wrapped.record.id, Left(Refusal.ADOPTED_BEFORE, "by an earlier run"))
                continue
            yield entry, wrapped

    # -- one upload -----------------------------------------------------------------------

    async def _entry(self, found: Found, entry: Entry, wrapped: Wrapped) -> None:
        async with self._places:
            record = wrapped.record
            verdict = adopt(record, found.history.of(record.id), found.ground, self._site.config)
            if isinstance(verdict, Adopted):
                verdict = found.taken(record) or verdict
            left = await self._make(found, verdict) if isinstance(verdict, Adopted) else verdict
            if left is not None:
                self._leave(record.id, left)
            if left is None or left.reason.is_fine:
                await self._mark(entry, wrapped)

    async def _unrecorded(self, found: Found, upload_id: str, said: list[Said]) -> None:
        async with self._places:
            if found.taken(Record(id=upload_id)) is not None:
                return
            verdict = adopt_unrecorded(upload_id, said, found.ground, self._site.config)
            left = await self._make(found, verdict) if isinstance(verdict, Adopted) else verdict
            if left is not None:
                self._leave(upload_id, left)

    async def _make(self, found: Found, adopted: Adopted) -> Left | None:
        """Publish, create and write the status; None when all is done."""
        upload = adopted.upload
        row = {"stage": str(upload.stage), "step": upload.current_step, "failures": upload.retry_count}
        row |= {"resource": resource_name(upload.id)}
        if not upload.origin.has_url:
            row["remark"] = "has no download URL: the operator asks the storage for one"
        if self._options.dry_run:
            self._report.add(upload.id, **row)
            return None
        try:
            upload = await self._publish(adopted)
            resource = self._resource(upload)
            known = found.resources.get(resource["metadata"]["name"])
            if known is not None and altered_in(resource, known) not in _SAME:
                return Left(Refusal.REFUSED, ANOTHER.format(resource["metadata"]["name"]))
            made = await self._site.store.create(resource) if known is None else stored(known)
            if made.renamed or made.altered:
                return Left(Refusal.REFUSED, _changed(made))
            await self._write(resource["metadata"]["name"], made, upload)
        except TooLargeError as error:
            return Left(Refusal.TOO_LARGE, str(error))
        except ConflictError as error:
            return Left(Refusal.HAS_RESOURCE, f"another client created or changed it meanwhile: {error}")
        except RefusedError as error:
            return Left(Refusal.REFUSED, str(error))
        self._report.add(upload.id, **row)
        return None

    async def _publish(self, adopted: Adopted) -> Upload:
        """Publish PostprocessingFinished where the service has decided it and died before that."""
        upload = adopted.upload
        for each in adopted.missing:
            outgoing = encode(each, upload.id, upload, self._site.clock(), None, self._site.marks)
            headers = {"Nats-Msg-Id": outgoing.event_id}
            ack = await self._site.js.publish(STREAM, outgoing.body, headers=headers)
            upload = evolve(upload, since=self._site.clock(), log=upload.log.with_start(ack.seq))
        return upload

    def _resource(self, upload: Upload) -> Json:
        site = self._site
        sealed = site.sealer.seal(upload.origin, upload.id, plan_to_seal(upload, upload.origin))
        resource = to_resource(upload, namespace=site.namespace, shown=site.settings.show, sealed=sealed)
        resource["metadata"]["annotations"] = {ADOPTED_ANNOTATION: format_time(self._site.clock())}
        return resource

    async def _write(self, name: str, made: Stored, upload: Upload) -> None:
        heard = made.generation if made.asks is None else 0  # then the operator looks at what is asked for
        upload = evolve(upload, observed_generation=heard)
        status = to_status(upload, made.uid, self._site.sealer.fingerprints[0])
        written = await self._site.store.write_status(name, made.version, status)
        if written.altered:
            raise RefusedError(_changed(written))

    async def _mark(self, entry: Entry, wrapped: Wrapped) -> None:
        if not self._options.dry_run:
            await self._bucket.mark(entry, wrapped, format_time(self._site.clock()))

    def _leave(self, upload_id: str, left: Left) -> None:
        self._report.leave(upload_id, left.reason, left.why, fine=left.reason.is_fine)


def _is_unfinished(resource: Json) -> bool:
    """Whether an earlier run has made a resource and not written its status."""
    made_by_us = ADOPTED_ANNOTATION in (resource["metadata"].get("annotations") or {})
    return made_by_us and "conditions" not in (resource.get("status") or {})


def _changed(made: Stored) -> str:
    what = f"its name to {made.renamed}" if made.renamed else made.altered
    return f"a webhook or another writer has changed {what} of the resource"
