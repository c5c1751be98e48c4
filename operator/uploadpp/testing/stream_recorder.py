"""Everything that was ever in the stream, decoded: what the other services react to and the checks read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.plan_text import Planned, read_planned, read_policy
from uploadpp.testing.events import message
from uploadpp.testing.stream import Message, Stream
from uploadpp.testing.trace import Trace
from uploadpp.wire.envelope import MARK_KEY, PLAN_KEY, POLICY_KEY, decode_envelope

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """A message of the stream."""

    sequence: int
    at: float
    incarnation: str
    type: str
    upload: str
    payload: Payload = field(repr=False)
    mark: Mark | None
    planned: Planned | None
    event_id: str
    data: bytes = field(repr=False)

    def text(self) -> str:
        """For the trace."""
        if self.mark is not None:
            number = f"#{self.mark.number}"
            return f"{self.type} {self.upload} {self.mark.detail} {number} run {self.mark.run}"
        words = [
            str(self.payload[k])
            for k in ("FinishedStep", "Outcome", "Step", "Failed", "URL")
            if self.payload.get(k)
        ]
        return " ".join([self.type, self.upload, *words])


class StreamRecorder:
    """The records, in order."""

    def __init__(self, stream: Stream, trace: Trace) -> None:
        self._stream = stream
        self._trace = trace
        self._count = 0
        self.records: list[Record] = []
        self.listeners: list[Callable[[Record], None]] = []
        self._missed: set[tuple[str, Mark]] = set()
        stream.on_append.append(self._on_append)
        stream.on_missed.append(self._on_missed)

    def _on_append(self, message: Message) -> None:
        envelope = decode_envelope(message.data)
        payload: Payload = orjson.loads(envelope.payload_text())
        text, plan = envelope.metadata.get(MARK_KEY), envelope.metadata.get(PLAN_KEY)
        record = Record(
            message.sequence,
            message.at,
            self._stream.incarnation,
            envelope.event_type.removeprefix("events."),
            str(payload.get("UploadID") or ""),
            payload,
            Mark.decode(text) if text else None,
            _planned(plan, envelope.metadata.get(POLICY_KEY, "")) if plan is not None else None,
            envelope.metadata["eventid"],
            message.data,
        )
        self.records.append(record)
        self._trace.add("stream", f"{record.sequence}: {record.text()}")
        for tell in self.listeners:
            tell(record)

    def _on_missed(self, data: bytes) -> None:
        envelope = decode_envelope(data)
        if text := envelope.metadata.get(MARK_KEY):
            upload = str(orjson.loads(envelope.payload_text()).get("UploadID") or "")
            self._missed.add((upload, Mark.decode(text)))

    def publish(self, event: str, payload: Payload, event_id: str = "") -> str:
        """Put an event of another service into the stream; returns its id."""
        self._count += 1
        event_id = event_id or str(UUID(int=self._count))
        self._stream.append(message(event, payload, eventid=event_id))
        return event_id

    def marks(self, kind: Kind, upload: str) -> list[Mark]:
        """What we published for an upload."""
        return [r.mark for r in self.records if r.mark and r.mark.kind is kind and r.upload == upload]

    def said(self, kind: Kind, upload: str) -> set[Mark]:
        """What we published for an upload, with what broke off on its way and comes later, or never."""
        missed = {mark for of, mark in self._missed if of == upload and mark.kind is kind}
        return missed.union(self.marks(kind, upload))

    def is_kept(self, record: Record) -> bool:
        """Whether a message is still in the stream. Nobody can be held to one that was lost unread."""
        message = self._stream.get(record.sequence)
        return message is not None and message.data is record.data

    def of_type(self, event: str) -> list[Record]:
        """What anybody published of one kind."""
        return [r for r in self.records if r.type == event]

    def of(self, event: str, upload: str) -> list[Record]:
        """What anybody published for an upload."""
        return [r for r in self.records if r.type == event and r.upload == upload]


def _planned(plan: str, policy: str) -> Planned:
    planned, ruled = read_planned(plan), read_policy(policy)
    if ruled is None:
        return planned
    return planned._replace(policy=ruled.policy, priority_class=ruled.priority_class)
