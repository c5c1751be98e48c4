"""What the search begins with: configurations that differ in what can happen."""

from collections.abc import Iterable

from tests.property.explore import Scene
from uploadpp.core.config import Config
from uploadpp.core.model import Millis, PolicyRef, StepPlan
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult


def _plan(name: str, retries: int, on_exhausted: OnExhausted, timeout: int = 0) -> StepPlan:
    return StepPlan(
        name=name,
        max_retries=retries,
        on_exhausted=on_exhausted,
        timeout=Millis(timeout * 1000) if timeout else None,
        delay=Millis(60_000),
    )


def _for_small(name: str, above: OnTooLarge, *, scan: bool = False) -> StepPlan:
    """A step for files smaller than the one that arrives."""
    result = RequiredResult.SCAN if scan else RequiredResult.OPTIONAL
    return StepPlan(name=name, max_retries=1, max_filesize=1, on_too_large=above, require_result=result)


_HOLD, _SKIP = PolicyAction.HOLD, PolicyAction.SKIP


def _choice(action: PolicyAction, *steps: str) -> Choice:
    plan = tuple(_plan(step, 0, OnExhausted.HOLD) for step in steps)
    return Choice(ref=PolicyRef("default", 1, "rule"), action=action, plan=plan)


def _config(*plans: StepPlan, places: Iterable[str] = (), breakers: Iterable[str] = ()) -> Config:
    return Config(
        steps=plans,
        max_in_flight=dict.fromkeys(places, 1),
        breaker_after=dict.fromkeys(breakers, 2),
        max_finish_resends=1,
        max_releases=1,
        max_url_requests=2,
    )


def scenes() -> Iterable[Scene]:
    """Up to three steps and two retries, every policy, delays, timeouts, and URLs that expire."""
    abort, hold, go_on = OnExhausted.ABORT, OnExhausted.HOLD, OnExhausted.CONTINUE
    delay = _plan("delay", 0, abort)
    return (
        Scene("no steps, behind an earlier upload", _config(), hand_made=True, follows=True),
        Scene("one step, timeout after the stall report", _config(_plan("a", 2, abort, 900))),
        Scene("held, timeout before the stall report", _config(_plan("a", 0, hold, 60), _plan("b", 1, hold))),
        Scene(
            "passed over, deleted", _config(_plan("a", 1, go_on, 60), _plan("b", 0, OnExhausted.DELETE, 60))
        ),
        Scene("a delay between", _config(_plan("a", 1, go_on, 60), delay, _plan("b", 0, abort))),
        Scene("behind an earlier upload", _config(_plan("a", 1, go_on, 60)), follows=True),
        Scene("a delay alone, behind an earlier upload", _config(delay), hand_made=True, follows=True),
        Scene("URL expired from the start", _config(_plan("a", 1, hold)), url_life=-1, hand_made=True),
        Scene("URL expires", _config(delay, _plan("a", 0, go_on, 900), _plan("b", 0, abort)), url_life=90),
        Scene("places", _config(_plan("a", 1, hold, 60), places="a"), hand_made=True),
        Scene("breaker", _config(_plan("a", 1, hold, 60), breakers="a")),
        Scene("breaker and places", _config(_plan("a", 1, go_on), places="a", breakers="a")),
        Scene("breaker later", _config(delay, _plan("b", 1, go_on, 900), breakers="b")),
        Scene("places later", _config(_plan("a", 1, go_on, 60), _plan("b", 0, hold), places="b")),
        Scene("slow, URL expires", _config(_plan("a", 1, abort, 60), _plan("b", 0, abort)), url_life=66),
        Scene("slow, too large later", _config(_plan("a", 1, abort, 60), _for_small("b", OnTooLarge.HOLD))),
        Scene("places, URL expires", _config(delay, _plan("a", 1, hold), places="a"), url_life=90),
        Scene("a policy holds", _config(_plan("a", 0, abort)), choice=_choice(_HOLD, "b")),
        Scene("a policy holds, no steps", _config(), choice=_choice(_HOLD)),
        Scene("a policy skips", _config(_plan("a", 0, abort)), follows=True, choice=_choice(_SKIP, "b")),
        Scene("too large", _config(_for_small("a", OnTooLarge.HOLD, scan=True)), hand_made=True),
        Scene(
            "too large later",
            _config(delay, _for_small("a", OnTooLarge.SKIP), _for_small("b", OnTooLarge.HOLD), places="b"),
        ),
        Scene(
            "three steps, two retries",
            _config(_plan("a", 2, abort), _plan("b", 2, hold, 60), _plan("c", 2, go_on)),
        ),
    )
