"""`stats`: percentiles, and the slots of steps with an adaptive limit."""

import pytest

from kubectl_pp.upload import Upload
from kubectl_pp.verbs.stats import rank


def test_percentiles_are_values_that_occurred() -> None:
    assert [rank([1.0, 2.0, 3.0, 4.0], p) for p in (0, 50, 95, 100)] == [1.0, 2.0, 4.0, 4.0]
    assert rank([7.0], 50) == 7.0


def queued(message: str, stage: str = "Queued") -> Upload:
    """An upload that says this."""
    condition = {"type": "Succeeded", "reason": stage}
    return Upload({"metadata": {"name": "u"}, "status": {"message": message, "conditions": [condition]}})


def test_what_queued_uploads_say_of_an_adaptive_limit() -> None:
    assert queued("3 slots now, between 2 and 40, 5 other uploads were queued before").slots == (3, 2, 40)
    assert queued("1 slot now, between 1 and 2, 0 other uploads were queued before").slots == (1, 1, 2)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "8 slots, 5 other uploads were queued before",
        "x slots now, between 2 and 40, 5 other uploads were queued before",
        "3 slots now, between \u0663 and 40, 5 other uploads",
        "3 slots now, between 2 and",
        "step virusscan is not well since yesterday, and so on",
    ],
)
def test_other_messages_say_nothing_of_it(message: str) -> None:
    assert queued(message).slots is None


def test_uploads_that_are_not_queued_say_nothing_of_it() -> None:
    assert queued("3 slots now, between 2 and 40, 5 other uploads", "Running").slots is None
