"""An upload from its resource: what `encode` wrote, or a person."""

from collections.abc import Mapping
from typing import Any

from uploadpp.api.encode import HELD, LEFT
from uploadpp.api.field_reader import FieldReader, InvalidResourceError
from uploadpp.api.plan import decode_hidden, decode_plan, is_listed
from uploadpp.core.conditions import ConditionType, Unserved
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.model import (
    FINISHED_STEP,
    Control,
    FileInfo,
    FileOrder,
    LogPosition,
    Millis,
    Origin,
    PolicyRef,
    RestartRequest,
    StepPlan,
    StepStatus,
    Streak,
    Upload,
)
from uploadpp.core.naming import POLICY_ANNOTATION
from uploadpp.core.plan_text import Ruled, SealedPlan, read_policy
from uploadpp.core.states import (
    STALLED,
    STALLED_STAGES,
    CancelPolicy,
    DesiredState,
    Outcome,
    RestartMode,
    Stage,
    StallReason,
    StepReason,
    StepState,
)

STATUS_OF_ANOTHER = "the status was written for another resource, as after a restore from a backup"
STATUS_MANAGER = "uploadpp"
"""The field manager of what the operator writes."""


def from_resource(
    obj: Mapping[str, Any], defaults: Config, origin: Origin, sealed: SealedPlan | None = None
) -> Upload:
    """The upload that a resource stands for.

    Args:
        obj: the resource as the API server has it. Without a status (made by hand, or its
            first status was never written) it is pending.
        defaults: has the steps of a resource that lists none.
        origin: what the caller has unsealed.
        sealed: what was sealed of its plan; None where nothing was. Its steps count more than the spec,
            which a webhook or the default of a newer CRD may have altered, and less than steps in the status.
            Without a status its rule counts more than the annotation. The time of the announcement always
            counts.

    Raises:
        InvalidResourceError: a field holds what this version does not know.
    """
    root = FieldReader(obj, "")
    spec, status = root.child("spec"), root.child("status")
    file = spec.child("upload")
    created = root.child("metadata").time("creationTimestamp")
    announced_at = origin.announced_at
    if announced_at is None and sealed is not None and sealed.waited is not None:
        announced_at = Millis(origin.url_received_at - sealed.waited)
    received_at = announced_at or file.time("receivedTime") or created or Millis(0)
    pending = Upload(
        id=file.text("id"),
        received_at=received_at,
        origin=origin,
        file=_decode_file(file),
        control=control_of(obj),
        since=received_at,
    )
    restored = is_of_another(obj)
    if "conditions" not in status or restored or _is_outdated(status, origin):
        in_spec = "steps" in spec and origin.announced_at is None
        plan = decode_plan(spec, None, defaults.steps, listed=in_spec)
        ruled = _annotated(root) if in_spec else None
        if sealed is not None:
            in_spec = in_spec and plan == sealed.plan
            plan, ruled = plan if in_spec else sealed.plan, sealed.ruled
        held = ruled.held if ruled is not None and not restored else ""
        return evolve(
            pending,
            plan=plan,
            plan_fixed=in_spec or sealed is not None,
            plan_in_status=not in_spec and is_listed(plan),
            policy=ruled and ruled.policy,
            priority_class=ruled.priority_class if ruled is not None else "",
            policy_holds=bool(held),
            lost_status=restored or (bool(spec.text("sealed")) and "conditions" not in status),
            message=STATUS_OF_ANOTHER if restored else held,
        )
    return _with_status(pending, spec, status, defaults, sealed)


def _annotated(root: FieldReader) -> Ruled | None:
    """What a policy has chosen, as the resource says from its creation on; None where none did."""
    annotations = root.child("metadata").child("annotations")
    return read_policy(annotations.text(POLICY_ANNOTATION)) if POLICY_ANNOTATION in annotations else None


def is_of_another(obj: Mapping[str, Any]) -> bool:
    """Whether the status was written for another resource, as in a backup, and the upload was not over then.

    A status of an earlier version does not say for which resource it was written: then somebody else has
    written it. What was over then is over now.
    """
    root = FieldReader(obj, "")
    status, meta = root.child("status"), root.child("metadata")
    if "conditions" not in status or "completionTime" in status:
        return False
    if written_for := status.text("uid"):
        return written_for != meta.text("uid")
    managers = {each.text("manager") for each in meta.children("managedFields") if _is_status(each)}
    return bool(managers) and STATUS_MANAGER not in managers


def is_ours(obj: Mapping[str, Any]) -> bool:
    """Whether the operator has written the status as it is, and for this very resource."""
    root = FieldReader(obj, "")
    meta = root.child("metadata")
    managers = {each.text("manager") for each in meta.children("managedFields") if _is_status(each)}
    return managers == {STATUS_MANAGER} and not is_of_another(obj)


def _is_status(managed: FieldReader) -> bool:
    return managed.text("subresource") == "status"


def _is_outdated(status: FieldReader, origin: Origin) -> bool:
    """Whether it tells of a run from before the announcement: we were killed before storing the next one."""
    started, announced = status.time("startTime"), origin.announced_at
    return started is not None and announced is not None and started < announced


def _with_status(
    pending: Upload, spec: FieldReader, status: FieldReader, defaults: Config, sealed: SealedPlan | None
) -> Upload:
    found = {each.text("type"): each for each in status.children("conditions")}
    if ConditionType.SUCCEEDED not in found:
        raise status.error("conditions", "Succeeded, whose reason is the stage, is missing")
    stalled = found.get(ConditionType.STALLED)
    stage = _stage(found[ConditionType.SUCCEEDED], stalled)
    steps = {each.text("name"): _decode_step(each) for each in status.children("steps")}
    run = status.number("run")
    # Announced before its resource was seen, it had begun without asking what that lists.
    listed = pending.origin.announced_at is None
    in_spec = listed and "steps" in spec and "plan" not in status
    fixed = in_spec or run > 0 or "plan" in status
    plan = decode_hidden(status)
    if plan is None:
        plan = decode_plan(spec, steps if run else None, defaults.steps, listed=listed)
        if sealed is not None and fixed and plan != sealed.plan and _fits(sealed.plan, list(steps), run):
            plan, in_spec = sealed.plan, False  # somebody has altered the spec
    if (run or steps) and [step.name for step in plan] != list(steps):
        raise status.error("steps", "are not those of spec.steps")
    if stage in {Stage.RUNNING, Stage.BACKING_OFF} and not (run and len(steps) == len(plan)):
        raise status.error("steps", f"the upload is {stage}, but what has happened to its steps is missing")
    log, order, policy = status.child("log"), status.child("order"), status.child("policy")
    return evolve(
        pending,
        plan=plan,
        plan_fixed=fixed,
        plan_in_status=not in_spec and is_listed(plan),
        stage=stage,
        since=status.time("stageTime") or pending.since,
        run=run,
        cursor=_cursor(status, stage, plan),
        steps=tuple(steps.values()),
        outcome=status.optional_word("outcome", Outcome),
        next_attempt_at=status.time("nextAttemptTime"),
        finishes=status.number("finishes"),
        releases=status.number("releases"),
        url_requests=status.number("urlRequests"),
        stalled_at=stalled.time("lastTransitionTime") if stalled else None,
        started_at=status.time("startTime"),
        completed_at=status.time("completionTime"),
        expires_at=status.time("expirationTime"),
        observed_generation=status.number("observedGeneration"),
        observed_token=status.text("observedToken"),
        restarts=status.number("restarts"),
        message=status.text("message"),
        log=LogPosition(
            stream=log.text("stream"),
            sequence=log.number("sequence"),
            start=log.optional_number("start"),
        ),
        order=FileOrder(order.text("after"), order.number("arrival"), left=order.text("state") == LEFT),
        policy=PolicyRef(policy.text("name"), policy.number("generation"), policy.text("rule"))
        if policy
        else None,
        priority_class=policy.text("priorityClass"),
        policy_holds=policy.text("state") == HELD,
    )


def _fits(plan: tuple[StepPlan, ...], begun: list[str], run: int) -> bool:
    """Whether an upload whose status tells of these steps may have begun by a plan."""
    return not (run or begun) or [step.name for step in plan] == begun


def shown_unserved(obj: Mapping[str, Any]) -> Unserved | None:
    """What a resource shows of the service of its step: the next write may leave that as it is."""
    status = FieldReader(obj, "").child("status")
    try:
        for each in status.children("conditions"):
            if each.text("type") == ConditionType.UNSERVED:
                return Unserved(status.text("currentStep"), each.time("lastTransitionTime") or Millis(0))
    except InvalidResourceError:
        pass  # it is only shown: the state is read without it
    return None


def control_of(obj: Mapping[str, Any]) -> Control:
    """What a person asks for in the spec.

    Raises:
        InvalidResourceError: a field holds what this version does not know.
    """
    root = FieldReader(obj, "")
    spec = root.child("spec")
    restart = spec.child("restart")
    return Control(
        desired=spec.word("desiredState", DesiredState, DesiredState.ACTIVE),
        cancel_policy=spec.word("cancelPolicy", CancelPolicy, CancelPolicy.ABORT),
        restart=RestartRequest(
            token=restart.text("token"),
            mode=restart.word("mode", RestartMode, RestartMode.RESTART),
            from_step=restart.text("fromStep"),
        )
        if restart
        else None,
        generation=root.child("metadata").number("generation", 1),
    )


def _decode_file(file: FieldReader) -> FileInfo:
    return FileInfo(
        filename=file.text("filename"),
        filesize=file.number("filesize"),
        user_id=file.text("userID"),
        space_id=file.text("spaceID"),
        storage_id=file.text("storageID"),
        opaque_id=file.text("opaqueID"),
    )


def _decode_step(step: FieldReader) -> StepStatus:
    return StepStatus(
        state=step.word("state", StepState, StepState.WAITING),
        attempts=step.number("attempts"),
        retries=step.number("retries"),
        started_at=step.time("startTime"),
        finished_at=step.time("finishTime"),
        outcome=step.text("outcome"),
        reason=step.optional_word("reason", StepReason),
        message=step.text("message"),
        streak=_decode_streak(step.child("streak")) if "streak" in step else None,
    )


def _decode_streak(streak: FieldReader) -> Streak:
    since = streak.time("startTime") or Millis(0)
    return Streak(
        since=since,
        last=streak.time("lastTime") or since,
        uploads=streak.number("uploads"),
        opened_at=streak.time("openTime"),
        counted=streak.number("counted"),
    )


def _stage(summary: FieldReader, stalled: FieldReader | None) -> Stage:
    """The stage, which a stalled upload tells by who does not answer."""
    if stalled is not None and summary.text("reason") == STALLED:
        return STALLED_STAGES[stalled.word("reason", StallReason, StallReason.NO_ANSWER_FROM_STEP)]
    return summary.word("reason", Stage, Stage.PENDING)


_AT_THE_END = {Stage.SUSPENDED, Stage.AWAITING_URL, Stage.AWAITING_TURN}
"""Waits that there are behind the last step as well."""


def _cursor(status: FieldReader, stage: Stage, plan: tuple[StepPlan, ...]) -> int:
    """Where in the plan the upload is: at a step, or behind the last one."""
    name = status.text("currentStep")
    if stage is Stage.PENDING:
        return 0
    if stage is Stage.HELD and not name:
        return len(plan)  # held before it began
    if not stage.in_step or (stage in _AT_THE_END and name == FINISHED_STEP):
        return len(plan)
    for index, step in enumerate(plan):
        if step.name == name:
            return index
    raise status.error("currentStep", f"the upload is {stage}, but {name!r} is none of its steps")
