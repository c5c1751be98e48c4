"""Made-up uploads that move: for people who are deciding, for screenshots, and for tests."""

import random
import threading
import time
from collections.abc import Iterator

from kubectl_pp.errors import MissingError
from kubectl_pp.sound import Json
from kubectl_pp.ui.fiction import HOSTILE, STEPS, Fiction
from kubectl_pp.ui.model import Model
from kubectl_pp.upload import KIND, Upload

COUNT = 160
"""In flight."""
TICK_SECONDS = 0.5
SLOTS = {"virusscan": 8}
SEED = 7
NAMESPACE = "ocis"


class Demo:
    """A small installation: the scanner is busy, the thumbnailer has no service."""

    def __init__(self, count: int = COUNT, *, moving: bool = True) -> None:
        self.model = Model()
        self._count, self._moving = count, moving
        self._random = random.Random(SEED)  # noqa: S311 -- made up, and the same each time
        self._uploads: dict[str, Fiction] = {}
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to fill the model."""
        now = time.time()
        made = list(self._begin(now))
        self._uploads = {each.name: each for each in made}
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
                "text": "operator uploadpp-0 says that it is ready",
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
                "text": "event stream: 0 messages not read, 3 read and not yet acknowledged",
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
        free = SLOTS["virusscan"] - sum(
            1 for each in self._uploads.values() if each.step == "virusscan" and each.state == "Running"
        )
        queued = [each for each in self._uploads.values() if each.state == "Queued"]
        for fiction in sorted(queued, key=lambda each: each.since)[: max(free, 0)]:
            fiction.start(now)
            self.model.put(Upload(fiction.resource()))
        flying = sum(1 for each in self._uploads.values() if not each.completed)
        if flying < self._count:
            new = Fiction.arrived(self._random, len(self._uploads), now)
            self._uploads[new.name] = new
            self.model.put(Upload(new.resource()))
        self._say()
