"""What the spec of an upload asks for, and no owner has seen, counts when it is handed back."""

import pytest

from uploadpp.core.commands import Finish
from uploadpp.core.evolve import evolve
from uploadpp.core.handing_back import GivenBack, Kept, Nudge, give_back
from uploadpp.core.history import Known, Said, taken_over
from uploadpp.core.inputs import StepFinished
from uploadpp.core.model import Control, Millis, Origin, RestartRequest, Upload
from uploadpp.core.replay import Position
from uploadpp.core.states import CancelPolicy, DesiredState, Outcome, RestartMode, Stage
from uploadpp.testing.builders import FRESH_URL, START, UPLOAD_ID, USER, arrival
from uploadpp.testing.builders import after as after_events
from uploadpp.testing.configs import config, step

CONFIG = config(step("virusscan"), step("policies"))
AT = Position("main-queue/2026-10-02T08:15:30.120045001Z", 500)
LATER = Millis(START + 60_000)
CANCELLED = Control(desired=DesiredState.CANCELLED, cancel_policy=CancelPolicy.DELETE, generation=2)


def edited(control: Control, upload: Upload | None = None) -> Upload:
    """An upload at its first step, whose resource somebody has edited since."""
    return evolve(upload or after_events(arrival(), config=CONFIG), control=control)


def asked(mode: RestartMode, **fields: str) -> Control:
    return Control(restart=RestartRequest(token="t1", mode=mode, **fields), generation=2)


def known_of(upload: Upload, *said: Said, own_name: bool = True) -> Known:
    return taken_over(upload, said, AT, LATER, CONFIG, own_name=own_name)


def handed(known: Known) -> GivenBack:
    given = give_back(known, LATER, CONFIG)
    assert isinstance(given, GivenBack), given
    return given


def by_hand(control: Control) -> Upload:
    """A person's resource with another step, before its announcement is read."""
    made = Upload(id=UPLOAD_ID, received_at=START, plan=(step("policies"),), plan_fixed=True, control=control)
    return evolve(made, since=START, origin=Origin(executing_user=USER, by_hand=True))


ANNOUNCED = Said(120, Millis(START + 5_000), arrival())


def test_an_upload_that_was_cancelled_is_cancelled_there() -> None:
    given = handed(known_of(edited(CANCELLED)))
    assert (given.record.current, given.record.outcome) == ("finished", "delete")
    assert given.nudge is Nudge.RESUME, "nobody has told the storage yet"


def test_the_name_of_its_resource_matters_only_where_an_announcement_overrules_it() -> None:
    assert handed(known_of(edited(CANCELLED), own_name=False)).record.outcome == "delete"


def test_a_request_for_a_url_that_a_resume_makes_again_is_one_request() -> None:
    expired = Said(120, Millis(START + 5_000), arrival(FRESH_URL, expires_at=START))
    known = known_of(edited(asked(RestartMode.RESUME)), expired)
    assert known.upload is not None
    assert (known.upload.stage, known.upload.url_requests) == (Stage.AWAITING_URL, 1)
    assert [each.mark.number for each in known.missing] == [1]


def test_what_an_owner_has_seen_is_not_done_again() -> None:
    seen = evolve(edited(CANCELLED), observed_generation=2)
    assert handed(known_of(seen)).record.current == "virusscan"


@pytest.mark.parametrize("mode", [RestartMode.RESTART, RestartMode.FORCE_RESTART])
def test_an_upload_that_was_restarted_begins_there(mode: RestartMode) -> None:
    at_second = after_events(arrival(), StepFinished("virusscan", "continue"), config=CONFIG)
    given = handed(known_of(edited(asked(mode), at_second)))
    assert (given.record.current, given.nudge) == ("virusscan", Nudge.RESUME)


def test_what_the_log_says_comes_before_that() -> None:
    answer = Said(120, Millis(START + 5_000), StepFinished("virusscan", "abort"))
    known = known_of(edited(Control(desired=DesiredState.CANCELLED, generation=2)), answer)
    assert known.upload is not None
    assert (known.upload.outcome, known.upload.steps[0].outcome) == (Outcome.ABORT, "abort")
    assert [each.mark.number for each in known.missing if isinstance(each, Finish)] == [1]
    restarted = known_of(edited(asked(RestartMode.RESTART)), answer)
    assert handed(restarted).record.current == "finished", "refused: a second abort would lose the bytes"


def test_a_resume_of_a_whole_step_is_for_a_person() -> None:
    given = handed(known_of(edited(asked(RestartMode.RESUME_STEP))))
    assert (given.record.current, given.nudge) == ("virusscan", Nudge.NOTHING)
    assert given.remark == "its restart t1 asks for `postprocessing resume -s virusscan`"


@pytest.mark.parametrize("seen", [False, True])
def test_a_suspension_behind_a_step_is_said_to_be_impossible(*, seen: bool) -> None:
    control = Control(desired=DesiredState.SUSPENDED, generation=2)
    given = handed(known_of(evolve(edited(control), observed_generation=2 * seen)))
    assert given.remark == "it was to be suspended behind its step, which the service cannot do: it continues"


def test_what_has_not_begun_stays_here() -> None:
    pending = evolve(by_hand(CANCELLED), origin=arrival().origin)
    assert give_back(known_of(pending), LATER, CONFIG) == Kept("it has not begun: Pending")


@pytest.mark.parametrize(
    ("desired", "stage"),
    [
        (DesiredState.ACTIVE, Stage.RUNNING),
        (DesiredState.SUSPENDED, Stage.SUSPENDED),
        (DesiredState.CANCELLED, Stage.AWAITING_READY),
    ],
)
def test_what_an_overruled_resource_asks_for_counts_if_it_is_that_of_the_upload(
    desired: DesiredState, stage: Stage
) -> None:
    control = Control(desired=desired, generation=3)
    known = known_of(by_hand(control), ANNOUNCED)
    assert known.upload is not None
    assert (known.upload.id, known.upload.stage, known.upload.plan) == (UPLOAD_ID, stage, CONFIG.steps)
    assert known.upload.log.stream == AT.stream
    left_alone = known_of(by_hand(control), ANNOUNCED, own_name=False)
    assert left_alone.upload is not None
    assert left_alone.upload.stage is Stage.RUNNING


def test_one_that_is_cancelled_before_it_begins_is_cancelled_there() -> None:
    given = handed(known_of(by_hand(CANCELLED), ANNOUNCED))
    assert (given.record.steps, given.record.current) == (("virusscan", "policies"), "finished")
    assert (given.record.outcome, given.nudge) == ("delete", Nudge.RESUME)


def test_the_restart_of_an_overruled_resource_counts_behind_the_announcement() -> None:
    control = asked(RestartMode.RESTART, from_step="policies")
    known = known_of(by_hand(control), ANNOUNCED)
    assert (handed(known).record.current, handed(known).nudge) == ("policies", Nudge.RESUME)
    left_alone = known_of(by_hand(control), ANNOUNCED, own_name=False)
    assert handed(left_alone).record.current == "virusscan"
