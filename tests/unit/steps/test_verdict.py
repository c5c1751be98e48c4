"""Nothing but the four outcomes can be said, and whatever can be said can be sent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from uploadpp.core.states import Outcome
from uploadpp.steps import Abort, Continue, Delete, Retry, Verdict, VirusscanResult, step
from uploadpp.steps.decorator import Step
from uploadpp.steps.upload import Upload
from uploadpp.steps.verdict import BY_OUTCOME


def test_there_are_four() -> None:
    assert set(BY_OUTCOME) == set(Outcome)
    spoken = [each().outcome.value for each in (Continue, Retry, Abort, Delete)]
    assert spoken == ["continue", "retry", "abort", "delete"]


class Made(Delete):
    """An author's own."""


class Up(Verdict):
    outcome = "up"  # type: ignore[assignment]


def test_an_authors_own_kind_of_verdict_has_one_of_the_four() -> None:
    assert Made("x").outcome is Outcome.DELETE
    for wrong in (Verdict, Up):
        with pytest.raises(TypeError, match="use Continue"):
            wrong("x")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"message": b"x"}, "string"),
        ({"result": [1]}, "mapping"),
        ({"result": {"a": {1}}}, "serializable"),
        ({"result": {"a": float("nan")}}, "JSON"),
        ({"result": {"a": "\ud800"}}, "surrogates"),
        ({"result": {"a": "x" * 70_000}}, "larger"),
    ],
)
def test_what_could_not_be_sent_cannot_be_made(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        Continue(**arguments)


def test_a_virus_has_a_name_and_a_time_has_a_zone() -> None:
    with pytest.raises(ValueError, match="description"):
        VirusscanResult(infected=True)
    with pytest.raises(ValueError, match="zone"):
        VirusscanResult(scanned_at=datetime.now(UTC).replace(tzinfo=None))


async def work(upload: Upload) -> Verdict:
    return Continue(upload.filename)


async def test_a_step_can_be_called() -> None:
    made = step("mine", concurrency=2, timeout=None)(work)
    assert (await made(Upload.of(b"", "a.txt"))).message == "a.txt"
    assert (made.name, made.concurrency, made.timeout_seconds) == ("mine", 2, None)


@pytest.mark.parametrize("name", ["", " a", "a,b", "x" * 64, "delay", "finished", "virus scan", "a;b", "'a'"])
def test_names_that_no_step_can_have(name: str) -> None:
    with pytest.raises(ValueError, match=r"name|word"):
        step(name)(work)


def test_numbers_must_be_positive_and_functions_async() -> None:
    with pytest.raises(ValueError, match="positive"):
        Step("a", work, 0, 1)
    with pytest.raises(ValueError, match="positive"):
        Step("a", work, 1, 0)
    with pytest.raises(TypeError, match="async"):
        step("a")(lambda _: Continue())  # type: ignore[arg-type,return-value]
