"""What becomes of an upload of the soak: the answers that its steps give, and how it must end."""

import random
from collections.abc import Iterator
from typing import NamedTuple

STEPS = ("policies", "virusscan")
"""The steps, in their order. What is unusual happens at the first."""
TIMEOUT_SECONDS = 20
MAX_RETRIES = 2
LATE_SECONDS = (0.8 * TIMEOUT_SECONDS, 1.6 * TIMEOUT_SECONDS)
"""When a late answer comes: some just in time, some while the next attempt is running."""


class Answer(NamedTuple):
    """One answer of a step service, so many seconds after its start."""

    outcome: str
    after: float = 0.0
    copies: int = 1


class Course(NamedTuple):
    """A kind of upload, how many of 1,000 are of it, and the outcome that the storage must be told."""

    name: str
    share: int
    outcome: str = "continue"


PLAIN = Course("plain", 780)
COURSES = (
    PLAIN,
    Course("answered twice", 60),
    Course("retried", 50),
    Course("answered late", 40),
    Course("silent once", 30),
    Course("aborted", 20, "abort"),
    Course("deleted", 10, "delete"),
    Course("never answered", 10, "abort"),
)


def courses(seed: int) -> Iterator[Course]:
    """A course for each upload, the same ones for the same seed."""
    choose = random.Random(seed)  # noqa: S311 -- chosen again in the next run
    weights = [each.share for each in COURSES]
    while True:
        yield choose.choices(COURSES, weights)[0]


def answer_of(course: Course, step: str, attempt: int, choose: random.Random) -> Answer | None:
    """What the service of a step answers to its start; None if it never does."""
    first = attempt == 1
    usual = Answer("continue")
    if step != STEPS[0]:
        return usual._replace(outcome=course.outcome) if course.name in {"aborted", "deleted"} else usual
    match course.name:
        case "answered twice":
            return usual._replace(copies=2)
        case "retried" if first:
            return Answer("retry")
        case "answered late" if first:
            return usual._replace(after=choose.uniform(*LATE_SECONDS))
        case "silent once" if first:
            return None
        case "never answered":
            return None
    return usual
