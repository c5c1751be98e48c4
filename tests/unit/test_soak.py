"""The soak judges what it has measured: it must be able to fail."""

import random
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from bench.courses import COURSES, LATE_SECONDS, PLAIN, STEPS, TIMEOUT_SECONDS, answer_of, courses
from bench.soak import Sample, growth, judged, sizes
from bench.soakreport import render

SAMPLE = Sample(0.0, "operator", 7, True, 400_000, 100_000_000, 40, 9, 30, 1_000_000, 2_000_000)  # noqa: FBT003
FLAT = [replace(SAMPLE, at=float(at)) for at in range(0, 3000, 5)]
GOOD: dict[str, Any] = {
    "uploads": 5, "seconds": 3000.0, "rate": 2.0, "seed": 1, "kinds": {"plain": 5},
    "faults": {"kill owner": 1}, "ended_once_as_they_must": 5, "ended_twice": 0, "not_ended": 0,
    "strangers": 0, "ended_by_itself": 0, "left_over": 0, "wrong": {}, "p50_s": 0.1,
    "p99_s": 1.0, "longest_s": 2.0,
}  # fmt: skip


def report_of(samples: list[Sample], **changed: object) -> tuple[str, bool]:
    growths = judged(samples, 3000.0)
    return render({**GOOD, "growth": growths, "sizes": sizes(samples), **changed})


def test_what_is_flat_is_good() -> None:
    text, is_good = report_of(FLAT)
    assert is_good, text
    assert "memory of the operator" in text


@pytest.mark.parametrize("field", ["blocks", "memory", "descriptors", "threads", "tasks"])
def test_what_grows_is_not(field: str) -> None:
    step = {"memory": 40_000, "blocks": 100}.get(field, 0.01)
    samples = [
        replace(each, **{field: getattr(each, field) + int(number * step)})
        for number, each in enumerate(FLAT)
    ]
    assert not report_of(samples)[1]


def test_what_grew_during_the_warm_up_or_a_fault_does_not_count() -> None:
    samples = [replace(each, memory=each.memory + 50_000_000 * (each.at < 1500)) for each in FLAT]
    samples += [replace(each, memory=10**9, calm=False) for each in FLAT[-50:]]
    assert report_of(samples)[1]


@pytest.mark.parametrize(
    "changed",
    [
        {"ended_once_as_they_must": 4},
        {"ended_twice": 1},
        {"not_ended": 1},
        {"strangers": 1},
        {"ended_by_itself": 1},
        {"left_over": 1},
        {"sizes": {"etcd_bytes": {"first half": 10**6, "second half": 10**8}}},
    ],
)
def test_an_upload_that_went_wrong_fails_the_run(changed: dict[str, object]) -> None:
    assert not report_of(FLAT, **changed)[1]


def test_growth_is_that_of_the_line_through_all() -> None:
    rising = [replace(SAMPLE, at=float(at), tasks=30 + at) for at in range(11)]
    assert growth(rising, "tasks") == (35.0, 10.0)
    assert growth(rising[:1], "tasks") == (30.0, 0.0)


def test_every_course_comes_and_answers_as_it_says() -> None:
    assert sum(each.share for each in COURSES) == 1000
    found = Counter(islice(courses(1), 20_000))
    assert set(found) == set(COURSES)
    assert found[PLAIN] > 15_000
    choose = random.Random(1)  # noqa: S311
    for course in found:
        first, second = (answer_of(course, STEPS[0], attempt, choose) for attempt in (1, 2))
        last = answer_of(course, STEPS[1], 1, choose)
        assert last is not None
        ends = [each.outcome for each in (first, second) if each is not None and each.outcome != "retry"]
        assert ends in ([], ["continue"], ["continue", "continue"])
        assert (last.outcome if ends else "abort") == course.outcome
    assert LATE_SECONDS[0] < TIMEOUT_SECONDS < LATE_SECONDS[1]
