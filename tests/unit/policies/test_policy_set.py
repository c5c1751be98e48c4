"""Which rule of which policy decides."""

from uploadpp.core.config import Config
from uploadpp.core.event_texts import why_held
from uploadpp.core.model import Millis, PolicyRef, StepPlan, Upload
from uploadpp.core.plan_text import Ruled, policy_text
from uploadpp.core.plan_text import read_policy as read_policy_text
from uploadpp.core.policy import PolicyAction
from uploadpp.policies.facts import Facts, named
from uploadpp.policies.policy import Policy, read_policy
from uploadpp.policies.policy_set import PolicySet, Result, Verdict

MP4 = named("a.mp4", size=10)
SCAN = {"name": "virusscan"}


def policy(name: str, *rules: dict[str, object], **spec: object) -> Policy:
    return read_policy(
        {"metadata": {"name": name, "generation": 1}, "spec": {**spec, "rules": list(rules)}}, Config()
    )


def ref(policy_name: str, rule: str) -> PolicyRef:
    return PolicyRef(policy_name, 1, rule)


def test_without_policies_nothing_is_said() -> None:
    assert PolicySet().choose(MP4, explain=True) == Verdict()
    assert not PolicySet()


def test_the_first_rule_that_matches_decides() -> None:
    policies = PolicySet(
        [
            policy(
                "a",
                {"name": "pdf", "match": 'file.extension == "pdf"', "action": "Skip"},
                {"name": "mp4", "match": 'file.extension == "mp4"', "steps": [SCAN], "priorityClass": "bulk"},
                {"name": "rest", "action": "Hold"},
            )
        ]
    )
    assert policies
    choice = policies.choose(MP4).choice
    assert choice is not None
    assert (choice.ref, choice.action, choice.message) == (ref("a", "mp4"), PolicyAction.RUN, "")
    assert choice.plan == (StepPlan(name="virusscan"),)
    assert choice.priority_class == "bulk"
    assert policies.choose(MP4).matched == (ref("a", "mp4"),)


def test_no_rule_that_matches_says_nothing() -> None:
    policies = PolicySet([policy("a", {"name": "none", "match": "file.size > 10"})])
    assert policies.choose(MP4) == Verdict()


def test_policies_are_read_by_order_and_then_by_name() -> None:
    made = [policy("b", {"name": "x"}), policy("c", {"name": "x"}, order=-1), policy("a", {"name": "x"})]
    policies = PolicySet(made)
    assert [each.name for each in policies.policies] == ["c", "a", "b"]
    assert policies.choose(MP4).matched == (ref("c", "x"),)


def test_skip_and_hold_say_what_happens() -> None:
    skip = PolicySet([policy("a", {"name": "x", "action": "Skip"})]).choose(MP4).choice
    hold = PolicySet([policy("a", {"name": "x", "action": "Hold", "steps": [SCAN]})]).choose(MP4).choice
    assert skip is not None
    assert (skip.action, skip.plan, skip.message) == (PolicyAction.SKIP, (), "")
    assert hold is not None
    assert (hold.action, hold.plan) == (PolicyAction.HOLD, (StepPlan(name="virusscan"),))
    assert why_held(hold.message, hold.ref, hold.plan or ()) == (
        "rule x of policy a holds the upload until a person decides; resume, restart or cancel the upload; "
        "cancel tells the storage to abort or delete it; resume and restart run virusscan"
    )


def test_a_dry_run_is_counted_and_the_next_policy_decides() -> None:
    policies = PolicySet(
        [
            policy("a", {"name": "one", "action": "Skip"}, {"name": "two"}, mode="DryRun"),
            policy("b", {"name": "three", "match": "file.size > 5"}, mode="DryRun"),
            policy("c", {"name": "four"}),
            policy("d", {"name": "five"}),
        ]
    )
    verdict = policies.choose(MP4)
    assert verdict.choice is not None
    assert verdict.choice.ref == ref("c", "four")
    assert verdict.matched == (ref("a", "one"), ref("b", "three"), ref("c", "four"))
    assert PolicySet(policies.policies[:2]).choose(MP4).choice is None


def test_a_rule_with_an_error_holds_what_comes_to_it() -> None:
    policies = PolicySet(
        [
            policy(
                "a",
                {"name": "pdf", "match": 'file.extension == "pdf"'},
                {"name": "bad", "match": "foo", "action": "Skip", "priorityClass": "bulk"},
                {"name": "rest"},
            )
        ]
    )
    verdict = policies.choose(MP4)
    choice = verdict.choice
    assert choice is not None
    assert (choice.ref, choice.action, choice.plan) == (ref("a", "bad"), PolicyAction.HOLD, None)
    assert choice.message.startswith(
        "rule bad of policy a cannot be used: match: character 1: foo is not known"
    )
    assert choice.message.endswith("and size(); correct it, for the uploads that follow")
    assert verdict.matched == ()
    pdf = policies.choose(named("a.pdf")).choice
    assert pdf is not None
    assert pdf.ref.rule == "pdf", "a rule before it is not touched"


def test_a_rule_with_a_fault_holds_only_what_it_matches() -> None:
    faulty: dict[str, object] = {"name": "x", "match": "file.size == 10", "steps": [SCAN, SCAN]}
    policies = PolicySet([policy("a", faulty)])
    choice = policies.choose(MP4).choice
    assert choice is not None
    assert (choice.action, choice.plan) == (PolicyAction.HOLD, None)
    assert "virusscan is listed more than once" in choice.message
    assert policies.choose(Facts()).choice is None


def test_an_error_for_this_upload_holds_it() -> None:
    policies = PolicySet([policy("a", {"name": "x", "match": 'file.name == "a"'})])
    choice = policies.choose(named("a" * 5000)).choice
    assert choice is not None
    assert choice.action is PolicyAction.HOLD
    assert choice.message.startswith("rule x of policy a cannot be used: file.name has 5000 characters")


def test_a_policy_that_cannot_be_read_holds_everything() -> None:
    choice = PolicySet([policy("a", mode="Try")]).choose(MP4).choice
    assert choice is not None
    assert choice.ref == ref("a", "unnamed")
    assert choice.action is PolicyAction.HOLD
    assert choice.message.startswith("policy a cannot be used: mode: ")


def test_a_dry_run_with_an_error_holds_nothing() -> None:
    policies = PolicySet([policy("a", {"name": "bad", "match": "foo"}, {"name": "good"}, mode="DryRun")])
    verdict = policies.choose(MP4)
    assert verdict.choice is None
    assert verdict.matched == (ref("a", "good"),)


def test_it_explains_each_rule_when_it_is_asked() -> None:
    policies = PolicySet(
        [
            policy("a", {"name": "bad", "match": "foo"}, {"name": "good"}, mode="DryRun"),
            policy("b", {"name": "none", "match": "file.size > 10"}, {"name": "all"}, {"name": "late"}),
        ]
    )
    assert policies.choose(MP4).trace == ()
    trace = policies.choose(MP4, explain=True).trace
    assert [(each.ref.rule, each.result) for each in trace] == [
        ("bad", Result.FAILED),
        ("good", Result.MATCHED),
        ("none", Result.NO_MATCH),
        ("all", Result.MATCHED),
    ]
    assert trace[0].text.startswith("match: character 1: foo is not known")
    assert [each.match for each in trace] == ["foo", "", "file.size > 10", ""]


def test_what_holds_an_upload_can_be_read_again_after_a_crash() -> None:
    """The annotation of a resource says it until the status does, whatever the rule and the error are."""
    for broken in (
        policy("a", mode="Try"),
        policy("a", {}),
        policy("a", {"name": "a b/c", "match": "\u202e"}),
    ):
        choice = PolicySet([broken]).choose(MP4).choice
        assert choice is not None
        held = Upload(
            id="u1", received_at=Millis(0), policy=choice.ref, policy_holds=True, message=choice.message
        )
        assert read_policy_text(policy_text(choice.ref, held)) == Ruled(choice.ref, "", choice.message)
