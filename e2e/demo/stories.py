"""The five uploads of the demo: what is sent, and what must have become of it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from e2e.demo.sessions import Place
from e2e.demo.steps.scanners import eicar

_MARK = secrets.token_hex(6)
USER_ID = f"user-{secrets.token_hex(6)}"
"""Shown in the resource unless that is switched off, and nowhere else."""
USER = {
    "id": {"idp": f"https://{_MARK}.example.test", "opaque_id": USER_ID, "type": 1},
    "username": f"einstein-{_MARK}",
    "mail": f"{_MARK}@example.test",
    "display_name": f"Albert {_MARK} Einstein",
    "groups": [f"physicists-{_MARK}"],
}
PERSONAL = (_MARK,)
"""What must not appear anywhere: every detail of the user but the id contains it."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """One upload and its end."""

    id: str
    """Short, so that the live table fits into 80 columns. Real upload ids are UUIDs."""
    filename: str
    content: bytes
    plan: str
    """What is going to happen to it, for the audience."""
    starts: Mapping[str, int]
    """How often each step must have been started."""
    status: str = "Completed"
    outcome: str = "continue"
    place: Place = Place.RELEASED
    retries: int = 0
    finished: int = 1
    """How many PostprocessingFinished the storage must have got."""
    stalled: bool = False


@dataclass(frozen=True, kw_only=True)
class Wave:
    """One run of the operator with a configuration, and the uploads that arrive meanwhile."""

    steps: tuple[str, ...]
    stories: tuple[Story, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


CLEAN = Story(
    id="clean",
    filename="report.pdf",
    content=b"%PDF-1.7\n" + b"a clean report\n" * 500,
    plan="a clean PDF, to be released",
    starts={"policies": 1, "virusscan": 1},
)
VIRUS = Story(
    id="virus",
    filename="invoice.com",
    content=eicar(),
    plan="the EICAR test virus, to be deleted",
    starts={"policies": 1, "virusscan": 1},
    status="Deleted",
    outcome="delete",
    place=Place.GONE,
)
FLAKY = Story(
    id="flaky",
    filename="photo.jpg",
    content=b"\xff\xd8\xff\xe0" + b"pixels" * 2000,
    plan="its scan fails twice before it succeeds",
    starts={"policies": 1, "virusscan": 3},
    retries=2,
)
ORPHAN = Story(
    id="orphan",
    filename="slides.odp",
    content=b"PK\x03\x04" + b"slides" * 1000,
    plan="one of its steps has no service",
    starts={"policies": 1, "thumbnail": 1},
    status="Stalled",
    outcome="",
    place=Place.UPLOADS,
    finished=0,
    stalled=True,
)
DELAYED = Story(
    id="delayed",
    filename="notes.txt",
    content=b"sent too early\n" * 10,
    plan="has to wait for a while before it is released",
    starts={"policies": 1, "delay": 1},
)
FAULTS = {FLAKY.filename: FLAKY.retries}
"""How often the virus scan of a file fails."""

WAVES = (
    Wave(steps=("policies", "virusscan"), stories=(CLEAN, VIRUS, FLAKY)),
    Wave(steps=("policies", "thumbnail"), stories=(ORPHAN,)),
    Wave(steps=("policies", "delay"), stories=(DELAYED,), settings={"POSTPROCESSING_DELAY": "4s"}),
)
STORIES = tuple(story for wave in WAVES for story in wave.stories)
STEP_PACE = "0.6"
"""Seconds every step takes: the real ones are too quick to be seen in `kubectl get`."""
SETTINGS = {
    "POSTPROCESSING_RETRY_BACKOFF_DURATION": "1s",
    "UPLOADPP_STALL_AFTER": "4s",
    "UPLOADPP_LEASE_DURATION": "3s",
}
"""Impatient, so that the whole demo takes less than a minute."""
