"""Which resources an upload may begin by."""

from typing import Any

import pytest

from tests.unit.resources.test_event_handler import VICTIM, Side, driven
from uploadpp.api.codec import to_status
from uploadpp.core.naming import ADOPTED_ANNOTATION, ENDED_ANNOTATION
from uploadpp.core.states import Stage
from uploadpp.testing.builders import RESTART_USER, after, arrival
from uploadpp.testing.pipelines import CONFIG


@pytest.mark.parametrize("at", ["list", "watch"])
def test_an_adoption_that_is_not_finished_is_left_alone_until_it_is(at: str) -> None:
    """Without a status it would be held as if it came from a backup."""
    side = Side()
    side.applier.act()
    finished = driven(VICTIM)
    finished["metadata"]["annotations"] = {ADOPTED_ANNOTATION: "2026-11-18T11:06:00Z"}
    (side.inputs.listed if at == "list" else side.inputs.seen)({**finished, "status": {}})
    assert side.owner() == ""
    assert side.told == [(VICTIM, "LeftAlone")]
    side.inputs.seen(finished)
    assert side.owner() == VICTIM


@pytest.mark.parametrize("at", ["list", "watch"])
@pytest.mark.parametrize("annotation", [ADOPTED_ANNOTATION, ENDED_ANNOTATION])
@pytest.mark.parametrize("restored", [True, False])
def test_what_has_a_status_is_taken_also_before_its_first_run(
    annotation: str, at: str, *, restored: bool
) -> None:
    """Held until a person lets it begin, or written for an earlier resource of that name."""
    side = Side()
    side.applier.act()
    held = driven(VICTIM)
    upload = after(arrival(user=RESTART_USER), upload_id=VICTIM, config=CONFIG)
    assert (upload.stage, upload.run) == (Stage.HELD, 0)
    held["metadata"]["annotations"] = {annotation: "2026-11-18T11:06:00Z"}
    held["status"] = to_status(upload, "another" if restored else "")
    (side.inputs.listed if at == "list" else side.inputs.seen)(held)
    side.inputs.reconcile_all()
    assert (side.owner(), side.told, side.upload.stage) == (VICTIM, [], Stage.HELD)
    edited = {**held, "spec": {**held["spec"], "restart": {"token": "t", "mode": "ForceRestart"}}}
    edited["metadata"] = {**held["metadata"], "generation": 2, "resourceVersion": "6"}
    side.inputs.seen(edited)
    assert side.upload.run == 1, "the request of a person is heard"


@pytest.mark.parametrize("status", [{}, None, {"message": "nothing that counts"}])
def test_what_ended_before_it_was_recorded_does_not_begin(status: dict[str, Any] | None) -> None:
    side = Side()
    side.applier.act()
    ended = driven(VICTIM)
    ended["metadata"]["annotations"] = {ENDED_ANNOTATION: "Completed"}
    side.inputs.seen({**ended, "status": status})
    assert (side.owner(), side.told) == ("", [(VICTIM, "LeftAlone")])
