"""The table itself: who answers what, and what happens to everything else."""

import pytest

from uploadpp.core.inputs import (
    BytesReceived,
    CleanUpload,
    Follows,
    Input,
    SpecChanged,
    StepFinished,
    Tick,
    UploadReady,
)
from uploadpp.core.machine import RULES, TABLE, decide
from uploadpp.core.model import Control, Upload
from uploadpp.core.states import Ignored, Stage
from uploadpp.testing.builders import START, UPLOAD_ID, begun, config_of


def test_a_pair_of_input_and_stage_has_at_most_one_rule() -> None:
    pairs = [(row.input, stage) for row in TABLE for stage in row.stages]
    assert len(pairs) == len(set(pairs)) == len(RULES)


def test_every_message_and_every_edit_has_a_rule_until_the_end() -> None:
    for kind in (BytesReceived, StepFinished, UploadReady, SpecChanged):
        assert {stage for stage in Stage if not stage.ended} <= {s for k, s in RULES if k is kind}


@pytest.mark.parametrize("event", [UploadReady(failed=False), Follows("up-0")])
def test_a_resource_that_waits_for_its_announcement_hears_of_the_file(event: Input) -> None:
    pending = Upload(id=UPLOAD_ID, received_at=START)
    assert decide(pending, UPLOAD_ID, event, START, config_of("a")).ignored is None


def test_who_waits_for_a_timer_has_a_rule_for_it() -> None:
    waiting = {stage for kind, stage in RULES if kind is Tick}
    assert waiting == {
        Stage.RUNNING,
        Stage.DELAYING,
        Stage.BACKING_OFF,
        Stage.RELEASE_BACKING_OFF,
        Stage.AWAITING_READY,
        Stage.AWAITING_URL,
        Stage.AWAITING_TURN,
    }


@pytest.mark.parametrize(
    "event",
    [StepFinished("a", "continue"), UploadReady(failed=False), CleanUpload(), SpecChanged(Control()), Tick()],
)
def test_an_unknown_upload_stays_unknown(event: Input) -> None:
    decision = decide(None, UPLOAD_ID, event, START, config_of("a"))
    assert (decision.upload, decision.commands, decision.ignored) == (None, (), Ignored.UNKNOWN_UPLOAD)
    assert decision.why == f"{type(event).__name__} for an upload without a resource"


def test_what_has_no_rule_says_so() -> None:
    story = begun("a")
    story.cleaned()
    assert (story.cleaned().ignored, story.cleaned().why) == (
        Ignored.UPLOAD_ENDED,
        "CleanUpload means nothing while Cleaned",
    )
    pending = Upload(id=UPLOAD_ID, received_at=START)
    ignored = decide(pending, UPLOAD_ID, Tick(), START, config_of("a"))
    assert (ignored.ignored, ignored.upload) == (Ignored.NO_RULE, pending)
