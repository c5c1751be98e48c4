"""A copy of a value with some fields changed."""

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.model import Upload
from uploadpp.testing.builders import START


def test_a_copy_differs_in_what_was_asked_for_only() -> None:
    upload = Upload(id="x", received_at=START)
    copy = evolve(upload, run=3, message="m")
    assert copy == upload._replace(run=3, message="m")
    assert evolve(upload) == upload
    assert evolve(upload) is not upload
    with pytest.raises(KeyError):
        evolve(upload, nonsense=1)
