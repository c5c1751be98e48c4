"""BytesReceived: a new upload, a duplicate, a renewed URL, or a new run."""

from uploadpp.core import event_texts
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived, CleanUpload, Input
from uploadpp.core.model import Control, FileOrder, Millis, Origin, Upload
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.rules.earlier import Decide, told_before
from uploadpp.core.rules.order import placed
from uploadpp.core.rules.past_ends import is_unproven
from uploadpp.core.states import DesiredState, Ignored, Outcome, Stage
from uploadpp.core.transitions import (
    begin_run,
    cancel,
    end_untold,
    forbids_second_abort,
    hold_by_policy,
    hold_first,
    hold_unbegun,
    proceed,
    queue,
    start_step,
)

_GOING_ON = frozenset(
    {
        Stage.RUNNING,
        Stage.BACKING_OFF,
        Stage.QUEUED,
        Stage.DELAYING,
        Stage.AWAITING_TURN,
        Stage.AWAITING_READY,
    }
)

ANNOUNCED_AGAIN = "the storage announces this upload again, and its earlier history is unknown"
RESTORED = "the operator created this resource, but it has no status, as after a restore from a backup"
RESTART_UNCLEAR = (
    "; its restart {} is not carried out, because that may have been done: ask with another token"
)


def first_arrival(
    upload_id: str, arrived: BytesReceived, now: Millis, config: Config, decide: Decide
) -> Decision:
    """An upload nobody has seen: snapshot the steps that a policy or the configuration says, and start.

    If the storage has announced it before, it may have ended where our memory does not reach:
    after an abort it keeps the session, and a release would be reported although the bytes are lost.
    `decide` says what the messages mean that came before the announcement.
    """
    upload = Upload(
        id=upload_id,
        received_at=now,
        origin=arrived.origin,
        file=arrived.file,
        plan=config.steps,
        control=arrived.control,
        observed_generation=1,
        order=placed(FileOrder(), arrived.follows) if arrived.follows is not None else FileOrder(),
    )
    choice = arrived.choice
    if choice is not None:
        upload = chosen(upload, choice, config)
    known = _known_before(upload, arrived, now, config, decide)
    if known is not None:
        return known
    if upload.control.desired is DesiredState.CANCELLED:
        return cancel(upload, now)
    return _begin(upload, choice, now, config)


def _known_before(
    upload: Upload, arrived: BytesReceived, now: Millis, config: Config, decide: Decide
) -> Decision | None:
    """What was said of the upload before its announcement decides; None if nothing was."""
    earlier, again = arrived.earlier, arrived.origin.again
    if again:  # the storage has it, so what was cleaned before was an earlier upload
        earlier = tuple(event for event in earlier if not isinstance(event, CleanUpload))
    if earlier:
        begun = _begin(upload, arrived.choice, now, config).upload
        return told_before(begun, earlier, now, config, decide)
    return hold_unbegun(upload, now, ANNOUNCED_AGAIN) if again else None


def chosen(upload: Upload, choice: Choice, config: Config) -> Upload:
    """The upload with the plan that a policy chose for it."""
    plan = config.steps if choice.plan is None else choice.plan
    if choice.action is PolicyAction.SKIP:
        plan = ()
    return evolve(upload, plan=plan, policy=choice.ref, priority_class=choice.priority_class)


def _begin(upload: Upload, choice: Choice | None, now: Millis, config: Config) -> Decision:
    """Start, unless a policy holds the upload."""
    if upload.policy_holds:  # we died before the status said so
        return hold_by_policy(upload, now, upload.message)
    if choice is None or choice.action is not PolicyAction.HOLD:
        return begin_run(upload, now, config)
    return hold_by_policy(upload, now, event_texts.why_held(choice.message, choice.ref, upload.plan))


def arrival_of_pending(
    upload: Upload, arrived: BytesReceived, now: Millis, config: Config, decide: Decide
) -> Decision:
    """The resource exists without a status: made by hand, or we died before writing it."""
    known = evolve(upload, origin=_merged(upload.origin, arrived.origin))
    if arrived.follows is not None:
        known = evolve(known, order=placed(known.order, arrived.follows))
    choice = None if known.plan_fixed else arrived.choice
    if choice is not None:
        known = chosen(known, choice, config)
    if is_unproven(upload) or (upload.lost_status and now != upload.received_at):
        return hold_restored(known, now, config)  # another announcement than the one it was made for
    if upload.is_created_by_us:
        decision = _known_before(known, evolve(arrived, choice=choice), now, config, decide)
        if decision is not None:
            return decision
    if known.control.desired is DesiredState.CANCELLED:
        return cancel(known, now)
    # The generation stays unobserved: a restart asked for in the spec is looked at after replay.
    return _begin(known, choice, now, config)


def hold_restored(upload: Upload, now: Millis, config: Config) -> Decision:
    """The resource has lost its status: what its spec asks for may have been carried out long ago."""
    request = upload.control.restart
    seen = evolve(
        upload,
        observed_generation=upload.control.generation,
        observed_token=request.token if request is not None else "",
    )
    if upload.control.desired is DesiredState.CANCELLED:
        return end_untold(seen, now, config)
    asked = RESTART_UNCLEAR.format(request.token) if request is not None else ""
    if seen.outcome is not None:  # it is known what a second end would do
        return hold_first(seen, now, event_texts.held_after_end(seen.outcome, asked), ended=seen.outcome)
    why = "" if upload.policy_holds else upload.message  # what a policy had said may be answered long ago
    return hold_unbegun(seen, now, (why or RESTORED) + asked)


def fresh_url(upload: Upload, arrived: BytesReceived, now: Millis, config: Config) -> Decision:
    """The storage's answer to RestartPostprocessing: go on where a URL was missing (F33)."""
    renewed = with_later_url(upload, arrived)
    if renewed is upload:
        return ignore(upload, Ignored.DUPLICATE, "BytesReceived brought the URL that needs renewal")
    has_lost_its_place = upload.stalled_at is not None and config.has_queue(upload.current_step)
    if has_lost_its_place:
        return queue(renewed, upload.cursor, now)
    if upload.control.desired is DesiredState.SUSPENDED or upload.cursor == len(upload.plan):
        return proceed(renewed, upload.cursor, now, config)
    return start_step(renewed, upload.cursor, now)


def arrival_again(upload: Upload, arrived: BytesReceived, now: Millis, config: Config) -> Decision:
    """BytesReceived for an upload we work on: the same URL is a duplicate (F19), a new one a new run."""
    renewed = with_later_url(upload, arrived)
    if renewed is upload:
        return ignore(upload, Ignored.DUPLICATE, "BytesReceived with the same URL, or one from before it")
    if upload.control.desired is DesiredState.CANCELLED:
        return ignore(renewed, Ignored.UPLOAD_ENDED, "the upload is cancelled")
    if upload.is_held_unbegun:
        return ignore(renewed, Ignored.HELD, "a person has to let the upload begin")
    if upload.stage is not Stage.CLEANED:
        if forbids_second_abort(upload):
            return ignore(
                renewed,
                Ignored.UPLOAD_ABORTED,
                "processing an aborted upload again would lose its bytes (F13); "
                "to do that anyway, use spec.restart with mode ForceRestart",
            )
        if upload.outcome is Outcome.DELETE or upload.stage is Stage.COMPLETED:
            return ignore(renewed, Ignored.UPLOAD_ENDED, "the storage has already carried out the outcome")
        if _answers_an_earlier_request(upload, arrived):
            return ignore(renewed, Ignored.DUPLICATE, "one more answer to RestartPostprocessing")
    elif upload.policy is not None and not (upload.run or upload.finishes):  # held, and nobody has decided
        return hold_by_policy(renewed, now, event_texts.why_held("", upload.policy, upload.plan))
    return begin_run(renewed, now, config)


def _answers_an_earlier_request(upload: Upload, arrived: BytesReceived) -> bool:
    """Whether the storage answers a request of ours that we had repeated: the upload has gone on since.

    A person may restart the upload in the storage at the same moment. That cannot be told from it.
    """
    return arrived.origin.again and upload.url_requests > 1 and upload.stage in _GOING_ON


def overrules(upload: Upload, event: Input) -> bool:
    """Whether the storage announces of its own accord what is only known from somebody's resource.

    It does not answer our RestartPostprocessing then, and nothing of that resource counts: made ahead of the
    announcement it would release a file without the configured steps.
    """
    return isinstance(event, BytesReceived) and upload.origin.by_hand and not event.origin.again


def as_wanted(event: Input, overruled: Upload) -> Input:
    """The announcement, with what the overruled resource asks for before anything is published.

    A restart is looked at once the resource is taken over.
    """
    asked = overruled.control
    control = Control(desired=asked.desired, cancel_policy=asked.cancel_policy)
    return evolve(event, control=control) if isinstance(event, BytesReceived) else event


def precedes_its_announcement(upload: Upload, at: Millis) -> bool:
    """Whether something in the log tells nothing of an upload that we died before recording.

    It came before the announcement that the resource was created for, or is that announcement.
    """
    return upload.stage is Stage.PENDING and upload.is_created_by_us and at <= upload.received_at


def with_later_url(upload: Upload, arrived: BytesReceived) -> Upload:
    """The upload with the URL that came, whatever else comes of it; itself when that is known or older.

    A URL is stored after the run that it begins: after a crash between the two its
    announcement, which has been applied, is read again for the URL alone.
    """
    ours, theirs = upload.origin, arrived.origin
    if theirs.url == ours.url or theirs.url_received_at < ours.url_received_at:
        return upload
    return evolve(upload, origin=_merged(ours, theirs))


def _merged(known: Origin, arrived: Origin) -> Origin:
    """Take over the URL, and the rest only where nothing was known (F24)."""
    if known.executing_user != "null" or known.has_url:
        return known.with_url_of(arrived)
    return evolve(arrived, by_hand=known.by_hand)
