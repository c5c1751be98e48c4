"""Counts work that was begun and never ended: it may end each process that begins it.

The server counts how often it has delivered a start, but not why. A process that stops gives its work back,
and so does one that has no room for it. Neither says anything about the file. So a process that begins a
start which was delivered before notes that in the metadata of the step's consumer, and takes the note back
when it gives the work back. The notes that stay are of processes that ended in between.

Two processes that write at the same moment may lose a note. Then one more process ends before the file is
answered with a retry.
"""

import asyncio
import json
import logging
import re
from typing import Any

import nats.errors
from nats.aio.client import Client

from uploadpp.wire.stream import STREAM

log = logging.getLogger(__name__)

KEY = "uploadpp.io/begun"
"""In the metadata of the step's consumer: `12=1 40=3`, how often the start at a position was begun."""
MOST = 64
"""Notes that are kept. Those of starts that are answered go first."""
REQUEST_SECONDS = 2.0
_NOTE = re.compile(r"([1-9][0-9]{0,18})=([1-9][0-9]{0,2})", re.ASCII)

Notes = dict[int, int]


def parse(text: str) -> Notes:
    """What stands in the metadata; what cannot be read is left out."""
    found = (_NOTE.fullmatch(word) for word in text.split())
    return {int(each[1]): int(each[2]) for each in found if each is not None}


def render(notes: Notes, answered_to: int) -> str:
    """The notes of starts behind this position, the newest if there are too many."""
    kept = sorted(each for each in notes if each > answered_to and notes[each] > 0)[-MOST:]
    return " ".join(f"{each}={min(notes[each], 999)}" for each in kept)


class BegunNotes:
    """The notes of one step. Where they cannot be written, deliveries count."""

    def __init__(self, client: Client, consumer: str) -> None:
        self._client = client
        self._consumer = consumer
        self._lock = asyncio.Lock()

    async def add(self, sequence: int) -> int | None:
        """Note that work on a start begins; returns how often it was begun and not ended, None if unknown."""
        return await self._change(sequence, 1)

    async def take_back(self, sequence: int) -> None:
        """The work was given back: remove the note."""
        await self._change(sequence, -1)

    async def _change(self, sequence: int, by: int) -> int | None:
        try:
            async with self._lock:
                return await self._change_once(sequence, by)
        except (nats.errors.Error, TimeoutError) as error:
            log.warning("cannot record that work has started: %s", str(error) or type(error).__name__)
            return None

    async def _change_once(self, sequence: int, by: int) -> int:
        info = await self._request("INFO", b"")
        config = info.get("config")
        if not isinstance(config, dict):
            raise nats.errors.Error(f"nats: the JetStream response about {self._consumer} cannot be read")
        metadata = dict(config.get("metadata") or {})
        notes = parse(metadata.get(KEY, ""))
        before = notes.get(sequence, 0)
        notes[sequence] = before + by
        floor = (info.get("ack_floor") or {}).get("stream_seq", 0)
        text = render(notes, floor)
        if text != metadata.get(KEY, ""):
            config = {**config, "metadata": {**metadata, KEY: text}}
            body = json.dumps({"stream_name": STREAM, "config": config}).encode()
            await self._request("CREATE", body)
        return before

    async def _request(self, verb: str, body: bytes) -> dict[str, Any]:
        js = self._client.jetstream()
        subject = f"{js._prefix}.CONSUMER.{verb}.{STREAM}.{self._consumer}"  # noqa: SLF001 -- it offers no update
        answer: dict[str, Any] = await js._api_request(subject, body, timeout=REQUEST_SECONDS)  # noqa: SLF001
        return answer
