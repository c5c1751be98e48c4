"""A plan as one short line, which travels with our events and stands in some statuses.

For example `virusscan/t=300/q=Scan policies`, in characters that JSON leaves as they are. A value that
is the default of `StepPlan` is left out, never one that is the operator's configuration: what an upload
was planned with must be readable by an operator that is configured differently.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from uploadpp.core.model import Origin, PolicyRef, StepPlan, Upload
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult

_DEFAULT = StepPlan(name="default")
_FIELDS = {
    "t": "timeout",
    "s": "stall_after",
    "r": "max_retries",
    "b": "backoff",
    "m": "max_backoff",
    "x": "on_exhausted",
    "d": "delay",
    "f": "max_filesize",
    "l": "on_too_large",
    "q": "require_result",
}
_SECONDS = frozenset({"timeout", "stall_after", "backoff", "max_backoff", "delay"})
"""In seconds, rounded up, as in the spec: what the log says has to be what the resource says."""
_WORDS: dict[str, Any] = {
    "on_exhausted": OnExhausted,
    "on_too_large": OnTooLarge,
    "require_result": RequiredResult,
}
MAX_TEXT = 16_384
"""The longest line that is read."""


class Planned(NamedTuple):
    """The plan of an upload, and how many of its first steps a restart has left out in this run.

    `policy` is the rule that chose it, if one did.
    """

    plan: tuple[StepPlan, ...]
    first: int = 0
    policy: PolicyRef | None = None
    priority_class: str = ""


class Ruled(NamedTuple):
    """What a policy has made of an upload; `held` says why it holds it, and is empty where it does not."""

    policy: PolicyRef
    priority_class: str = ""
    held: str = ""


class SealedPlan(NamedTuple):
    """The plan of an upload when it was sealed, and what a policy had made of the upload."""

    plan: tuple[StepPlan, ...]
    ruled: Ruled | None = None
    waited: int | None = None
    """How many ms after the announcement the URL came that is sealed with it; None if that is not said."""


def plan_text(plan: tuple[StepPlan, ...]) -> str:
    """The line for a plan; empty for a plan without steps."""
    # Nearly all uploads share one plan, and to know it by its identity costs less than to hash it.
    known = _known.get(id(plan))
    if known is None or known[0] is not plan:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        known = _known[id(plan)] = plan, " ".join(map(_step, plan))
    return known[1]


_known: dict[int, tuple[tuple[StepPlan, ...], str]] = {}
MAX_KNOWN = 64
MAX_NUMBER = 2**63
MAX_DIGITS = 20


def _step(step: StepPlan) -> str:
    changed = (
        f"/{key}={-(-value // 1000) if field in _SECONDS else value}"
        for key, field in _FIELDS.items()
        if (value := getattr(step, field)) != getattr(_DEFAULT, field)
    )
    return quote(step.name, safe="") + "".join(changed)


@lru_cache(maxsize=64)
def read_plan(text: str) -> tuple[StepPlan, ...]:
    """The plan of a line.

    Raises:
        ValueError: the line is not one of this version.
    """
    if len(text) > MAX_TEXT:
        raise ValueError("the plan is too long")
    plan = tuple(map(_read_step, text.split(" "))) if text else ()
    if len({step.name for step in plan}) != len(plan):
        raise ValueError("a step is listed twice")
    return plan


def _read_step(text: str) -> StepPlan:
    name, *settings = text.split("/")
    if not name:
        raise ValueError("a step has no name")
    return StepPlan(name=unquote(name), **dict(map(_setting, settings)))


def _setting(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    if key not in _FIELDS:
        raise ValueError("a setting of a step is not known")
    field = _FIELDS[key]
    if field in _WORDS:
        return field, _WORDS[field](value)
    number = int(value) if len(value) <= MAX_DIGITS else MAX_NUMBER
    if not 0 <= number < MAX_NUMBER:
        raise ValueError("a setting of a step is out of range")
    return field, number * 1000 if field in _SECONDS else number


def planned_text(planned: Planned) -> str:
    """The line for an event: the plan, and before it how many steps the run has left out."""
    text = plan_text(planned.plan)
    return f"{planned.first}@{text}" if planned.first else text


def read_planned(text: str) -> Planned:
    """What `planned_text` wrote.

    Raises:
        ValueError: the line is not one of this version.
    """
    head, sign, tail = text.partition("@")
    plan = read_plan(tail if sign else head)
    first = int(head) if sign else 0
    if not 0 <= first <= len(plan):
        raise ValueError("more steps are left out than there are")
    return Planned(plan, first)


_PRIORITY, _HELD = "p", "h"


def policy_text(policy: PolicyRef, upload: Upload) -> str:
    """The line for the rule that chose the plan of an upload, as `default/3/big-videos/p=bulk`."""
    words = [quote(policy.name, safe=""), str(policy.generation), quote(policy.rule, safe="")]
    more = {_PRIORITY: upload.priority_class, _HELD: upload.message if upload.policy_holds else ""}
    return "/".join([*words, *(f"{key}={quote(text, safe='')}" for key, text in more.items() if text)])


def read_policy(text: str) -> Ruled | None:
    """What `policy_text` wrote; None where it is something else. What a later version added is left out."""
    if len(text) > MAX_TEXT:
        return None
    name, generation, rule, *more = map(unquote, [*text.split("/"), "", ""])
    known = generation.isdecimal() and len(generation) <= MAX_DIGITS and int(generation) < MAX_NUMBER
    if not (name and rule and known):
        return None
    values = {key: value for key, _, value in (each.partition("=") for each in more)}
    return Ruled(PolicyRef(name, int(generation), rule), values.get(_PRIORITY, ""), values.get(_HELD, ""))


_PLAN, _POLICY, _WAITED = "plan", "policy", "t"


def plan_to_seal(upload: Upload, origin: Origin) -> dict[str, str | int]:
    """What is sealed beside an origin of an upload, so that nobody else can alter it (docs/adr/0024).

    That is the plan, and the time of the announcement, of which all our events tell. The time of the URL is
    in the origin, and the URL usually came with the announcement.
    """
    waited = origin.url_received_at - upload.received_at
    plan: dict[str, str | int] = {_PLAN: plan_text(upload.plan), _WAITED: waited}
    return plan if upload.policy is None else plan | {_POLICY: policy_text(upload.policy, upload)}


def read_sealed_plan(sealed: Mapping[str, object]) -> SealedPlan | None:
    """What `plan_to_seal` wrote; None where another version has sealed none, or none that we know."""
    plan, policy, waited = sealed.get(_PLAN), sealed.get(_POLICY), sealed.get(_WAITED)
    if not isinstance(plan, str):
        return None
    try:
        steps = read_plan(plan)
    except ValueError:
        return None
    ruled = read_policy(policy) if isinstance(policy, str) else None
    return SealedPlan(steps, ruled, waited if isinstance(waited, int) else None)
