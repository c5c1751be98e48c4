"""What `kubectl pp status` says of the policy that chose the steps of an upload."""

import pytest

from kubectl_pp.screen import Screen
from kubectl_pp.upload import Upload
from kubectl_pp.view import _head as head
from uploadpp.api.codec import to_status
from uploadpp.core.evolve import evolve
from uploadpp.core.model import PolicyRef
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.testing.builders import ARRIVAL, after

REF = PolicyRef("default", 3, "big-videos")


def shown(choice: Choice | None) -> list[str]:
    upload = after(evolve(ARRIVAL, choice=choice))
    status = to_status(upload)
    resource = {"metadata": {"name": "n", "namespace": "uploads"}, "spec": {}, "status": status}
    return head(Screen(), Upload(resource), 0.0, 80)


@pytest.mark.parametrize(
    ("priority_class", "line"),
    [
        ("", "Policy:     rule big-videos of default, generation 3"),
        ("bulk", "Policy:     rule big-videos of default, generation 3, priority class bulk"),
    ],
)
def test_it_names_the_rule(priority_class: str, line: str) -> None:
    assert line in shown(Choice(ref=REF, priority_class=priority_class))


def test_it_says_why_a_policy_holds_an_upload() -> None:
    lines = " ".join(shown(Choice(ref=REF, action=PolicyAction.HOLD, message="too odd")))
    assert "too odd" in lines
    assert "Policy:     rule big-videos of default, generation 3" in lines


def test_without_a_policy_it_says_nothing() -> None:
    assert not any(line.startswith("Policy:") for line in shown(None))
