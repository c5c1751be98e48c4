"""Statuses that somebody has written by hand, and nobody has checked."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_pp.sanitize import LISTS, NUMBERS, OBJECTS, sanitized_status
from kubectl_pp.upload import Upload
from uploadpp.api.codec import to_status
from uploadpp.api.schema import structural
from uploadpp.api.v1alpha1 import UploadPostprocessing
from uploadpp.testing.builders import PASSED, after

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
WHATEVER = ANYTHING | st.fixed_dictionaries(
    {},
    optional={
        "conditions": ANYTHING | st.lists(st.fixed_dictionaries({"type": ANYTHING, "reason": ANYTHING})),
        "steps": ANYTHING | st.lists(st.fixed_dictionaries({"name": ANYTHING, "attempts": ANYTHING})),
        "retryCount": ANYTHING,
        "currentStep": ANYTHING,
        "message": ANYTHING,
        "stageTime": ANYTHING,
        "log": ANYTHING,
    },
)


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, each in schema["properties"].items():
        yield name, each["type"]
        inner = each.get("items", each)
        if "properties" in inner:
            yield from fields(inner)


def test_it_knows_the_types_that_the_operator_writes() -> None:
    found = list(fields(structural(UploadPostprocessing)["properties"]["status"]))
    assert {name for name, kind in found if kind == "integer"} == NUMBERS
    assert {name for name, kind in found if kind == "array"} == LISTS
    assert {name for name, kind in found if kind == "object"} == OBJECTS


@pytest.mark.parametrize("count", range(1, len(PASSED) + 1))
def test_of_what_the_operator_writes_nothing_is_left_out(count: int) -> None:
    status = to_status(after(*PASSED[:count]))
    assert sanitized_status(status) == status


@given(WHATEVER)
def test_whatever_is_written_can_be_read(status: object) -> None:
    upload = Upload({"metadata": {"name": "a"}, "status": status})
    read = (upload.stage, upload.message, upload.step, upload.since, upload.outcome)
    assert [str(each) for each in (*read, upload.retries, upload.stuck, upload.failed, upload.virus)]
    assert all(step.attempts >= 0 or step.name is not None for step in upload.steps)
