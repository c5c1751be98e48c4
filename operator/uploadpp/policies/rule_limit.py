"""How long the rules of all policies may be together.

Each upload that arrives may come to all of them, and at a start all are compiled before the first one does.
"""

from collections.abc import Iterable

from uploadpp.policies.policy import PolicyReader

MOST_CHARACTERS = 1_000_000
"""Of all rules together, as JSON. Rules of this length take about ten seconds to compile."""


def beyond_limit(readers: Iterable[PolicyReader]) -> dict[tuple[int, str], str]:
    """The policies that are beyond the limit, by their places, and what is to be said of each.

    They are counted in the order in which they are asked, so what a policy decides never depends on those
    after it.
    """
    total = 0
    beyond: dict[tuple[int, str], str] = {}
    for reader in sorted(readers, key=lambda reader: reader.place):
        total += reader.characters
        if total > MOST_CHARACTERS:
            beyond[reader.place] = (
                f"its rules and those of the policies before it have {total} characters, and "
                f"{MOST_CHARACTERS} are allowed; delete or shorten rules"
            )
    return beyond
