"""An upload from what the log says of it."""

from uploadpp.core.commands import Command, Kind, Mark, StartStep
from uploadpp.core.evolve import evolve
from uploadpp.core.history import Known, Said, as_of_others, catch_up
from uploadpp.core.inputs import (
    BytesReceived,
    CleanUpload,
    FinishedElsewhere,
    Input,
    Published,
    Resume,
    RetriedElsewhere,
    SpecChanged,
    StartedElsewhere,
    StepFinished,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, LogPosition, Millis, Upload
from uploadpp.core.plan_text import Planned
from uploadpp.core.states import Outcome, Stage
from uploadpp.testing.builders import FRESH_URL, RESTART_USER, START, UPLOAD_ID, arrival, by_hand
from uploadpp.testing.configs import config, step

CONFIG = config(step("virusscan"), step("policies"))


def history(*events: Input, event_id: str = "") -> list[Said]:
    return [Said(number, START, event, event_id) for number, event in enumerate(events, 1)]


def caught_up(*events: Input, event_id: str = "") -> Known:
    return catch_up(Known(None), UPLOAD_ID, history(*events, event_id=event_id), 9, "main-queue@1", CONFIG)


def upload_of(known: Known) -> Upload:
    assert known.upload is not None
    return known.upload


def starts(missing: tuple[Command, ...]) -> list[str]:
    return [each.mark.detail for each in missing if isinstance(each, StartStep)]


def test_a_start_that_is_not_in_the_log_is_missing() -> None:
    known = caught_up(arrival())
    assert (upload_of(known).stage, starts(known.missing)) == (Stage.RUNNING, ["virusscan"])


def test_one_that_is_in_the_log_is_not() -> None:
    mark = caught_up(arrival()).missing[0].mark
    known = caught_up(arrival(), Published(mark, 2), event_id=mark.event_id(UPLOAD_ID))
    assert (upload_of(known).stage, known.missing) == (Stage.RUNNING, ())


def test_one_of_an_upload_that_is_over_is_not_wanted_any_more() -> None:
    known = caught_up(arrival(), CleanUpload())
    assert (upload_of(known).stage, known.missing) == (Stage.CLEANED, ())
    assert upload_of(known).steps[0].attempts == 0, "it never went out"


def test_a_start_that_a_resume_has_replaced_gives_its_number_back() -> None:
    """Neither start went out, so the one that is left is the first."""
    known = caught_up(arrival(), Resume())
    assert [each.mark for each in known.missing] == [each.mark for each in caught_up(arrival()).missing]
    assert (starts(known.missing), upload_of(known).step.attempts) == (["virusscan"], 1)


def test_a_resume_of_another_step_changes_nothing() -> None:
    known = caught_up(arrival(), Resume(step="policies"))
    assert known == caught_up(arrival())


def test_nothing_is_known_of_an_upload_that_nobody_announced() -> None:
    assert caught_up(Resume(step="virusscan")) == Known(None)
    assert caught_up(StepFinished("virusscan", "continue")) == Known(None)


def test_our_own_events_of_an_earlier_life_are_those_of_another_service() -> None:
    retry, finish, question = (
        Published(Mark(kind, START, 1, 1, detail), 1)
        for kind, detail in [(Kind.RETRY, "virusscan"), (Kind.FINISH, "abort"), (Kind.RESTART, "virusscan")]
    )
    others = as_of_others(history(arrival(), retry, finish, question))
    assert [type(each.event) for each in others] == [BytesReceived, RetriedElsewhere, FinishedElsewhere]


def test_what_was_missing_before_is_missing_still() -> None:
    before = caught_up(arrival())
    later = catch_up(before, UPLOAD_ID, [], 20, "main-queue@1", CONFIG)
    assert later.missing == before.missing
    assert upload_of(later).log == LogPosition("main-queue@1", 20, None)


def test_what_was_missing_before_is_dropped_once_the_upload_is_over() -> None:
    said = [Said(12, Millis(START + 9), CleanUpload())]
    later = catch_up(caught_up(arrival()), UPLOAD_ID, said, 20, "main-queue@1", CONFIG)
    assert (upload_of(later).stage, later.missing) == (Stage.CLEANED, ())


def test_it_stands_where_the_log_was_read_to() -> None:
    known = caught_up(arrival(), CleanUpload())
    assert upload_of(known).log == LogPosition("main-queue@1", 9, 0)


def test_it_never_stands_before_what_it_has_heard() -> None:
    known = catch_up(Known(None), UPLOAD_ID, history(arrival(), CleanUpload()), 1, "main-queue@1", CONFIG)
    assert upload_of(known).log.sequence == 2


def test_what_another_service_has_started_is_not_missing() -> None:
    known = caught_up(arrival(), StartedElsewhere("virusscan", 2))
    assert (upload_of(known).step.attempts, known.missing) == (1, ())


def test_a_retry_that_another_service_has_published_is_not_missing() -> None:
    answered = (arrival(), StartedElsewhere("virusscan", 2), StepFinished("virusscan", "retry"))
    assert [each.mark.kind for each in caught_up(*answered).missing] == [Kind.RETRY]
    known = caught_up(*answered, RetriedElsewhere())
    assert (upload_of(known).stage, known.missing) == (Stage.BACKING_OFF, ())


def test_a_resume_of_its_step_starts_it_again() -> None:
    said = [
        *history(arrival(), StartedElsewhere("virusscan", 2)),
        Said(3, Millis(START + 2_000), Resume(step="virusscan")),
    ]
    known = catch_up(Known(None), UPLOAD_ID, said, 9, "main-queue@1", CONFIG)
    assert [each.mark.number for each in known.missing] == [2]
    assert upload_of(known).since == START + 2_000


def test_an_event_of_ours_that_nothing_waits_for_changes_nothing() -> None:
    """It was published and counted before."""
    mark = caught_up(arrival()).missing[0].mark
    twice = (arrival(), Published(mark, 2), Published(mark, 3))
    known = caught_up(*twice, event_id=mark.event_id(UPLOAD_ID))
    assert (upload_of(known).step.attempts, upload_of(known).log.start, known.missing) == (1, 2, ())


def test_an_event_of_a_stranger_with_the_id_of_ours_takes_nothing_from_us() -> None:
    mark = caught_up(arrival()).missing[0].mark
    known = caught_up(arrival(), StepFinished("policies", "retry"), event_id=mark.event_id(UPLOAD_ID))
    assert starts(known.missing) == ["virusscan"]


def test_our_own_events_tell_as_another_service_what_they_had_told() -> None:
    start, finish, mine = (
        Published(Mark(kind, START, 1, 1, detail), 7)
        for kind, detail in [(Kind.START, "virusscan"), (Kind.FINISH, "delete"), (Kind.RESUME, "token")]
    )
    others = as_of_others([Said(7, START, event, "id") for event in (start, finish, mine, Resume("a"))])
    assert others == [
        Said(7, START, StartedElsewhere("virusscan", 7), "id"),
        Said(7, START, FinishedElsewhere(Outcome.DELETE, 7), "id"),
        Said(7, START, Resume("a"), "id"),
    ]


def test_what_was_heard_before_is_not_heard_again() -> None:
    said = [Said(9, Millis(START + 9), CleanUpload())]
    again = catch_up(caught_up(arrival()), UPLOAD_ID, said, 20, "main-queue@1", CONFIG)
    assert upload_of(again).stage is Stage.RUNNING
    another = catch_up(caught_up(arrival()), UPLOAD_ID, said, 20, "main-queue@2", CONFIG)
    assert upload_of(another).stage is Stage.CLEANED, "a stream that was made anew counts from 1"


def test_a_message_that_says_no_id_has_none() -> None:
    assert Said(1, START, CleanUpload()).event_id == ""


def test_a_resume_of_another_step_keeps_nothing_back_of_what_follows() -> None:
    assert upload_of(caught_up(arrival(), Resume(step="policies"), CleanUpload())).stage is Stage.CLEANED


def test_a_start_in_place_of_ours_may_come_when_ours_is_not_missing() -> None:
    """It was given to another tool to publish."""
    before = Known(caught_up(arrival()).upload)
    said = [Said(10, Millis(START + 9), StartedElsewhere("virusscan", 10))]
    known = catch_up(before, UPLOAD_ID, said, 20, "main-queue@1", CONFIG)
    assert (upload_of(known).log.start, known.missing) == (10, ())


def test_a_request_for_a_url_that_never_went_out_gives_its_number_back() -> None:
    """The storage has announced the upload anew by itself."""
    known = caught_up(arrival(expires_at=START), arrival(FRESH_URL))
    assert (upload_of(known).url_requests, starts(known.missing)) == (0, ["virusscan"])
    before = caught_up(arrival(expires_at=START))
    assert upload_of(before).url_requests == 1
    said = [Said(10, Millis(START + 9), arrival(FRESH_URL))]
    later = catch_up(before, UPLOAD_ID, said, 20, "main-queue@1", CONFIG)
    assert (upload_of(later).url_requests, starts(later.missing)) == (0, ["virusscan"])


def test_a_request_for_a_url_counts_by_the_plan_that_the_log_tells() -> None:
    """It was decided for the first step that is configured now, and is in the log for that of the plan."""
    planned = Planned(config(step("policies"), step("virusscan")).steps)
    request, start = (Mark(kind, START, 1, 1, "policies") for kind in (Kind.RESTART, Kind.START))
    said = [
        Said(1, START, arrival(expires_at=START)),
        Said(2, Millis(START + 1_000), Published(request, 2, planned), request.event_id(UPLOAD_ID)),
        Said(3, Millis(START + 2_000), arrival(FRESH_URL)),
        Said(4, Millis(START + 3_000), Published(start, 4, planned), start.event_id(UPLOAD_ID)),
    ]
    asked = catch_up(Known(None), UPLOAD_ID, said[:2], 2, "stream", CONFIG)
    assert (upload_of(asked).stage, asked.missing) == (Stage.AWAITING_URL, ())
    known = catch_up(Known(None), UPLOAD_ID, said, 4, "stream", CONFIG)
    upload = upload_of(known)
    assert (upload.stage, upload.current_step, known.missing) == (Stage.RUNNING, "policies", ())
    assert upload.url_requests == 1


def made_by_hand(*plan: str) -> Known:
    """The resource of a person, whose first step was not published yet; it has no file, for which it asks."""
    story = by_hand()
    config_of_it = config(*map(step, plan))
    origin = evolve(story.upload.origin, by_hand=True)
    pending = evolve(story.upload, plan=config_of_it.steps, plan_fixed=True, origin=origin)
    began = decide(pending, UPLOAD_ID, SpecChanged(Control()), START, config_of_it)
    assert began.upload is not None
    return Known(began.upload, began.commands)


def test_an_announcement_overrules_what_a_person_has_made() -> None:
    """As for an owner: nothing of that resource counts, neither its steps nor what it has decided."""
    made = made_by_hand("policies")
    assert starts(made.missing) == ["policies"]
    said = [Said(12, Millis(START + 9), arrival(FRESH_URL))]
    known = catch_up(made, UPLOAD_ID, said, 20, "main-queue@1", CONFIG)
    assert known == catch_up(Known(None), UPLOAD_ID, said, 20, "main-queue@1", CONFIG)
    assert (starts(known.missing), upload_of(known).origin.by_hand) == (["virusscan"], False)


def test_of_the_same_step_only_the_start_of_the_announced_upload_is_missing() -> None:
    said = [Said(12, Millis(START + 9), arrival(FRESH_URL))]
    known = catch_up(made_by_hand("virusscan", "policies"), UPLOAD_ID, said, 20, "main-queue@1", CONFIG)
    assert [each.mark.received_at for each in known.missing] == [START + 9]


def test_an_answer_to_our_question_goes_on_with_what_a_person_has_made() -> None:
    said = [Said(12, Millis(START + 9), arrival(FRESH_URL, user=RESTART_USER))]
    known = catch_up(made_by_hand("policies"), UPLOAD_ID, said, 20, "main-queue@1", CONFIG)
    assert [each.name for each in upload_of(known).plan] == ["policies"]
