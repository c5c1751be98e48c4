"""Which invariants have something to say of a move: the others would only look away, millions of times."""

from functools import cache

from tests.property.breaker_invariants import an_open_breaker_takes_no_retry
from tests.property.explore import Move
from tests.property.invariants import (
    Invariant,
    a_due_timer_does_something,
    a_finish_goes_out_again_only_when_it_may,
    a_place_is_taken_by_who_is_granted_it,
    a_release_awaits_its_turn,
    a_verdict_is_final_within_a_run,
    an_end_before_is_not_repeated,
    conditions_are_well_formed,
    counters_only_grow,
    ends_are_dated_and_names_are_right,
    every_command_has_a_new_number,
    ignored_means_untouched,
    no_release_without_answers,
    nothing_starts_unless_active,
    only_an_answer_is_a_success,
    only_declared_targets,
    only_the_current_step_counts,
    our_own_events_tell_the_same_story,
    retry_never_leaks,
    what_a_slow_step_finds_counts,
    whoever_waits_says_for_what,
)
from tests.property.policy_invariants import (
    a_policy_is_asked_once,
    what_a_policy_holds_is_cancelled_aloud,
    what_a_policy_holds_waits_for_a_person,
)
from uploadpp.core.inputs import BreakerOpened, StepFinished, Tick

OF_COMMANDS: tuple[Invariant, ...] = (
    every_command_has_a_new_number,
    a_verdict_is_final_within_a_run,
    a_finish_goes_out_again_only_when_it_may,
    no_release_without_answers,
    nothing_starts_unless_active,
    a_release_awaits_its_turn,
    an_end_before_is_not_repeated,
    our_own_events_tell_the_same_story,
)
"""They speak of commands, and have nothing to say of a move without."""
OF_EVENTS: dict[Invariant, tuple[type, ...]] = {
    only_the_current_step_counts: (StepFinished,),
    what_a_slow_step_finds_counts: (StepFinished,),
    an_open_breaker_takes_no_retry: (StepFinished, Tick, BreakerOpened),
    a_due_timer_does_something: (Tick,),
}
"""They have nothing to say of other events."""
OF_ALL: tuple[Invariant, ...] = (
    only_declared_targets,
    ignored_means_untouched,
    counters_only_grow,
    retry_never_leaks,
    only_an_answer_is_a_success,
    whoever_waits_says_for_what,
    a_place_is_taken_by_who_is_granted_it,
    a_policy_is_asked_once,
    what_a_policy_holds_waits_for_a_person,
    what_a_policy_holds_is_cancelled_aloud,
    conditions_are_well_formed,
    ends_are_dated_and_names_are_right,
)
OF_THE_IGNORED = {ignored_means_untouched, a_due_timer_does_something}
"""What remains to be said when nothing has changed."""
INVARIANTS = [each.__name__ for each in (*OF_ALL, *OF_EVENTS, *OF_COMMANDS)]


@cache
def _asked(event: str, *, commands: bool, ignored: bool) -> tuple[Invariant, ...]:
    of_event = [each for each, events in OF_EVENTS.items() if event in {of.__name__ for of in events}]
    asked = (*OF_ALL, *of_event, *(OF_COMMANDS if commands else ()))
    return tuple(each for each in asked if not ignored or each in OF_THE_IGNORED)


def asked_about(move: Move) -> tuple[Invariant, ...]:
    """The invariants that have something to say of such a move; all others would look away."""
    event, decision = type(move.event).__name__, move.decision
    return _asked(event, commands=bool(decision.commands), ignored=decision.ignored is not None)
