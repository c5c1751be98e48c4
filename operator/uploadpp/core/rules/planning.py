"""Plans that an event of ours tells of, and what an upload that began by another one makes of it.

An upload that only the log knows begins by the steps that are configured when it is read. The
first event of ours that follows says by which plan it had really begun (docs/adr/0015).
"""

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, StepStatus, Upload
from uploadpp.core.plan_text import Planned
from uploadpp.core.states import Ignored, Outcome, Stage, StepState
from uploadpp.core.transitions import begin_run, proceed


def withdrawn(upload: Upload) -> Upload:
    """The upload without a start that it has decided and that the log has not shown so far."""
    starting = upload.stage in {Stage.RUNNING, Stage.DELAYING} and upload.step.state is StepState.RUNNING
    if upload.log.start is not None or not starting:
        return upload
    # By which plan it began is known from the first start that was met: without it none has been.
    attempts = upload.step.attempts - 1 if upload.plan_fixed else 0
    started_at = upload.step.started_at if attempts else None
    step = evolve(upload.step, state=StepState.WAITING, attempts=attempts, started_at=started_at)
    return upload.with_step(upload.cursor, step)


def taken_back(upload: Upload, mark: Mark) -> Upload:
    """The upload in the run that ended with `mark`, if its present run has not happened.

    A replay begins a run that nobody had begun if it does not know that the upload was held. After an abort
    or a delete only a person's request begins one, so an owner that published such an end had begun none. A
    release proves nothing: the announcement that begins the next run may have been on its way to its owner.
    """
    if mark.kind is not Kind.FINISH or mark.detail == Outcome.CONTINUE or mark.run >= upload.run:
        return upload
    happened = upload.log.start is not None or any(step.outcome for step in upload.steps)
    requested = upload.observed_token not in {"", mark.token}
    if happened or requested or upload.stage.ended:
        return upload
    before = evolve(upload, run=mark.run, outcome=None, finishes=0, url_requests=0)
    if mark.run:
        return before
    return evolve(before, stage=Stage.HELD, steps=(), cursor=len(upload.plan), started_at=None)


def by_plan(upload: Upload, mark: Mark, planned: Planned, now: Millis, config: Config) -> Decision:
    """The upload as it is if it has begun by a plan, with what it would publish.

    A decision that is made again keeps its first date: its event may have been published long after it, and a
    `delay` that had ended by then did not begin with the event.
    """
    plan, since = planned.plan, Millis(min(upload.since, now))
    base = evolve(
        upload, plan=plan, plan_fixed=True, policy=planned.policy, priority_class=planned.priority_class
    )
    if not upload.run:
        return Decision(base)
    if upload.log.start is None and not any(step.outcome for step in upload.steps) and not upload.stage.ended:
        first = planned.first if mark.run == upload.run else 0
        waited = upload.stage in {Stage.SUSPENDED, Stage.HELD}  # it began when a person let it
        began = now if waited or upload.started_at is None else upload.started_at
        return begin_run(evolve(base, run=upload.run - 1), began, config, first)
    # An earlier version had published events, without a plan; what answered to them counts.
    pairs = zip(upload.plan, withdrawn(upload).steps, strict=True)
    known = {each.name: step for each, step in pairs if step.attempts}
    steps = tuple(known.get(each.name, StepStatus()) for each in plan)
    names = [each.name for each in plan]
    if upload.stage is Stage.AWAITING_READY and upload.log.start is None:
        released = evolve(base, steps=steps, finishes=upload.finishes - 1, outcome=None)
        return proceed(released, 0, since, config)  # it had been decided by the steps that are configured now
    if not upload.stage.in_step:
        return Decision(evolve(base, steps=steps, cursor=len(plan)))
    if upload.current_step in names:
        steps = tuple(
            upload.steps[upload.cursor] if name == upload.current_step else step
            for name, step in zip(names, steps, strict=True)
        )
        return Decision(evolve(base, steps=steps, cursor=names.index(upload.current_step)))
    return proceed(evolve(base, steps=steps), 0, since, config)


def of_another_plan(upload: Upload, mark: Mark) -> Decision:
    """Another owner began the upload with other steps at the same time: the first event in the log counts.

    A step was started anyway, so its next start gets the next number.
    """
    why = "our own event, by other steps than those that the upload had begun with"
    names = [plan.name for plan in upload.plan]
    if (
        mark.kind is not Kind.START
        or mark.run != upload.run
        or mark.detail not in names
        or upload.stage.ended
    ):
        return ignore(upload, Ignored.ALREADY_APPLIED, why)
    index = names.index(mark.detail)
    if upload.steps[index].attempts >= mark.number:
        return ignore(upload, Ignored.ALREADY_APPLIED, why)
    return Decision(upload.with_step(index, evolve(upload.steps[index], attempts=mark.number)))
