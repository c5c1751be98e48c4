"""Choices on the command line that a variable of the shell has left empty."""

import pytest

from kubectl_pp.catalog import BY_NAME, Names, Verb
from kubectl_pp.cli import NARROWING, SELECTORS, parse
from kubectl_pp.errors import UsageError
from kubectl_pp.flags import Flag

CHOICES = [(verb, flag) for verb in BY_NAME.values() for flag in verb.flags if flag.key in NARROWING]
CHANGING = {"cancel", "prune", "restart", "resume", "suspend", "unsuspend"}


@pytest.mark.parametrize(("verb", "flag"), CHOICES, ids=lambda each: getattr(each, "name", None) or each.key)
def test_a_choice_that_is_empty_is_refused(verb: Verb, flag: Flag) -> None:
    """`--user-id=$WHO` must not choose the uploads of everybody where WHO is not set."""
    words = [f"{flag.long}=" if flag.long.startswith("--") else flag.long]
    words += [] if words[0].endswith("=") else [""]
    with pytest.raises(UsageError, match="invalid choice" if flag.choices else "is empty") as caught:
        parse(verb, words)
    assert flag.long in str(caught.value)


def test_what_narrows_is_all_of_it() -> None:
    """A flag that chooses uploads and is not in the list would let an empty value choose all."""
    found = {flag.key for _, flag in CHOICES}
    assert found == NARROWING
    assert {"step", "outcome", "space", "user_id", "since", "older"} <= found


@pytest.mark.parametrize(
    "verb", [each for each in BY_NAME.values() if each.names in {Names.ONE, Names.SOME, Names.MANY}], ids=str
)
def test_a_name_of_nothing_is_refused(verb: Verb) -> None:
    with pytest.raises(UsageError, match="a name is empty"):
        parse(verb, [""])


@pytest.mark.parametrize("verb", BY_NAME.values(), ids=lambda each: each.name)
def test_an_empty_selector_is_none_unless_something_is_changed(verb: Verb) -> None:
    changes = verb.name in CHANGING
    for flag in verb.flags:
        if flag.key not in SELECTORS:
            continue
        words = [f"{flag.long}="] + (["x"] if verb.names in {Names.ONE, Names.MANY} else [])
        if changes:
            with pytest.raises(UsageError, match=f"{flag.long} is empty"):
                parse(verb, words)
        else:
            assert getattr(parse(verb, words), flag.key) == ""
