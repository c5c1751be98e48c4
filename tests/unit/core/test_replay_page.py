"""The two examples of docs/replay.md, message by message."""

from uploadpp.core.commands import Command
from uploadpp.core.config import Config
from uploadpp.core.decision import AnyDecision
from uploadpp.core.inputs import Input, Resume, StepFinished, Tick, UploadReady
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.core.replay import Position, apply, recount, wanted
from uploadpp.core.states import Ignored, Stage
from uploadpp.testing.builders import SECOND, START, UPLOAD_ID, arrival, come_back

CONFIG = Config(steps=(StepPlan(name="policies"), StepPlan(name="virusscan")))


def read(upload: Upload | None, event: Input, position: int) -> AnyDecision:
    """The message at a position; one a second."""
    at = Millis(START + (position - 100) * SECOND)
    return apply(upload, UPLOAD_ID, event, Position("stream", position), at, CONFIG)


def changed(decision: AnyDecision) -> Upload:
    assert decision.upload is not None
    return decision.upload


def own(command: Command, upload: Upload, position: int) -> AnyDecision:
    """A command of ours, met in the stream."""
    return read(upload, come_back(command, position, upload), position)


def written() -> tuple[Upload, Command]:
    """What the resource says after 104, and the command that stands there."""
    arrived = read(None, arrival(), 101)
    started = own(arrived.commands[0], changed(arrived), 102)
    passed = read(changed(started), StepFinished("policies", "continue"), 103)
    scan = passed.commands[0]
    return changed(own(scan, changed(passed), 104)), scan


def backing_off() -> tuple[Upload, Command]:
    """After 106, and the held command that was met there."""
    upload, _ = written()
    failed = read(upload, StepFinished("virusscan", "retry"), 105)
    (notice,) = failed.commands
    return changed(own(notice, changed(failed), 106)), notice


def test_the_written_status() -> None:
    upload, _ = written()
    assert (upload.stage, upload.current_step, upload.step.attempts) == (Stage.RUNNING, "virusscan", 1)
    assert (upload.log.sequence, upload.log.start) == (103, 104)


def test_an_event_that_the_state_stands_for_is_not_news() -> None:
    upload, scan = written()
    met = own(scan, upload, 104)
    assert (met.ignored, met.upload) == (Ignored.ALREADY_APPLIED, upload)


def test_an_event_that_is_ahead_is_explained_by_the_timer() -> None:
    before, _ = backing_off()
    assert before.next_attempt_at is not None
    (second,) = decide(before, UPLOAD_ID, Tick(), before.next_attempt_at, CONFIG).commands
    met = own(second, before, 107)
    upload = changed(met)
    assert met.commands == ()
    assert (upload.stage, upload.step.attempts, upload.step.retries) == (Stage.RUNNING, 2, 1)
    assert (upload.log.sequence, upload.log.start) == (105, 107)


def test_a_command_that_was_overtaken_is_taken_off_the_count() -> None:
    upload, _ = backing_off()
    resumed = read(upload, Resume(), 107)
    (second,) = resumed.commands
    assert changed(resumed).step.attempts == 2
    over = changed(read(changed(resumed), UploadReady(failed=False), 108))
    assert over.stage is Stage.COMPLETED
    assert not wanted(over, second)
    assert recount(over, [second.mark], []).steps[1].attempts == 1


def test_no_answer_counts_before_its_command_is_published() -> None:
    arrived = changed(read(None, arrival(), 101))
    early = read(arrived, StepFinished("policies", "continue"), 102)
    assert early.ignored is Ignored.BEFORE_START
