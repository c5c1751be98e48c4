"""What is late about a resource that we are done with is not believed."""

from uploadpp.resources import forgotten
from uploadpp.resources.forgotten import ForgottenResources


def test_a_resource_that_is_there_after_all_is_believed_again() -> None:
    known = ForgottenResources()
    known.remember("uid-1")
    known.restore("uid-1")
    known.restore("never heard of")
    assert "uid-1" not in known


def test_only_the_last_ones_are_remembered() -> None:
    """Deletions arrive within seconds; a list of all of them would grow as long as the process lives."""
    known = ForgottenResources()
    for number in range(forgotten.REMEMBERED + 2):
        known.remember(f"uid-{number}")
    assert ["uid-1" in known, "uid-2" in known] == [False, True]
    assert f"uid-{forgotten.REMEMBERED + 1}" in known
