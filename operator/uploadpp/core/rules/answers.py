"""StepFinished, UploadReady, CleanUpload: what other services answer."""

from collections.abc import Callable

from uploadpp.core import event_texts
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import CleanUpload, StepFinished, UploadReady
from uploadpp.core.model import MAX_MESSAGE, Millis, StepPlan, Upload
from uploadpp.core.retry import backoff
from uploadpp.core.states import DesiredState, Ignored, Outcome, RequiredResult, Stage, StepReason, StepState
from uploadpp.core.text import clean as clean_text
from uploadpp.core.transitions import (
    back_off,
    cancel,
    end,
    end_as_decided,
    end_step,
    enter,
    finish,
    proceed,
)

MAX_WORD = 63
"""Maximum length of another service's word in a message, as for the name of a step."""


def step_finished(upload: Upload, answer: StepFinished, now: Millis, config: Config) -> Decision:
    """Only the current step may answer (F6, F7); an unknown word counts as retry."""
    if answer.step != upload.current_step:
        who = clean_text(answer.step, MAX_WORD) or "a step without name"
        why = f"{who} answered while {upload.current_step} is running"
        return _after_timeout(upload, answer, now, config) or ignore(upload, Ignored.NOT_CURRENT_STEP, why)
    act = OUTCOMES.get(answer.outcome)
    if act is not None:
        return act(upload, answer, now, config)
    word = clean_text(answer.outcome, MAX_WORD)
    notice = event_texts.invalid_outcome(answer.step, word)
    decision = back_off(upload, now, config, message=notice.message, streak=answer.streak)
    return evolve(decision, notices=(notice, *decision.notices))


def _continue(upload: Upload, answer: StepFinished, now: Millis, config: Config) -> Decision:
    if _lacks_scan(upload.plan[upload.cursor], answer):
        notice = event_texts.no_scan_result(answer.step)
        decision = back_off(upload, now, config, message=notice.message, streak=answer.streak)
        return evolve(decision, notices=(notice, *decision.notices))
    done = end_step(upload, StepState.SUCCEEDED, now, outcome=Outcome.CONTINUE, message=answer.message)
    return proceed(done, upload.cursor + 1, now, config)


def _lacks_scan(plan: StepPlan, answer: StepFinished) -> bool:
    return plan.require_result is RequiredResult.SCAN and not answer.scanned


def _retry(upload: Upload, answer: StepFinished, now: Millis, config: Config) -> Decision:
    return back_off(upload, now, config, message=answer.message, streak=answer.streak)


def _reject(upload: Upload, answer: StepFinished, now: Millis, config: Config) -> Decision:
    del config
    failed = end_step(
        upload,
        StepState.FAILED,
        now,
        outcome=answer.outcome,
        reason=StepReason.REJECTED,
        message=answer.message,
    )
    decision = finish(failed, Outcome(answer.outcome), now)
    notice = event_texts.rejected(answer.step, answer.outcome, answer.message)
    return evolve(decision, notices=(notice,))


OUTCOMES: dict[str, Callable[[Upload, StepFinished, Millis, Config], Decision]] = {
    Outcome.CONTINUE: _continue,
    Outcome.RETRY: _retry,
    Outcome.ABORT: _reject,
    Outcome.DELETE: _reject,
}


def answer_of_delay(upload: Upload, answer: StepFinished, now: Millis, config: Config) -> Decision:
    """The operator runs `delay` itself; nobody else may end it."""
    why = f"{clean_text(answer.step, MAX_WORD)} answered during a delay, which the operator runs itself"
    return _after_timeout(upload, answer, now, config) or ignore(upload, Ignored.NOT_RUNNING, why)


def late_answer(upload: Upload, answer: StepFinished, now: Millis, config: Config) -> Decision:
    """No attempt is running (F6, F18): a late answer counts only if the last attempt had timed out."""
    return _after_timeout(upload, answer, now, config) or answer_to_nothing(upload, answer, now, config)


def answer_to_nothing(upload: Upload, answer: StepFinished, now: Millis, config: Config) -> Decision:
    """No step is current."""
    del now, config
    why = f"{clean_text(answer.step, MAX_WORD)} answered while the upload is {upload.stage}"
    return ignore(upload, Ignored.NOT_RUNNING, why)


def _after_timeout(upload: Upload, answer: StepFinished, now: Millis, config: Config) -> Decision | None:
    """The decision about a late answer to an attempt that had timed out; None if it is nothing new.

    The step was slow, it had not failed. A `retry` changes nothing, because one is already planned.
    """
    pairs = zip(upload.plan, upload.steps, strict=False)  # none of them before the first run
    reasons = {plan.name: (index, step.reason) for index, (plan, step) in enumerate(pairs)}
    index, reason = reasons.get(answer.step, (0, None))
    if reason is not StepReason.TIMED_OUT:
        return None
    rejects = answer.outcome in {Outcome.ABORT, Outcome.DELETE}
    if not rejects and (answer.outcome != Outcome.CONTINUE or _lacks_scan(upload.plan[index], answer)):
        return None
    step = upload.steps[index]
    was_counted = step.streak is None or step.streak.counted > 0
    if was_counted and step.state not in {StepState.HELD, StepState.FAILED}:  # the retry is not needed
        step = evolve(step, retries=max(step.retries - 1, 0))
        upload = upload.with_step(index, step)
    if rejects:
        return _reject(_turned_to(upload, index, now), answer, now, config)
    if index != upload.cursor:  # the upload is further on: it was passed over
        passed = evolve(step, state=StepState.SUCCEEDED, finished_at=now, outcome=answer.outcome, reason=None)
        return Decision(upload.with_step(index, evolve(passed, message=answer.message[:MAX_MESSAGE])))
    return _continue(upload, answer, now, config)


def _turned_to(upload: Upload, index: int, now: Millis) -> Upload:
    """The upload with a step as the current one, by which another one is cut short."""
    if index == upload.cursor:
        return upload
    if upload.cursor < len(upload.steps) and upload.step.state is not StepState.WAITING:
        upload = end_step(upload, StepState.SKIPPED, now, reason=StepReason.CANCELLED)
    return evolve(upload, cursor=index)


def upload_ready(upload: Upload, ready: UploadReady, now: Millis, config: Config) -> Decision:
    """The storage's answer to PostprocessingFinished."""
    if upload.outcome is not Outcome.CONTINUE:
        # Only `continue` is ever answered with success: the file is out, whatever we ordered, if anything.
        if upload.outcome is None or not ready.failed:
            return released_elsewhere(upload, ready, now, config)
        return end_as_decided(upload, now, config)
    if not ready.failed:
        return end_as_decided(upload, now, config)
    failures = upload.releases + 1
    failed = evolve(upload, releases=failures)
    if upload.control.desired is DesiredState.CANCELLED:
        return cancel(failed, now)
    if failures > config.max_releases:
        notice = event_texts.upload_failed(failures)
        ended = end(failed, Stage.UPLOAD_FAILED, now, config, message=notice.message).upload
        return Decision(evolve(ended, stalled_at=now), notices=(notice,))
    wait = backoff(failures, config.release_backoff, config.max_release_backoff)
    waiting = enter(
        failed,
        Stage.RELEASE_BACKING_OFF,
        now,
        next_attempt_at=Millis(now + wait),
        completed_at=None,  # it may have ended without the storage's answer
        expires_at=None,
    )
    return Decision(waiting, notices=(event_texts.release_failed(failures, wait),))


def late_upload_ready(upload: Upload, ready: UploadReady, now: Millis, config: Config) -> Decision:
    """A second answer while we wait to release again, or after we gave up."""
    if ready.failed:
        return ignore(upload, Ignored.DUPLICATE, "UploadReady(failed) was already counted")
    return end(upload, Stage.COMPLETED, now, config)


def released_elsewhere(upload: Upload, ready: UploadReady, now: Millis, config: Config) -> Decision:
    """The storage has released a file that we did not release: its bytes are out of reach now."""
    if ready.failed:
        return ignore(upload, Ignored.NOT_AWAITED, "UploadReady(failed) without PostprocessingFinished")
    notice = event_texts.released_elsewhere(upload.outcome)
    cut = end_step(upload, StepState.SKIPPED, now, reason=StepReason.RELEASED_ELSEWHERE)
    decision = end(
        evolve(cut, outcome=Outcome.CONTINUE), Stage.COMPLETED, now, config, message=notice.message
    )
    return evolve(decision, notices=(notice,))


def clean(upload: Upload, cleaned: CleanUpload, now: Millis, config: Config) -> Decision:
    """The upload is gone from the storage: stop and cancel all timers."""
    del cleaned
    cut = end_step(upload, StepState.SKIPPED, now, reason=StepReason.CLEANED)
    return end(cut, Stage.CLEANED, now, config, message="the storage's sessions command removed the upload")
