"""An upload from what the log says of it."""

from uploadpp.core.commands import Command, Kind, Mark, StartStep
from uploadpp.core.history import Known, Said, as_of_others, catch_up
from uploadpp.core.inputs import (
    BytesReceived,
    CleanUpload,
    FinishedElsewhere,
    Input,
    Published,
    Resume,
    RetriedElsewhere,
)
from uploadpp.core.model import Upload
from uploadpp.core.states import Stage
from uploadpp.testing.builders import START, UPLOAD_ID, arrival
from uploadpp.testing.plans import config, step

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


def test_our_own_events_of_an_earlier_life_are_those_of_another_service() -> None:
    retry, finish, question = (
        Published(Mark(kind, START, 1, 1, detail), 1)
        for kind, detail in [(Kind.RETRY, "virusscan"), (Kind.FINISH, "abort"), (Kind.RESTART, "virusscan")]
    )
    others = as_of_others(history(arrival(), retry, finish, question))
    assert [type(each.event) for each in others] == [BytesReceived, RetriedElsewhere, FinishedElsewhere]
