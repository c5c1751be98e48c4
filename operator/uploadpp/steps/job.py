"""Work on one upload, and who has been asked for it already."""

import contextlib
from collections import OrderedDict
from dataclasses import dataclass, field

import nats.errors
from nats.aio.msg import Msg

from uploadpp.steps.start import Start

REMEMBERED = 10_000


@dataclass(eq=False, slots=True)
class Job:
    """One piece of work; `messages` are all deliveries that end with it."""

    start: Start
    messages: list[Msg]
    event_ids: set[str] = field(default_factory=set)
    judged: bool = False
    noted: bool = False
    """Whether it is noted for all processes that work on it has begun."""

    @property
    def redelivered(self) -> bool:
        """Whether its start was delivered before."""
        return self.deliveries > 1

    @property
    def deliveries(self) -> int:
        """How often its start was delivered."""
        return self.messages[0].metadata.num_delivered if self.messages else 0

    @property
    def sequence(self) -> int:
        """The position of its start in the stream."""
        return self.messages[0].metadata.sequence.stream if self.messages else 0

    async def in_progress(self) -> None:
        """Tell the server that work is in progress."""
        for message in list(self.messages):
            with contextlib.suppress(nats.errors.Error):  # the next heartbeat may get through
                await message.in_progress()

    async def done(self) -> None:
        """Acknowledge every delivery."""
        while self.messages:
            await self.messages.pop().ack()

    async def give_back(self) -> None:
        """Give the work back, so that another process gets it at once."""
        while self.messages:
            with contextlib.suppress(nats.errors.Error):  # then it gets the work after the ack wait
                await self.messages.pop().nak()


class Jobs:
    """Everything in work, and the events answered lately.

    The same event is worked on once. Another start of an upload in work, as after `kubectl pp
    resume`, waits for the same end: the operator takes that answer for its newest start.
    """

    def __init__(self) -> None:
        self._by_event: dict[str, Job] = {}
        self._by_upload: dict[str, Job] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(set(self._by_event.values()))

    def answered(self, start: Start) -> bool:
        """Whether the answer to this very event is in the stream."""
        return start.event_id in self._answered

    def join(self, start: Start, message: Msg) -> bool:
        """Add a delivery to the work that it asks for; False when there is none."""
        job = self._by_event.get(start.event_id) or self._by_upload.get(start.upload_id)
        if job is None:
            return False
        job.messages.append(message)
        self._note(job, start.event_id)
        return True

    def add(self, start: Start, message: Msg) -> Job:
        """New work."""
        job = Job(start, [message])
        self._by_upload[start.upload_id] = job
        self._note(job, start.event_id)
        return job

    def judged(self, job: Job) -> None:
        """The verdict is known: what is asked for from now on is asked about the next attempt."""
        job.judged = True
        if self._by_upload.get(job.start.upload_id) is job:
            del self._by_upload[job.start.upload_id]

    def end(self, job: Job, *, answered: bool) -> None:
        """Forget the work, but not that it was answered."""
        self.judged(job)
        for event_id in job.event_ids:
            del self._by_event[event_id]
            if answered:
                self._answered[event_id] = None
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)

    def _note(self, job: Job, event_id: str) -> None:
        job.event_ids.add(event_id)
        self._by_event[event_id] = job
