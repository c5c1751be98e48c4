"""What people ask for: resume, restart, suspend, cancel."""

from uploadpp.core import event_texts
from uploadpp.core.commands import Kind, Mark, RequestRestart, ResumeStep
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, UnknownDecision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Resume, SpecChanged
from uploadpp.core.model import FINISHED_STEP, Millis, RestartRequest, Upload
from uploadpp.core.rules.arrival import hold_restored
from uploadpp.core.rules.past_ends import refuses_resume
from uploadpp.core.states import (
    UNHEARD,
    DesiredState,
    Ignored,
    Outcome,
    RestartMode,
    Stage,
    StepReason,
)
from uploadpp.core.transitions import (
    approach,
    begin_run,
    cancel,
    end_untold,
    finish,
    forbids_second_abort,
    proceed,
)

FOLD_MS = 1_000
FOLDED = {Stage.RUNNING, Stage.AWAITING_URL, Stage.AWAITING_READY}
"""Stages in which a Resume publishes something again: in a loop it would do so for each upload each time."""

BEGUN_BY_COMMAND = {Stage.RUNNING, Stage.DELAYING, Stage.AWAITING_READY}
"""Stages that begin with a command, whose position in the log is that of the upload's start."""

UNMOVED = {Stage.PENDING, Stage.SUSPENDED}
"""Stages that the desired state may lead out of: that comes before a request for others."""


def resume_unknown(now: Millis) -> UnknownDecision:
    """Ask the storage to announce an upload that we do not know, as the legacy service does.

    Two within a second are the same request with the same event id, of which the stream keeps one.
    """
    second = Millis(now - now % FOLD_MS)
    return UnknownDecision((RequestRestart(Mark(Kind.RESTART, second, 0, 1)),))


def resume(upload: Upload, request: Resume, now: Millis, config: Config) -> Decision:
    """Do again what the upload waits for, with the pending timer cancelled (F15, F17)."""
    if not has_pending_step_resume(upload, request.token):
        if request.step and upload.stage in FOLDED and now - upload.since < FOLD_MS:
            why = "what the resume asks for was done less than a second ago"
            return ignore(upload, Ignored.DUPLICATE, why)
        return _resume_of_log(upload, request, now, config)
    # The request in the spec is in the log, and what it led to was not stored before a crash.
    granted = evolve(upload, observed_token=request.token, restarts=upload.restarts + 1)
    decision = _resume_of_log(granted, request, now, config)
    return Decision(granted) if decision.ignored else decision


def _resume_of_log(upload: Upload, request: Resume, now: Millis, config: Config) -> Decision:
    """Carry out a request of the log, unless the start or the release that it asks for is not published yet.

    Then one attempt is enough. A replay would count a second one otherwise: it may decide the start early,
    because it does not know that the upload was suspended or queued, and that the request did nothing.
    """
    if upload.log.start is not None or upload.stage not in BEGUN_BY_COMMAND:
        return _resume(upload, request, now, config)
    renewed = evolve(upload, releases=0)
    if renewed != upload and not _nothing_to_resume(upload, request):
        return Decision(renewed)
    return ignore(upload, Ignored.DUPLICATE, "what the resume asks for is about to be published")


def _resume(upload: Upload, request: Resume, now: Millis, config: Config) -> Decision:
    refusal = refuses_resume(upload) or _nothing_to_resume(upload, request)
    if refusal is not None:
        return ignore(upload, *refusal)
    match upload.stage:
        case Stage.PENDING:
            return begin_run(upload, now, config)
        case Stage.HELD if upload.is_held_unbegun:
            return begin_run(upload, now, config)
        case Stage.AWAITING_READY | Stage.RELEASE_BACKING_OFF | Stage.UPLOAD_FAILED:
            return _release_again(upload, now)
        case Stage.GONE | Stage.UNANSWERED:
            return _release_again(upload, now) if upload.outcome else begin_run(upload, now, config)
    if upload.stage is Stage.HELD and upload.step.reason is StepReason.TOO_LARGE:
        return approach(upload, upload.cursor, now, config)
    if upload.stage is Stage.HELD:
        upload = upload.with_step(upload.cursor, evolve(upload.step, retries=0))
    return proceed(upload, upload.cursor, now, config)


def has_pending_step_resume(upload: Upload, token: str) -> bool:
    """Whether an upload has a request for its whole step, of this token, that was not carried out yet."""
    request = upload.control.restart
    pending = request is not None and request.mode is RestartMode.RESUME_STEP and request.token == token
    return pending and upload.observed_token != token


def concerns(upload: Upload, event: Resume) -> bool:
    """Whether a Resume without an id is for this upload."""
    return upload.current_step == event.step or has_pending_step_resume(upload, event.token)


def _nothing_to_resume(upload: Upload, request: Resume) -> tuple[Ignored, str] | None:
    if request.step and request.step != upload.current_step:
        return Ignored.OTHER_STEP, f"the upload is not in step {request.step}"
    if upload.stage.in_step and upload.control.desired is DesiredState.SUSPENDED:
        return Ignored.SUSPENDED, "the upload is suspended; set spec.desiredState to Active"
    if upload.stage in UNHEARD | {Stage.PENDING} and upload.control.desired is DesiredState.CANCELLED:
        return Ignored.UPLOAD_ENDED, "the upload is cancelled"
    if upload.stage is Stage.QUEUED:
        return Ignored.NOTHING_DUE, f"the upload is waiting for a slot at step {upload.current_step}"
    if upload.stage is Stage.AWAITING_TURN:
        return Ignored.NOTHING_DUE, f"the upload is waiting for upload {upload.order.after} of the same file"
    if upload.stage.ended and upload.stage not in UNHEARD | {Stage.UPLOAD_FAILED}:
        return Ignored.UPLOAD_ENDED, f"the upload has ended: {upload.stage}"
    return None


def _release_again(upload: Upload, now: Millis) -> Decision:
    if forbids_second_abort(upload):
        why = "PostprocessingFinished(abort) a second time would make the storage remove the bytes (F14)"
        return ignore(upload, Ignored.UPLOAD_ABORTED, why)
    outcome = upload.outcome or Outcome.CONTINUE
    return finish(evolve(upload, releases=0), outcome, now)


def spec_changed(upload: Upload, change: SpecChanged, now: Millis, config: Config) -> Decision:
    """Bring an upload in line with its spec: a new restart token first, then the desired state."""
    control = change.control
    seen = evolve(upload, control=control, observed_generation=control.generation)
    if upload.lost_status:
        decision = hold_restored(seen, now, config)
    elif control.restart is not None and control.restart.token != upload.observed_token:
        decision = restart(seen, control.restart, now, config)
    else:
        decision = _towards_desired(seen, now, config)
    if decision.upload == upload:
        return ignore(upload, Ignored.NOTHING_DUE, "the spec asks for nothing new")
    return decision


def _towards_desired(upload: Upload, now: Millis, config: Config) -> Decision:
    if upload.control.desired is DesiredState.CANCELLED:
        return _cancelled(upload, now, config)
    if upload.stage is Stage.PENDING:
        return begin_run(upload, now, config)
    if upload.stage is Stage.SUSPENDED and upload.control.desired is DesiredState.ACTIVE:
        return proceed(upload, upload.cursor, now, config)
    if upload.stage is Stage.QUEUED:
        suspended = upload.control.desired is DesiredState.SUSPENDED
        if suspended or not config.has_queue(upload.current_step):  # as before a change of settings
            return proceed(upload, upload.cursor, now, config)
    if upload.stage is Stage.AWAITING_TURN:
        suspended = upload.control.desired is DesiredState.SUSPENDED
        if suspended or not config.order_timeout:
            return proceed(upload, upload.cursor, now, config)
    return Decision(upload)


def _cancelled(upload: Upload, now: Millis, config: Config) -> Decision:
    unanswered = upload.stage is Stage.AWAITING_READY and upload.stalled_at is not None
    may_have_ended = upload.is_held_unbegun and not upload.policy_holds
    if may_have_ended or unanswered:  # a second outcome could make the storage destroy the bytes
        return end_untold(upload, now, config)
    if upload.stage is Stage.AWAITING_READY and upload.outcome is upload.control.cancel_outcome:
        return Decision(upload)
    if upload.stage is Stage.AWAITING_READY:
        return Decision(upload, notices=(event_texts.cancel_too_late(upload.outcome),))
    if upload.stage.ended and upload.stage is not Stage.UPLOAD_FAILED:
        return Decision(upload)
    return cancel(upload, now)


def restart(upload: Upload, request: RestartRequest, now: Millis, config: Config) -> Decision:
    """Answer a new `spec.restart` token: resume, a new run, or a refusal that says why (F13)."""
    asked = evolve(upload, observed_token=request.token)
    refusal = _refusal(asked, request)
    if refusal:
        return _refused(asked, refusal, now, config)
    granted = evolve(asked, restarts=asked.restarts + 1)
    if request.mode is RestartMode.RESUME_STEP:
        # This upload too goes on when the event comes back: one message, and so done for all or for none.
        step = request.from_step or upload.current_step
        mark = Mark(Kind.RESUME, granted.received_at, granted.run, 1, request.token, request.token)
        return Decision(granted, (ResumeStep(mark, step),), (event_texts.step_resumed(step, request.token),))
    if request.mode is RestartMode.RESUME:
        decision = _resume(granted, Resume(), now, config)
        if decision.ignored:
            return _refused(asked, decision.why, now, config)
    else:
        names = [step.name for step in granted.plan]
        first = names.index(request.from_step) if request.from_step else 0
        if _has_just_begun(granted, first, now):
            return Decision(granted)
        decision = begin_run(granted, now, config, first)
    notice = event_texts.restarted(request.mode, request.token)
    return evolve(decision, notices=(notice, *decision.notices))


def _has_just_begun(upload: Upload, first: int, now: Millis) -> bool:
    """Whether the run that a restart asks for began less than a second ago, as in a loop of edits."""
    begun = upload.stage is Stage.RUNNING and upload.cursor == first == upload.left_out_by_restart
    recent = upload.started_at is not None and 0 <= now - upload.started_at < FOLD_MS
    return begun and recent and upload.restarts > 1 and upload.step.attempts == 1


def _refusal(upload: Upload, request: RestartRequest) -> str:
    of_step = request.mode is RestartMode.RESUME_STEP
    names = [*(step.name for step in upload.plan), *([FINISHED_STEP] if of_step else [])]
    if request.from_step and request.from_step not in names:
        return f"spec.restart.fromStep: the upload has no step {request.from_step!r}"
    if upload.control.desired is DesiredState.CANCELLED:
        return "the upload is cancelled; set spec.desiredState to Active in the same change"
    step = request.from_step or upload.current_step
    if of_step and (not step or (upload.stage in UNMOVED and step != upload.current_step)):
        return f"this upload is {upload.stage}; set the token on an upload that is in the step"
    if request.mode is not RestartMode.RESTART:
        return ""
    if upload.stage is Stage.CLEANED or upload.stage is Stage.COMPLETED or upload.outcome is Outcome.DELETE:
        return "the storage no longer holds the upload; use mode ForceRestart to try anyway"
    if forbids_second_abort(upload):
        return (
            "a restart after abort can lose the bytes in the storage; use mode ForceRestart to restart anyway"
        )
    return ""


def _refused(upload: Upload, why: str, now: Millis, config: Config) -> Decision:
    """Refuse a restart; the rest of the change is carried out anyway."""
    notice = event_texts.restart_refused(why)
    decision = _towards_desired(upload, now, config)
    refused = decision.upload
    if not refused.message:
        refused = evolve(refused, message=f"restart refused: {why}")
    return evolve(decision, upload=refused, notices=(notice, *decision.notices))
