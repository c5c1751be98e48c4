"""The line of a rule in our events and on resources, character by character: other versions read it."""

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.model import PolicyRef, Upload
from uploadpp.core.naming import POLICY_ANNOTATION
from uploadpp.core.plan_text import MAX_NUMBER, MAX_TEXT, Planned, Ruled, policy_text, read_policy
from uploadpp.testing.builders import START, UPLOAD_ID

REF = PolicyRef("default", 3, "big-videos")
BARE = Upload(id=UPLOAD_ID, received_at=START, policy=REF, message="not of a policy")


@pytest.mark.parametrize(
    ("upload", "line", "ruled"),
    [
        (BARE, "default/3/big-videos", Ruled(REF)),
        (evolve(BARE, priority_class="bulk"), "default/3/big-videos/p=bulk", Ruled(REF, "bulk")),
        (
            evolve(BARE, priority_class="bulk", policy_holds=True, message="why? a/b ü=é"),
            "default/3/big-videos/p=bulk/h=why%3F%20a%2Fb%20%C3%BC%3D%C3%A9",
            Ruled(REF, "bulk", "why? a/b ü=é"),
        ),
        (evolve(BARE, policy_holds=True, message="w"), "default/3/big-videos/h=w", Ruled(REF, "", "w")),
        (
            evolve(BARE, policy=PolicyRef("a/b", 0, "c d/e")),
            "a%2Fb/0/c%20d%2Fe",
            Ruled(PolicyRef("a/b", 0, "c d/e")),
        ),
    ],
)
def test_the_line_says_which_rule(upload: Upload, line: str, ruled: Ruled) -> None:
    assert policy_text(upload.policy or REF, upload) == line
    assert read_policy(line) == ruled


def test_where_the_lines_are() -> None:
    assert POLICY_ANNOTATION == "uploadpp.io/policy"
    assert (Ruled(REF), Planned(())) == (Ruled(REF, "", ""), Planned((), 0, None, ""))


def test_what_a_later_version_adds_is_left_out() -> None:
    assert read_policy("default/3/big-videos/x=1/p=bulk/y") == Ruled(REF, "bulk")


@pytest.mark.parametrize(
    "line",
    [
        *["", "default", "default/3", "default/3/", "/3/a", "default//a", "default/x/a", "default/-1/a"],
        *[
            "a/1.5/b",
            pytest.param("default/²/a", id="superscript"),
            f"a/{MAX_NUMBER}/b",
            f"a/{'1' * 21}/b",
            f"{'a' * MAX_TEXT}/1/b",
        ],
        *["//", "///"],
    ],
)
def test_what_is_something_else_tells_nothing(line: str) -> None:
    assert read_policy(line) is None


def test_what_just_fits_is_read() -> None:
    assert read_policy(f"a/{MAX_NUMBER - 1}/b") == Ruled(PolicyRef("a", MAX_NUMBER - 1, "b"))
    assert read_policy(f"a/{'0' * 19}7/b") == Ruled(PolicyRef("a", 7, "b"))
    longest = "a/1/" + "b" * (MAX_TEXT - 4)
    assert read_policy(longest) == Ruled(PolicyRef("a", 1, "b" * (MAX_TEXT - 4)))
    assert read_policy(longest + "b") is None
