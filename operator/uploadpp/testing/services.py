"""The other services: a storage with its defects, and services for the steps.

They read the stream at least once, late, and sometimes not at all, as the real ones do.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import orjson

from uploadpp.core.model import DELAY_STEP, RESTARTED_BY
from uploadpp.testing.events import bytes_received, step_finished, upload_ready
from uploadpp.testing.stream import EPOCH
from uploadpp.testing.stream_recorder import Payload, Record, StreamRecorder
from uploadpp.testing.trace import Trace
from uploadpp.testing.virtual_loop import VirtualScheduler

SOON_SECONDS = (0.001, 0.05)
LATE_SECONDS = (0.5, 12.0)
USERS = ("mary", "paul")


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How the other services behave; shares from 0 to 1."""

    outcomes: dict[str, float] = field(default_factory=lambda: {"continue": 1.0})
    """Weights of what steps answer; the empty word means no answer."""
    twice: float = 0.0
    late: float = 0.0
    release_fails: float = 0.0
    ready_lost: float = 0.0
    url_seconds: float = 0.0
    """How long download URLs are valid; 0 is forever."""


@dataclass(frozen=True, slots=True)
class Sickness:
    """For a while a step answers nothing but one word; the empty one means no answer."""

    step: str
    begins: float
    ends: float
    word: str


def sicknesses(seed: int, steps: Sequence[str], seconds: float) -> list[Sickness]:
    """Some of the steps are not well for a while, within so many seconds."""
    random = Random(f"sickness {seed}")  # noqa: S311 -- a game of dice, not a secret
    found = []
    for step in steps:
        begins, length = random.uniform(0, seconds / 4), random.uniform(0, seconds)
        if random.random() < 0.8:  # noqa: PLR2004 -- a share of the steps
            found.append(Sickness(step, begins, begins + length, random.choice(["retry", "retry", ""])))
    return found


@dataclass(slots=True)
class Session:
    """An upload as the storage knows it."""

    id: str
    user: str = USERS[0]
    urls: int = 0
    """How many URLs it has had."""
    url: str = ""
    """The last of them."""
    size: int = 7
    file: str = ""
    """The id of the file that is uploaded; its own unless several uploads are of one file."""
    node: bool = True
    new_file: bool = True
    open: bool = True
    released: bool = False
    destroyed: bool = False
    """Whether bytes were removed without anybody asking for it."""


class FakeServices:
    """Storage and step services."""

    def __init__(
        self, kernel: VirtualScheduler, trace: Trace, journal: StreamRecorder, random: Random
    ) -> None:
        self._kernel = kernel
        self._trace = trace
        self._journal = journal
        self._random = random
        self.behaviour = Behaviour()
        self.script: list[str] | None = None
        """What steps answer one after another, instead of by chance."""
        self.sick: list[Sickness] = []
        self.sizes: Sequence[int] = (7,)
        """The sizes of uploaded files, in turn."""
        self.sessions: dict[str, Session] = {}
        self.urls: dict[str, str] = {}
        """Download URL to whose it is."""
        self.reachable = True
        """Whether anybody answers behind download URLs."""
        journal.listeners.append(self._on_record)

    # -- the storage ----------------------------------------------------------------------

    def know(self, upload_id: str) -> None:
        """Have a session for an upload that was never announced."""
        self.sessions[upload_id] = Session(upload_id, file=f"node-{upload_id}", urls=1)

    def upload(self, upload_id: str, *, new_file: bool = True, file: str = "") -> None:
        """A file was uploaded, by the users in turn."""
        user = USERS[len(self.sessions) % len(USERS)]
        self.sessions[upload_id] = Session(
            upload_id, user, size=self._next_size(), file=file or f"node-{upload_id}", new_file=new_file
        )
        self.announce(upload_id)

    def _next_size(self) -> int:
        return self.sizes[len(self.sessions) % len(self.sizes)]

    def announce(self, upload_id: str, *, fresh: bool = True) -> None:
        """Send BytesReceived, with a new URL or the same one again."""
        session = self.sessions[upload_id]
        again = fresh and session.urls > 0
        if fresh or not session.url:
            session.urls += fresh
            session.url = self._url(session)
        arrival = self._arrival(session)
        if again:
            arrival["ExecutingUser"] = {"id": {"opaque_id": RESTARTED_BY}}
        self._journal.publish("BytesReceived", arrival)

    def _arrival(self, session: Session) -> Payload:
        user, url = {"id": {"opaque_id": session.user}}, session.url
        resource = {"space_id": "s-1", "opaque_id": session.file}
        return bytes_received(
            session.id, ExecutingUser=user, URL=url, Filesize=session.size, ResourceID=resource
        )

    def _url(self, session: Session) -> str:
        url = f"https://storage.test/data/{session.id}-{session.urls}"
        if self.behaviour.url_seconds:
            url = self._expiring(session)
        self.urls[url] = session.id
        return url

    def _expiring(self, session: Session) -> str:
        expires = EPOCH.timestamp() + self._kernel.now + self.behaviour.url_seconds
        claims = urlsafe_b64encode(orjson.dumps({"exp": expires, "n": session.urls})).decode()
        return f"https://storage.test/data/x.{claims}.y"

    def status_of(self, url: str) -> int | None:
        """What the data gateway says about a download URL; None when it is not there."""
        if not self.reachable:
            return None
        session = self.sessions.get(self.urls.get(url, ""))
        return 200 if session is not None and session.open else 404

    def forget(self, upload_id: str) -> None:
        """The file's folder is deleted and the trash emptied: the session goes without a word."""
        session = self.sessions[upload_id]
        if session.open:
            session.open = session.node = False
            self._note(f"storage: {upload_id} was deleted by its user")

    def _finished(self, record: Record) -> None:
        session = self.sessions.get(record.upload)
        if session is None or not session.open:
            self._note(f"storage: no session of {record.upload}")
            return
        if not session.node:
            session.open, session.destroyed = False, True
            self._note(f"storage: node of {record.upload} is gone, BYTES DESTROYED")
            return
        failed = True
        match record.payload["Outcome"]:
            case "continue" if self._happens(self.behaviour.release_fails):
                self._note(f"storage: release of {record.upload} failed")
            case "continue":
                session.open, session.released, failed = False, True, False
                self._note(f"storage: released {record.upload}")
            case "delete":
                session.open = False
                self._note(f"storage: deleted {record.upload}")
            case _:
                session.node = not session.new_file
                self._note(f"storage: aborted {record.upload}")
        if self._happens(self.behaviour.ready_lost):
            self._note(f"storage: UploadReady of {record.upload} is lost")
            return
        self._answer("UploadReady", upload_ready(record.upload, failed=failed))

    def _restart(self, record: Record) -> None:
        session = self.sessions.get(record.upload)
        if session is not None and session.open:
            self.announce(record.upload)

    # -- the steps ------------------------------------------------------------------------

    def _step(self, record: Record) -> None:
        step = record.payload["StepToStart"]
        outcome = self._word_of(step)
        if not outcome:
            self._note(f"{step}: does not answer for {record.upload}")
            return
        self._answer("PostprocessingStepFinished", step_finished(record.upload, step, outcome))

    def _word_of(self, step: str) -> str:
        now = self._kernel.now
        words = [each.word for each in self.sick if each.step == step and each.begins <= now < each.ends]
        return words[0] if words else self._word()

    def _word(self) -> str:
        if self.script is not None:
            return self.script.pop(0) if self.script else "continue"
        words = self.behaviour.outcomes
        return self._random.choices(list(words), list(words.values()))[0]

    # -- reactions ------------------------------------------------------------------------

    def _on_record(self, record: Record) -> None:
        react = {
            "StartPostprocessingStep": self._step,
            "PostprocessingFinished": self._finished,
            "RestartPostprocessing": self._restart,
        }.get(record.type)
        if react is None or record.payload.get("StepToStart") == DELAY_STEP:
            return
        self._kernel.after(self._random.uniform(*SOON_SECONDS), react, record)

    def _answer(self, event: str, payload: Payload) -> None:
        """Publish, perhaps late, perhaps twice with the same or another event id."""
        late = self._happens(self.behaviour.late)
        delay = self._random.uniform(*(LATE_SECONDS if late else SOON_SECONDS))
        self._kernel.after(delay, self._publish, event, payload, self._happens(self.behaviour.twice))

    def _publish(self, event: str, payload: Payload, twice: bool) -> None:  # noqa: FBT001 -- a callback
        event_id = self._journal.publish(event, payload)
        if twice:
            again = event_id if self._random.random() < 0.5 else ""  # noqa: PLR2004 -- a coin
            delay = self._random.choice([0.0, self._random.uniform(0, 5)])
            self._kernel.after(delay, self._journal.publish, event, payload, again)

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _note(self, text: str) -> None:
        self._trace.add("world", text)
