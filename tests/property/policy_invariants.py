"""What must hold forevery move of an upload whose steps a policy may have chosen."""

from tests.property.explore import Move, Scene
from uploadpp.core.commands import Finish, StartStep
from uploadpp.core.inputs import BytesReceived, Published, Resume, SpecChanged
from uploadpp.core.policy import PolicyAction
from uploadpp.core.states import Outcome, Stage


def a_policy_is_asked_once(move: Move, scene: Scene) -> str:
    """At the announcement that makes the upload, or begins a resource without steps; never later."""
    before, after, event = move.before.upload, move.decision.upload, move.event
    if after is None:
        return ""
    arrives = isinstance(event, BytesReceived) and (before is None or before.stage is Stage.PENDING)
    if arrives and isinstance(event, BytesReceived) and event.choice is not None:
        said = event.choice
        plan = scene.config.steps if said.plan is None else said.plan
        right = (said.ref, () if said.action is PolicyAction.SKIP else plan)
        return "" if (after.policy, after.plan) == right else f"has {after.policy} and {after.plan}"
    told = isinstance(event, Published) and event.planned is not None
    if before is None or told or (before.plan, before.policy) == (after.plan, after.policy):
        return ""
    return f"{before.policy} became {after.policy}"


def what_a_policy_holds_waits_for_a_person(move: Move, _: Scene) -> str:
    """It begins, and the storage is told something, only because somebody asked for it."""
    before, after, event = move.before.upload, move.decision.upload, move.event
    if before is None or after is None or not before.policy_holds:
        return ""
    if before.stage is not Stage.HELD or before.run:
        return f"held by a policy while {before.stage} in run {before.run}"
    if after.policy_holds:
        return "" if after.stage is Stage.HELD and not move.decision.commands else "held, and yet it moves"
    asked = isinstance(event, Resume | SpecChanged | Published)
    for command in move.decision.commands:
        if isinstance(command, StartStep) and not asked:
            return f"begun by {type(event).__name__}"
        if isinstance(command, Finish):
            released = command.outcome is Outcome.CONTINUE
            if not asked or (released and after.run == 0):
                return f"{command.outcome} because of {type(event).__name__}"
    return ""


def what_a_policy_holds_is_cancelled_aloud(move: Move, _: Scene) -> str:
    """The storage waits for its outcome: without one it would keep the upload forever."""
    before, after = move.before.upload, move.decision.upload
    if before is None or after is None or not before.policy_holds or after.stage is not Stage.CANCELLED:
        return ""
    return "ended without a word to the storage"
