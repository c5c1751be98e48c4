"""Policies of a simulated world. They change while uploads run, and processes hear of it late or never."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from uploadpp.core.model import FileInfo, Origin, PolicyRef, StepPlan
from uploadpp.core.policy import Choice, Judged, PolicyAction
from uploadpp.testing.configs import step
from uploadpp.testing.services import USERS

NAME = "default"
STEPS = ("virusscan", "policies", "sign", "deep-scan")
Generation = dict[str, Choice | None]
"""What is said of the uploads of each user."""


def judged(choice: Choice | None) -> Judged:
    """What policies without a dry run say: a rule that decides is the only one that matches."""
    return Judged(choice, (choice.ref,) if choice is not None else ())


@dataclass(slots=True)
class Policies:
    """One policy with a rule for each user, in all its generations."""

    generations: Sequence[Generation]
    present: int = 0
    """The generation that the API server has."""
    changes: Sequence[float] = ()
    """When it is edited."""
    asked: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    """The generation of processes that hear of no change."""

    def change(self) -> None:
        """A person edits the policy."""
        self.present = min(self.present + 1, len(self.generations) - 1)

    def of(self, process: str, *, deaf: bool = False) -> "PoliciesOfProcess":
        """As a process knows them that starts now; a deaf one hears of no later change."""
        if deaf:
            self.seen[process] = self.present
        return PoliciesOfProcess(self, process)

    def rules(self) -> Iterator[Choice]:
        """Every rule there ever is."""
        for generation in self.generations:
            yield from filter(None, generation.values())

    def rules_of(self, user: str) -> list[Choice]:
        """Every rule there ever is for the uploads of a user."""
        known = (_said_of(user, generation) for generation in self.generations)
        return [rule for rule in known if rule is not None]

    def rule(self, ref: PolicyRef) -> Choice | None:
        """The rule with this name; None where there never was one."""
        return next((rule for rule in self.rules() if rule.ref == ref), None)


@dataclass(frozen=True, slots=True)
class PoliciesOfProcess:
    """What one process knows of the policies."""

    policies: Policies
    process: str

    def choose(self, origin: Origin, file: FileInfo) -> Judged:
        """What they say of an upload."""
        del origin
        policies = self.policies
        policies.asked += 1
        known = policies.generations[policies.seen.get(self.process, policies.present)]
        return judged(_said_of(file.user_id, known))


def _said_of(user: str, generation: Generation) -> Choice | None:
    """What a generation says of the uploads of a user; of one it does not know, what it says of the first."""
    return generation.get(user, generation.get(USERS[0]))


def always(*choices: Choice | None) -> Policies:
    """Policies that say the same of all uploads: in each generation what is next."""
    return Policies([dict.fromkeys(USERS, choice) for choice in choices])


def rule_of(
    action: PolicyAction, generation: int, plan: tuple[StepPlan, ...] | None = None, user: str = "all"
) -> Choice:
    """A rule whose name says what it does."""
    ref = PolicyRef(NAME, generation, f"{action.lower()}-{user}")
    return Choice(ref=ref, action=action, plan=plan, priority_class=f"class-{generation}")


def any_policies(seed: int, seconds: float) -> Policies | None:
    """Policies in a share of the runs; by a chance of their own: the rest stays as it was."""
    random = Random(f"policies {seed}")  # noqa: S311 -- a game of dice, not a secret
    if random.random() < 0.5:  # noqa: PLR2004 -- a share of the runs
        return None
    count = random.choice([1, 2, 2, 3, 4])
    generations = [
        {user: _any_rule(random, number, user) for user in USERS} for number in range(1, count + 1)
    ]
    return Policies(generations, changes=sorted(random.uniform(0, seconds) for _ in range(count - 1)))


def _any_rule(random: Random, generation: int, user: str) -> Choice | None:
    word = random.choice([None, *[PolicyAction.RUN] * 3, PolicyAction.SKIP, PolicyAction.HOLD])
    if word is None:
        return None
    plan = None
    if random.random() < 0.7:  # noqa: PLR2004 -- most rules list steps
        names = random.sample(STEPS, random.choice([0, 1, 2, 2]))
        plan = tuple(step(name, retries=random.choice([0, 1, 2])) for name in names)
    return rule_of(word, generation, plan, user)
