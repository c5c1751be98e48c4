"""Made-up uploads that move: for people who are deciding, for screenshots, and for tests."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

from kubectl_pp.errors import MissingError
from kubectl_pp.sanitize import Json
from kubectl_pp.ui.fiction import HOSTILE, STEPS, Fiction
from kubectl_pp.ui.model import Model
from kubectl_pp.upload import KIND, Upload

COUNT = 160
"""Number of uploads in flight."""
TICK_SECONDS = 0.5
SLOTS = {"virusscan": 8}
SEED = 7
PICTURES = 0.1
"""Share of pictures among the uploads."""
NAMESPACE = "ocis"


class Demo:
    """A small installation: the scanner is busy, the thumbnailer has no service."""

    def __init__(self, count: int = COUNT, *, moving: bool = True) -> None:
        self.model = Model()
        self._count, self._moving = count, moving
        self._random = random.Random(SEED)  # noqa: S311 -- made up, and the same each time
        self._uploads: dict[str, Fiction] = {}
        self._number = count * 7
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to fill the model."""
        now = time.time()
        made = list(self._begin(now))
        self._uploads = {each.name: each for each in made}
        self._give_slots(now)
        self.model.load(Upload(each.resource()) for each in made)
        self._say()
        if self._moving:
            threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._closed.set()

    def upload(self, namespace: str, name: str) -> Upload:
        """One upload as it is now.

        Raises:
            MissingError: there is none of that name.
        """
        found = self._uploads.get(name)
        if found is None or namespace != NAMESPACE:
            raise MissingError(f"there is no upload {name} in namespace {namespace}")
        return Upload(found.resource())

    def events(self, upload: Upload) -> list[Json] | None:
        """Its Events."""
        found = self._uploads.get(upload.name)
        return [] if found is None else found.events(KIND)

    def _begin(self, now: float) -> Iterator[Fiction]:
        """As after an hour of work."""
        for number in range(self._count * 6):
            yield Fiction.ended(self._random, number, now)
        for number in range(self._count):
            yield Fiction.in_flight(self._random, number, now, SLOTS["virusscan"])
        for number, name in enumerate(HOSTILE):
            yield Fiction.hostile(number, name, now)

    def _say(self) -> None:
        flight = [each for each in self._uploads.values() if each.state in {"Running", "Delaying"}]
        slots: dict[str, list[int | None]] = {
            step: [sum(1 for each in flight if each.step == step), most] for step, most in SLOTS.items()
        }
        findings = [
            {
                "look": "done good",
                "bad": False,
                "text": "operator uploadpp-0 is ready",
                "remedy": "",
            },
            {
                "look": "failed bad",
                "bad": True,
                "text": f"no service listens for step {STEPS[-1]}: its uploads wait",
                "remedy": "start its service on the same NATS, or remove the step from the chart's `steps`",
            },
            {
                "look": "done good",
                "bad": False,
                "text": "event stream: 0 unread messages, 3 awaiting acknowledgement",
                "remedy": "",
            },
        ]
        self.model.set_operator({"findings": findings, "slots": slots}, [STEPS[-1]])

    def _run(self) -> None:
        while not self._closed.wait(TICK_SECONDS):
            self._turn(time.time())

    def _turn(self, now: float) -> None:
        """What half a second brings: an upload arrives, answers come, slots are given away."""
        self.model.hear()
        for each in self._random.sample(sorted(self._uploads), max(len(self._uploads) // 12, 1)):
            fiction = self._uploads[each]
            if fiction.advance(self._random, now):
                self.model.put(Upload(fiction.resource()))
        for fiction in self._give_slots(now):
            self.model.put(Upload(fiction.resource()))
        flying = [each for each in self._uploads.values() if not each.completed]
        if len(flying) < self._count:
            stuck = sum(1 for each in flying if each.step == STEPS[-1])
            picture = stuck < self._count // 5 and self._random.random() < PICTURES
            self._arrive(Fiction.arrived(self._random, self._number, now, picture=picture))
        ended = [each for each in self._uploads.values() if each.completed]
        if len(ended) > self._count * 8:
            oldest = min(ended, key=lambda each: each.completed)
            del self._uploads[oldest.name]
            self.model.drop((NAMESPACE, oldest.name))
        self._say()

    def _arrive(self, new: Fiction) -> None:
        self._number += 1
        self._uploads[new.name] = new
        self.model.put(Upload(new.resource()))

    def _give_slots(self, now: float) -> list[Fiction]:
        """Start as many uploads as there are free slots, the oldest first; returns them."""
        at_scanner = [each for each in self._uploads.values() if each.step == "virusscan"]
        free = SLOTS["virusscan"] - sum(1 for each in at_scanner if each.state == "Running")
        queued = sorted((each for each in at_scanner if each.state == "Queued"), key=lambda each: each.since)
        for fiction in queued[: max(free, 0)]:
            fiction.begin("virusscan", now - self._random.uniform(0.1, 1))
        return queued[: max(free, 0)]
