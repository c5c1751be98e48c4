"""The bucket in which the legacy service keeps one record of each upload.

It is a key-value bucket of JetStream, written by go-micro: the key is the upload's id in base32, the value
wraps the record in `{"key", "data", "metadata"}`. The service itself neither writes nor reads the metadata.
"""

from base64 import b32decode, b32encode, b64decode, b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy, KeyValueConfig
from nats.js.errors import APIError, BucketNotFoundError, NotFoundError

from uploadpp.core.adoption import Record
from uploadpp.core.model import Millis, Origin
from uploadpp.core.text import clean
from uploadpp.wire.decode import MAX_ID, MAX_UINT64, file_info
from uploadpp.wire.history import read_to_end, time_of
from uploadpp.wire.rawjson import go_string, raw_members, whole
from uploadpp.wire.urls import expiry_of

DATABASE = "postprocessing"
OPERATION = "KV-Operation"
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
ADOPTED = "uploadpp.io/adopted"
"""In an entry's metadata: when it became a resource. The service drops it with its next write."""
MAX_INT = 2**63 - 1


class BucketError(Exception):
    """An entry of the bucket cannot be understood. The text never quotes it: it may hold a URL."""


class Entry(NamedTuple):
    """One entry as it is stored."""

    key: str
    value: bytes
    revision: int
    written_at: Millis

    def __repr__(self) -> str:
        """Nothing of the value: it holds a URL."""
        return f"Entry({self.key!r}, {self.revision})"


@dataclass(frozen=True, slots=True)
class Names:
    """How the bucket is called, and what its keys begin with."""

    database: str = DATABASE
    table: str = ""

    @property
    def stream(self) -> str:
        """The stream behind the bucket."""
        return f"KV_{self.database}"

    def key(self, upload_id: str) -> str:
        """The key of an upload."""
        plain = f"{self.table}_{upload_id}" if self.table else upload_id
        return b32encode(plain.encode()).decode()

    def is_mine(self, key: str) -> bool:
        """Whether a key belongs to the table."""
        if not self.table:
            return True
        try:
            return b32decode(key).startswith(f"{self.table}_".encode())
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Wrapped:
    """What an entry says: the record, and the metadata around it."""

    record: Record
    data: str = field(repr=False)
    metadata: dict[str, Any]

    @property
    def is_adopted(self) -> bool:
        """Whether it has become a resource, and the service has not written it since."""
        return ADOPTED in self.metadata


class Bucket:
    """The bucket on one server."""

    def __init__(self, js: JetStreamContext, names: Names) -> None:
        self._js = js
        self._names = names

    async def exists(self) -> bool:
        """Whether there is one."""
        try:
            await self._js.stream_info(self._names.stream)
        except NotFoundError:
            return False
        return True

    async def make(self) -> None:
        """Make it when it is missing, as the service does."""
        try:
            await self._js.key_value(self._names.database)
        except BucketNotFoundError:
            await self._js.create_key_value(KeyValueConfig(bucket=self._names.database, history=1))

    async def entries(self) -> AsyncIterator[Entry]:
        """All entries that are not deleted; each as it was at some moment of the reading."""
        subject = f"$KV.{self._names.database}."
        config = ConsumerConfig(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT)
        async for message in read_to_end(self._js, self._names.stream, f"{subject}>", config):
            key = message.subject.removeprefix(subject)
            if not (message.headers or {}).get(OPERATION) and self._names.is_mine(key):
                yield Entry(key, message.data, message.metadata.sequence.stream, time_of(message))

    async def mark(self, entry: Entry, wrapped: Wrapped, when: str) -> bool:
        """Note that an entry has become a resource; False when the service has written it meanwhile."""
        body = _wrap(wrapped.record.id, wrapped.data, {**wrapped.metadata, ADOPTED: when})
        return await self._put(entry.key, body, entry.revision)

    async def write(self, record: Record) -> None:
        """Write a record as the service does."""
        data = b64encode(encode_record(record).encode()).decode()
        await self._put(self._names.key(record.id), _wrap(record.id, data, None), None)

    async def delete(self, upload_id: str) -> None:
        """Delete a record as the service does."""
        subject = f"$KV.{self._names.database}.{self._names.key(upload_id)}"
        await self._js.publish(subject, b"", headers={OPERATION: "DEL"})

    async def _put(self, key: str, body: bytes, revision: int | None) -> bool:
        headers = None if revision is None else {EXPECTED: str(revision)}
        try:
            await self._js.publish(f"$KV.{self._names.database}.{key}", body, headers=headers)
        except APIError as error:
            if revision is None or error.err_code != WRONG_LAST_SEQUENCE:
                raise
            return False
        return True


WRONG_LAST_SEQUENCE = 10071


def _wrap(upload_id: str, data: str, metadata: dict[str, Any] | None) -> bytes:
    said = "null" if metadata is None else orjson.dumps(metadata).decode()
    return f'{{"key":{go_string(upload_id)},"data":"{data}","metadata":{said}}}'.encode()


def encode_record(record: Record) -> str:
    """The record in the very form that Go writes: names, order and types of its fields."""
    origin = record.origin
    steps = "[" + ",".join(map(go_string, record.steps)) + "]"
    status = f'{{"CurrentStep":{go_string(record.current)},"Outcome":{go_string(record.outcome)}}}'
    return (
        f'{{"ID":{go_string(record.id)},"URL":{origin.url},"User":{origin.executing_user},'
        f'"ImpersonatingUser":{origin.impersonating_user},"Filename":{origin.filename},'
        f'"Filesize":{origin.filesize},"ResourceID":{origin.resource_id},"Steps":{steps},"Status":{status},'
        f'"Failures":{record.failures},"InitiatorID":{go_string(origin.initiator_id)},'
        f'"Finished":{"true" if record.finished else "false"}}}'
    )


def decode_entry(entry: Entry) -> Wrapped:
    """What an entry says.

    Raises:
        BucketError: it cannot be understood.
    """
    try:
        wrapped = {
            name: value for name, (_, value) in raw_members(entry.value.decode("utf-8", "replace")).items()
        }
        data, metadata = wrapped.get("data") or "", wrapped.get("metadata") or {}
        if not isinstance(data, str) or not isinstance(metadata, dict):
            raise BucketError("data must be base64 and metadata an object")
        text = b64decode(data, validate=True).decode("utf-8", "replace")
        record = _decode_record(text, entry.written_at)
    except ValueError as error:
        raise BucketError(f"is not the JSON of a record: {clean(str(error), 200)}") from None
    return Wrapped(record, data, metadata)


def _decode_record(text: str, written_at: Millis) -> Record:
    members = raw_members(text)
    values = {name: value for name, (_, value) in members.items()}
    upload_id = _text(values, "ID")
    if not 0 < len(upload_id) <= MAX_ID:
        raise BucketError(f"ID must have 1 to {MAX_ID} characters")
    for name in ("User", "ImpersonatingUser", "ResourceID", "Status"):
        if not isinstance(values.get(name.lower()), dict | None):
            raise BucketError(f"{name} must be an object")
    steps, status = values.get("steps") or [], values.get("status") or {}
    if not isinstance(steps, list) or not all(isinstance(each, str) for each in steps):
        raise BucketError("Steps must be a list of strings")
    finished = values.get("finished") or False
    if not isinstance(finished, bool):
        raise BucketError("Finished must be true or false")
    said = {name.lower(): value for name, value in status.items()}
    return Record(
        id=upload_id,
        origin=_origin(members, values, written_at),
        file=file_info(
            _text(values, "Filename"),
            _number(values, "Filesize", MAX_UINT64),
            values.get("user"),
            values.get("resourceid"),
        ),
        steps=tuple(map(whole, steps)),
        current=_text(said, "CurrentStep"),
        outcome=_text(said, "Outcome"),
        failures=min(_number(values, "Failures", MAX_INT), MAX_FAILURES),
        finished=finished,
        written_at=written_at,
    )


MAX_FAILURES = 1_000_000


def _origin(members: dict[str, tuple[str, Any]], values: dict[str, Any], written_at: Millis) -> Origin:
    raw = {name: member for name, (member, value) in members.items() if value is not None}
    url = _text(values, "URL")
    _text(values, "Filename")
    _number(values, "Filesize", MAX_UINT64)
    return Origin(
        url=raw.get("url", '""'),
        url_received_at=written_at,
        url_expires_at=expiry_of(url),
        filename=raw.get("filename", '""'),
        filesize=raw.get("filesize", "0"),
        executing_user=raw.get("user", "null"),
        impersonating_user=raw.get("impersonatinguser", "null"),
        resource_id=raw.get("resourceid", "null"),
        initiator_id=_text(values, "InitiatorID"),
    )


def _text(values: dict[str, Any], name: str) -> str:
    value = values.get(name.lower())
    if not isinstance(value, str | None):
        raise BucketError(f"{name} must be a string")
    return whole(value or "")


def _number(values: dict[str, Any], name: str, largest: int) -> int:
    value = values.get(name.lower())
    value = 0 if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise BucketError(f"{name} must be a whole number from 0 to {largest}")
    return value
