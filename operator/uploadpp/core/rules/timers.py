"""Tick: a timer is due. `wake_at` says when the next one is."""

from collections.abc import Callable

from uploadpp.core import event_texts
from uploadpp.core.breaker import noted
from uploadpp.core.commands import Notice
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Tick
from uploadpp.core.model import Millis, Streak, Upload
from uploadpp.core.rules.order import waited_long_enough
from uploadpp.core.states import Ignored, Outcome, Stage, StepReason, StepState
from uploadpp.core.transitions import (
    back_off,
    end,
    end_step,
    finish,
    forbids_second_abort,
    proceed,
    request_url,
)


def wake_at(upload: Upload, config: Config) -> Millis | None:
    """When the upload needs a Tick; None if only an input can move it."""
    stage = upload.stage  # asked for with every change of an upload: `match` costs twice as much
    if stage is Stage.RUNNING:
        plan, started = upload.plan[upload.cursor], upload.step.started_at or upload.since
        if upload.stalled_at is None:
            return Millis(started + min(plan.timeout or plan.stall_after, plan.stall_after))
        return Millis(started + plan.timeout) if plan.timeout else None
    if stage is Stage.AWAITING_READY or stage is Stage.AWAITING_URL:
        if upload.stalled_at is not None:
            return Millis(upload.stalled_at + config.unanswered_after)
        return Millis(
            upload.since + (config.ready_after if stage is Stage.AWAITING_READY else config.url_after)
        )
    if stage in _UNTIL_NEXT_ATTEMPT:
        return upload.next_attempt_at
    if stage is Stage.AWAITING_TURN:
        return Millis(upload.since + config.order_timeout)
    return None


_UNTIL_NEXT_ATTEMPT = frozenset({Stage.DELAYING, Stage.BACKING_OFF, Stage.RELEASE_BACKING_OFF})


def fire(upload: Upload, now: Millis, config: Config, streak: Streak | None = None) -> Decision:
    """What the upload's timer does once it is due; nothing when it has none."""
    rule = RULES.get(upload.stage)
    due = wake_at(upload, config)
    if rule is None or due is None:
        return _not_due(upload)
    return rule(upload, Tick(streak), Millis(max(now, due)), config)


def check_running(upload: Upload, tick: Tick, now: Millis, config: Config) -> Decision:
    """A step that does not answer is reported, and with a timeout of its own retried (F21)."""
    plan, started = upload.plan[upload.cursor], upload.step.started_at or upload.since
    if plan.timeout and now >= started + plan.timeout:
        text = f"no answer within {plan.timeout / 1000:g} s"
        streak = tick.streak
        return back_off(upload, now, config, reason=StepReason.TIMED_OUT, message=text, streak=streak)
    if upload.stalled_at is None and now >= started + plan.stall_after:
        if tick.streak is not None:
            silent = evolve(upload.step, streak=noted(upload.step, tick.streak, counts=False))
            upload = upload.with_step(upload.cursor, silent)
        return _stall(upload, now, event_texts.step_stalled(plan.name, Millis(now - started)))
    return _not_due(upload)


def end_delay(upload: Upload, tick: Tick, now: Millis, config: Config) -> Decision:
    """The delay is over."""
    del tick
    if now < (upload.next_attempt_at or 0):
        return _not_due(upload)
    done = end_step(upload, StepState.SUCCEEDED, now, outcome=Outcome.CONTINUE)
    return proceed(done, upload.cursor + 1, now, config)


def end_delay_if_due(upload: Upload, now: Millis, config: Config) -> Decision | None:
    """The end of a delay, when it is over; None when no delay is, or it is not."""
    if upload.stage is not Stage.DELAYING or now < (upload.next_attempt_at or 0):
        return None
    return end_delay(upload, Tick(), now, config)


def try_again(upload: Upload, tick: Tick, now: Millis, config: Config) -> Decision:
    """The back-off is over: the step starts again."""
    del tick
    if now < (upload.next_attempt_at or 0):
        return _not_due(upload)
    return proceed(upload, upload.cursor, now, config)


def release_again(upload: Upload, tick: Tick, now: Millis, config: Config) -> Decision:
    """Ask the storage once more to release a file, without scanning it again."""
    del tick, config
    if now < (upload.next_attempt_at or 0):
        return _not_due(upload)
    return finish(upload, Outcome.CONTINUE, now)


def watch_release(upload: Upload, tick: Tick, now: Millis, config: Config) -> Decision:
    """UploadReady is missing: repeat what is safe to repeat (invariant 2.5), then report it, then end."""
    del tick
    if now < (wake_at(upload, config) or 0):
        return _not_due(upload)
    if upload.stalled_at is not None:
        return _give_up(upload, now, config)
    resends = upload.finishes - 1 - upload.releases
    if upload.outcome and not forbids_second_abort(upload) and resends < config.max_finish_resends:
        return finish(upload, upload.outcome, now)
    may_send_again = not forbids_second_abort(upload)
    return _stall(upload, now, event_texts.release_stalled(upload.outcome, may_send_again=may_send_again))


def watch_url(upload: Upload, tick: Tick, now: Millis, config: Config) -> Decision:
    """The storage has not sent a fresh URL: ask again, then report, then end."""
    del tick
    if now < (wake_at(upload, config) or 0):
        return _not_due(upload)
    if upload.stalled_at is not None:
        return _give_up(upload, now, config)
    if upload.url_requests < config.max_url_requests:
        return request_url(upload, now)
    return _stall(upload, now, event_texts.url_stalled())


RULES: dict[Stage, Callable[[Upload, Tick, Millis, Config], Decision]] = {
    Stage.RUNNING: check_running,
    Stage.DELAYING: end_delay,
    Stage.BACKING_OFF: try_again,
    Stage.RELEASE_BACKING_OFF: release_again,
    Stage.AWAITING_READY: watch_release,
    Stage.AWAITING_URL: watch_url,
    Stage.AWAITING_TURN: waited_long_enough,
}


def _give_up(upload: Upload, now: Millis, config: Config) -> Decision:
    """The storage has been silent for too long: end the upload without telling the storage."""
    silent = Millis(now - upload.since)
    if upload.stage is Stage.AWAITING_URL:
        notice = event_texts.url_unanswered(silent)
        upload = end_step(upload, StepState.SKIPPED, now, message="the storage sent no fresh download URL")
    else:
        may_send_again = not forbids_second_abort(upload)
        notice = event_texts.release_unanswered(upload.outcome, silent, may_send_again=may_send_again)
    decision = end(upload, Stage.UNANSWERED, now, config, message=notice.message)
    return evolve(decision, notices=(notice,))


def _stall(upload: Upload, now: Millis, notice: Notice) -> Decision:
    return Decision(evolve(upload, stalled_at=now, message=notice.message), notices=(notice,))


def _not_due(upload: Upload) -> Decision:
    return ignore(upload, Ignored.NOTHING_DUE, "no timer is due")
