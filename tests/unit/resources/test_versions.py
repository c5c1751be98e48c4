"""Uploads that a later version has written: nothing is read, instead of passing the answers to them over."""

from typing import Any

import pytest

from uploadpp.api.codec import ALL_SHOWN, from_resource, to_resource, to_status
from uploadpp.api.decode import STATUS_MANAGER
from uploadpp.api.field_reader import InvalidResourceError
from uploadpp.core.model import Origin
from uploadpp.kube.sealing import SealError, UnknownContentError
from uploadpp.resources.versions import LaterVersionError, VersionCheck
from uploadpp.testing.builders import CONFIG, PASSED, after

NO_WORD_OF_OURS = {
    "a stage": lambda status: status["conditions"][0].update(reason="Singing"),
    "the state of a step": lambda status: status["steps"][1].update(state="Dancing"),
    "an outcome": lambda status: status.update(outcome="perhaps"),
    "why a step has failed": lambda status: status["steps"][0].update(reason="Bored"),
}


def resource(*managers: str, uid: str = "uid-1") -> dict[str, Any]:
    """An upload under way, and who has written its status."""
    upload = after(*PASSED[:2])
    made = to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="")
    managed = [{"manager": manager, "subresource": "status"} for manager in managers]
    made["metadata"] |= {"uid": "uid-1", "managedFields": [{"manager": "helm"}, *managed]}
    return {**made, "status": to_status(upload, uid)}


def error_of(made: dict[str, Any]) -> InvalidResourceError:
    with pytest.raises(InvalidResourceError) as caught:
        from_resource(made, CONFIG, Origin())
    return caught.value


def stops(made: dict[str, Any], error: Exception) -> str:
    """What is said when that stops the shard; empty when it does not."""
    check = VersionCheck()
    check.failed(made, error)
    try:
        check.settle()
    except LaterVersionError as why:
        return str(why)
    return ""


@pytest.mark.parametrize("what", NO_WORD_OF_OURS)
def test_a_state_of_a_later_version_stops_the_shard(what: str) -> None:
    made = resource(STATUS_MANAGER)
    NO_WORD_OF_OURS[what](made["status"])
    error = error_of(made)
    assert str(error) in stops(made, error)
    assert made["metadata"]["name"] in stops(made, error)


@pytest.mark.parametrize(
    ("managers", "uid"),
    [
        (("kubectl-patch",), "uid-1"),
        ((STATUS_MANAGER, "kubectl-patch"), "uid-1"),
        ((), "uid-1"),
        ((STATUS_MANAGER,), "of another"),
    ],
    ids=["somebody", "somebody as well", "not known", "from a backup"],
)
def test_what_somebody_else_has_written_stops_nobody(managers: tuple[str, ...], uid: str) -> None:
    made = resource(*managers, uid=uid)
    unknown = resource(STATUS_MANAGER)
    NO_WORD_OF_OURS["a stage"](unknown["status"])
    assert stops(made, error_of(unknown)) == ""


@pytest.mark.parametrize("change", [{"run": "1"}, {"steps": []}, {"startTime": "yesterday"}, {"log": 7}])
def test_what_is_damaged_is_of_no_later_version(change: dict[str, object]) -> None:
    made = resource(STATUS_MANAGER)
    made["status"] |= change
    assert stops(made, error_of(made)) == ""


def test_what_a_person_asks_for_in_other_words_is_of_no_later_version() -> None:
    made = resource(STATUS_MANAGER)
    made["spec"]["desiredState"] = "Asleep"
    assert stops(made, error_of(made)) == ""


def test_a_sealed_part_of_another_form_is_of_a_later_version() -> None:
    made = resource(STATUS_MANAGER)
    assert "its content cannot be read" in stops(made, UnknownContentError())
    assert stops(made, SealError("damaged")) == ""


def test_several_are_counted_and_one_is_named() -> None:
    check, error = VersionCheck(), UnknownContentError()
    for name in ("a", "b", "a"):
        made = resource(STATUS_MANAGER)
        made["metadata"]["name"] = name
        check.failed(made, error)
    with pytest.raises(
        LaterVersionError, match=r"^2 uploads are written by a later version .*\(a: spec.sealed"
    ):
        check.settle()


def test_fields_and_conditions_of_a_later_version_are_passed_over() -> None:
    made = resource(STATUS_MANAGER)
    known = from_resource(made, CONFIG, Origin())
    status = made["status"]
    status["conditions"].insert(0, {"type": "Insured", "status": "True", "reason": "Paid", "message": ""})
    status["mood"] = {"of": ["the", "day"]}
    status["steps"][0]["colour"] = "green"
    status["log"]["depth"] = 7
    made["spec"]["luck"] = "good"
    made["metadata"]["annotations"] = {"uploadpp.io/of-tomorrow": "yes"}
    assert from_resource(made, CONFIG, Origin()) == known
