"""`uploadpp release`: hand the uploads in flight back to the legacy service.

    consumer of the service → resources and log up to there → bucket → nudge → delete resource → delete own

The service continues at a position that is fixed first, so everything later is its own. If the command is
interrupted, running it again continues from the same position (docs/adr/0046).
"""

import asyncio
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid5

from uploadpp.api.codec import InvalidResourceError, from_resource
from uploadpp.api.void import rank, why_void
from uploadpp.core.commands import NAMESPACE
from uploadpp.core.evolve import evolve
from uploadpp.core.handing_back import GivenBack, Kept, Nudge, give_back
from uploadpp.core.history import Known, Said, catch_up, taken_over
from uploadpp.core.inputs import BytesReceived
from uploadpp.core.model import Origin, Upload
from uploadpp.core.naming import resource_name
from uploadpp.core.plan_text import read_sealed_plan
from uploadpp.core.replay import Position
from uploadpp.kube.api import Json
from uploadpp.kube.errors import ConflictError
from uploadpp.kube.sealing import Opened, SealError
from uploadpp.kube.store import stored
from uploadpp.migration.report import Exit, RefusedToRunError, Report
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
from uploadpp.wire.bucket import Bucket, BucketError, decode_entry
from uploadpp.wire.envelope import encode_envelope
from uploadpp.wire.handing_back import (
    delete_own,
    keep_position,
    move_to_end,
    own_consumers,
    prepared,
    service_consumers,
)
from uploadpp.wire.history import History, read_history
from uploadpp.wire.origin import origin_from_spec
from uploadpp.wire.rawjson import go_string
from uploadpp.wire.stream import LEGACY_DURABLES, STREAM, reads_behind


@dataclass(frozen=True, slots=True)
class ReleaseOptions(Options):
    """What a person asks for."""

    consumer: str = ""


class Beginning(NamedTuple):
    """Where the service continues, and how far we have read."""

    behind: int
    read_by_us: int


class UnderWay(NamedTuple):
    """An upload under way, and its resource, if it has one yet."""

    known: Known
    resource: Json | None

    @property
    def is_unrecorded(self) -> bool:
        """Whether only the log says that it has ended: a returning operator would not read that."""
        return self.resource is not None and "completionTime" not in (self.resource.get("status") or {})


class Release:
    """One run."""

    def __init__(self, site: Site, options: ReleaseOptions, report: Report) -> None:
        self._site = site
        self._options = options
        self._report = report
        self._bucket = Bucket(site.js, options.names)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._said: set[str] = set()
        self._stream, self._last = "", 0

    async def run(self) -> None:
        """Do it.

        Raises:
            RefusedToRunError: somebody else is at work, or the service's consumer is not known.
        """
        site, report, wait = self._site, self._report, self._options.wait_seconds
        await check_stream(site)
        await check_legacy_service(site, report, force=self._options.force, wait_seconds=wait)
        async with alone(site, report, wait):
            consumer = await self._consumer()
            resources = [each async for each in site.store.list_all()]
            check_key(site, resources)
            uploads = self._uploads(resources)
            place = await self._begin(consumer, uploads)
            self._last = place.behind
            self._report.position = {
                "the operator has read up to": place.read_by_us,
                "the service continues after": place.behind,
                "through the consumer": consumer,
            }
            history = await read_history(site.js, place.read_by_us + 1, site.marks)
            self._said = history.ids
            current = self._caught_up(uploads, history)
            await all_of(self._give_back(upload_id, each) for upload_id, each in current.items())
            await self._forget(current)
            await self._leave()

    async def _consumer(self) -> str:
        known = [self._options.consumer] if self._options.consumer else await service_consumers(self._site.js)
        if len(known) == 1:
            return known[0]
        found = f"has the consumers {' and '.join(known)}" if known else "has no consumer on the stream"
        raise RefusedToRunError(
            f"the service {found}, so which one it uses is not known: say --consumer {LEGACY_DURABLES[0]} "
            f"(ocis, and OpenCloud up to 2025) or --consumer {LEGACY_DURABLES[1]} (newer OpenCloud)"
        )

    async def _begin(self, consumer: str, uploads: dict[str, tuple[Upload, Json]]) -> Beginning:
        """Create the consumer of the service, before all else; our own one keeps how far we have read."""
        js, ready = self._site.js, await prepared(self._site.js, consumer)
        read_by_us, self._stream = await reads_behind(js, self._site.settings.start_from)
        if not await own_consumers(js):  # no operator has run since the adoption, or all is handed back
            seen = [each.log.sequence for each, _ in uploads.values() if not each.stage.ended]
            read_by_us = min([read_by_us if ready is None else ready, *seen])
            if ready is None and not self._options.dry_run:
                await keep_position(js, read_by_us, self._stream)
        if self._options.dry_run:
            end = (await js.stream_info(STREAM)).state.last_seq
            return Beginning(end if ready is None else ready, read_by_us)
        await self._bucket.make()
        return Beginning(await move_to_end(js, consumer), read_by_us)

    async def _leave(self) -> None:
        """Delete our own consumers, so that the next operator begins behind the service."""
        if self._report.exit is not Exit.DONE:
            text = (
                "the operator keeps its position, because some uploads stay; run the command again for them"
            )
            self._report.notes.append(text)
        elif not self._options.dry_run:
            await delete_own(self._site.js)

    # -- reading --------------------------------------------------------------------------

    def _uploads(self, resources: list[Json]) -> dict[str, tuple[Upload, Json]]:
        """The uploads that have resources."""
        found: dict[str, tuple[Upload, Json]] = {}
        resources = sorted(resources, key=lambda each: rank(each, each["spec"]["upload"]["id"]), reverse=True)
        for each in resources:
            name = each["metadata"]["name"]
            try:
                if why := why_void(each):
                    self._report.leave(name, "LeftAlone", why, fine=True)
                    continue
                upload = self._upload(each)
            except (SealError, InvalidResourceError) as error:
                self._report.leave(name, "Unreadable", str(error), fine=False)
                continue
            if upload.id in found:
                self._report.leave(name, "Twice", f"upload {upload.id} has another resource", fine=False)
                continue
            found[upload.id] = upload, each
        return found

    def _caught_up(self, uploads: dict[str, tuple[Upload, Json]], history: History) -> dict[str, UnderWay]:
        """Every upload that has a resource or is announced in what no owner has read."""
        found = {
            upload_id: UnderWay(self._of(upload, resource, history), resource)
            for upload_id, (upload, resource) in uploads.items()
        }
        for upload_id, said in history.said.items():
            if upload_id not in found and any(isinstance(each.event, BytesReceived) for each in said):
                known = self._at(Known(None), upload_id, history)
                if known.upload is not None:
                    found[upload_id] = UnderWay(known, None)
        return found

    def _of(self, upload: Upload, resource: Json, history: History) -> Known:
        """An upload with a resource, at the same position."""
        own = resource["metadata"]["name"] == resource_name(upload.id)
        at, said = Position(self._stream, self._last), self._said_of(upload.id, history)
        return taken_over(upload, said, at, self._site.clock(), self._site.config, own_name=own)

    def _at(self, known: Known, upload_id: str, history: History) -> Known:
        """An upload as it is at the position where the service begins to read."""
        said = self._said_of(upload_id, history)
        return catch_up(known, upload_id, said, self._last, self._stream, self._site.config)

    def _said_of(self, upload_id: str, history: History) -> list[Said]:
        return [each for each in history.of(upload_id) if each.sequence <= self._last]

    def _upload(self, resource: Json) -> Upload:
        sealed, upload_id = resource["spec"].get("sealed", ""), resource["spec"]["upload"]["id"]
        origin, plan = self._site.sealer.open(sealed, upload_id) if sealed else Opened(Origin())
        upload = from_resource(resource, self._site.config, origin, read_sealed_plan(plan))
        return upload if sealed else evolve(upload, origin=origin_from_spec(upload))

    # -- one upload -----------------------------------------------------------------------

    async def _give_back(self, upload_id: str, current: UnderWay) -> None:
        async with self._places:
            given = give_back(current.known, self._site.clock(), self._site.config)
            if isinstance(given, Kept):
                if given.over and current.is_unrecorded and not self._options.dry_run:
                    await self._delete(upload_id, current.resource or {})
                self._report.leave(upload_id, "Over" if given.over else "Kept", given.why, fine=given.over)
                return
            if not self._options.dry_run:
                await self._bucket.write(given.record)
                await self._nudge(upload_id, given)
                if current.resource is not None and not await self._delete(upload_id, current.resource):
                    return
            upload = current.known.upload
            self._report.add(
                upload_id,
                stage=str(upload.stage) if upload else "",
                step=given.record.current,
                failures=given.record.failures,
                nudge=str(given.nudge),
                remark=given.remark,
            )

    async def _nudge(self, upload_id: str, given: GivenBack) -> None:
        """Publish what makes the service continue; only once, however often the command is run."""
        event_id = str(uuid5(NAMESPACE, f"{upload_id}\0{given.nudge}\0{self._stream}\0{self._last}"))
        if not given.nudge or event_id in self._said:
            return
        now, step = self._site.clock(), ',"Step":""' if given.nudge is Nudge.RESUME else ""
        stamp = f'{{"seconds":{now // 1000},"nanos":{now % 1000 * 1_000_000}}}'
        payload = f'{{"UploadID":{go_string(upload_id)}{step},"Timestamp":{stamp}}}'
        metadata = {"traceparent": "", "initiatorid": given.record.origin.initiator_id}
        body = encode_envelope(f"events.{given.nudge}", event_id, payload, metadata, now)
        await self._site.js.publish(STREAM, body, headers={"Nats-Msg-Id": event_id})

    async def _delete(self, upload_id: str, resource: Json) -> bool:
        known = stored(resource)
        try:
            await self._site.store.delete(resource["metadata"]["name"], known.uid, known.version)
        except ConflictError as error:
            self._report.leave(upload_id, "Changed", f"{error}; run it again", fine=False)
            return False
        return True

    async def _forget(self, current: dict[str, UnderWay]) -> None:
        """Delete entries of uploads that the operator has ended: the service must not process them again."""
        if not await self._bucket.exists():
            return
        under_way = {each["id"] for each in self._report.done} | {
            each["id"] for each in self._report.left if not each["fine"]
        }
        async for entry in self._bucket.entries():
            try:
                wrapped = decode_entry(entry)
            except BucketError as error:
                self._report.notes.append(f"entry {entry.key}: {error}; it stays as it is")
                continue
            upload_id = wrapped.record.id
            if upload_id in under_way or not (wrapped.is_adopted or upload_id in current):
                continue
            if not self._options.dry_run:
                await self._bucket.delete(upload_id)
