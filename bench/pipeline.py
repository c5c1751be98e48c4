"""CPU of the pipeline for an upload of two steps, without servers: `python -m bench.pipeline`.

What it costs to read, decide and encode is most of what a burst costs the operator. The figure moves with the
machine, so compare two checkouts in turn. `valgrind --tool=exp-bbv --instr-count-only=yes` around it, for two
numbers of uploads, counts instructions, which do not move.
"""

import argparse
import asyncio
import gc
import time
from collections.abc import Callable
from functools import partial

from bench.events import bytes_received, step_finished
from uploadpp.core.config import Config
from uploadpp.core.model import Millis, StepPlan
from uploadpp.pipeline.router import Router
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.pipelines import PipelineBench
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.stream_message import StreamMessage

STEPS = ("policies", "virusscan")
AT_ONCE = 200
BEGINNING = 1_800_000_000_000


class Nobody:
    """Follows no upload: what is measured ends where an upload may be written."""

    def on_storable(self, tracked: TrackedUpload) -> None:
        """Write nothing."""

    def on_ended(self, tracked: TrackedUpload) -> None:
        """Evict nothing."""

    def on_forgotten(self, tracked: TrackedUpload) -> None:
        """Remember nothing."""

    def on_overruled(self, tracked: TrackedUpload) -> None:
        """Say nothing."""


class Loopback:
    """A stream in memory: what is published comes back, and then counts as stored."""

    def __init__(self) -> None:
        self.router: Router | None = None
        self.sequence = 0
        self._sent: list[tuple[Outgoing, Callable[[int], None]]] = []

    def now(self) -> Millis:
        """A millisecond for each message."""
        return Millis(BEGINNING + self.sequence)

    def publish(
        self, outgoing: Outgoing, on_stored: Callable[[int], None], on_refused: Callable[[str], None]
    ) -> None:
        """Keep an event until `come_back`."""
        del on_refused
        self._sent.append((outgoing, on_stored))

    def confirm(self, event_id: str, sequence: int) -> None:
        """Nothing is sent again here."""

    def bring(self, data: bytes, message_id: str = "") -> None:
        """Hand a message to the router."""
        assert self.router is not None  # noqa: S101 -- set in `measure`
        self.sequence += 1
        self.router.on_message(StreamMessage(self.sequence, self.now(), self.sequence, 0, data, message_id))

    def come_back(self) -> None:
        """Bring what was published."""
        sent, self._sent = self._sent, []
        for outgoing, on_stored in sent:
            self.bring(outgoing.body, outgoing.event_id)
            on_stored(self.sequence)


async def measure(uploads: int) -> float:
    """Seconds of CPU for so many uploads, each with an announcement and two answers."""
    stream = Loopback()
    config = Config(steps=tuple(StepPlan(name=name) for name in STEPS))
    pipeline = PipelineBench(config, stream, stream.now, lifecycle=Nobody())
    stream.router = pipeline.router
    pipeline.act()
    ids = [f"{number:08x}-6c0b-4a7e-9a5e-2f3f1f0c9d11" for number in range(uploads)]
    answers = [partial(step_finished, step=name, outcome="continue") for name in STEPS]
    events: list[Callable[[str], bytes]] = [bytes_received, *answers]
    messages = [[make(upload_id) for upload_id in ids] for make in events]
    gc.collect()
    gc.freeze()
    began = time.process_time()
    for first in range(0, uploads, AT_ONCE):
        for each in messages:
            for data in each[first : first + AT_ONCE]:
                stream.bring(data)
            stream.come_back()
    return time.process_time() - began


def main() -> None:
    """Print microseconds of CPU for each upload: the least of several rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    best = min(asyncio.run(measure(options.uploads)) for _ in range(options.rounds))
    print(f"{best / options.uploads * 1e6:.0f} us of CPU for each upload")


if __name__ == "__main__":
    main()
