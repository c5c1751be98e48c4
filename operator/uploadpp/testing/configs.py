"""Configurations for runs: lengths of time are short, so that a run is over soon."""

from collections.abc import Mapping
from random import Random

from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.model import DELAY_STEP, Millis, StepPlan
from uploadpp.core.shares import NORMAL, FairShare, SharePolicy
from uploadpp.core.states import OnExhausted, OnTooLarge

SECOND = 1000
ORDER_SECONDS = 200


def step(
    name: str,
    *,
    timeout: int = 0,
    retries: int = 2,
    policy: OnExhausted = OnExhausted.ABORT,
    above: OnTooLarge | None = None,
) -> StepPlan:
    """A step with short waits; `timeout` in seconds, 0 is none. With `above` each file is too large."""
    return StepPlan(
        name=name,
        timeout=Millis(timeout * SECOND) if timeout else None,
        stall_after=Millis(20 * SECOND),
        max_retries=retries,
        backoff=Millis(1 * SECOND),
        max_backoff=Millis(4 * SECOND),
        on_exhausted=policy,
        max_filesize=1 if above else None,
        on_too_large=above or OnTooLarge.SKIP,
        delay=Millis(2 * SECOND if name == DELAY_STEP else 0),
    )


def config(
    *steps: StepPlan,
    ttl: int = 15,
    places: Mapping[str, int] | None = None,
    breakers: Mapping[str, int] | None = None,
    order: int = ORDER_SECONDS,
) -> Config:
    """A configuration with these steps; `ttl` in seconds is for completed uploads, others get twice that.

    `order` is how long a release may wait for an earlier upload of the same file.
    """
    return Config(
        steps=steps,
        max_in_flight=places or {},
        breaker_after=breakers or {},
        ready_after=Millis(8 * SECOND),
        unanswered_after=Millis(60 * SECOND),
        order_timeout=Millis(order * SECOND),
        max_finish_resends=2,
        max_releases=2,
        release_backoff=Millis(2 * SECOND),
        max_release_backoff=Millis(8 * SECOND),
        url_after=Millis(6 * SECOND),
        max_url_requests=2,
        ttl_completed=Millis(ttl * SECOND),
        ttl_failed=Millis(2 * ttl * SECOND),
    )


def any_config(random: Random) -> Config:
    """A configuration by chance."""
    names = random.sample(["virusscan", "policies", DELAY_STEP, "sign"], random.choice([0, 1, 2, 2, 2, 3]))
    steps = [
        step(
            name,
            timeout=random.choice([0, 0, 0, 6]),
            retries=random.choice([0, 1, 2]),
            policy=random.choice([*OnExhausted, OnExhausted.ABORT]),
            above=random.choice([None, None, None, None, *OnTooLarge]),
        )
        for name in names
    ]
    ttl = random.choice([5, 20, 100])
    limited = [name for name in names if name != DELAY_STEP and random.random() < 0.5]  # noqa: PLR2004 -- a coin
    places = {name: random.choice([1, 1, 2]) for name in limited}
    return config(*steps, ttl=ttl, places=places, order=random.choice([0, 4, ORDER_SECONDS, ORDER_SECONDS]))


def any_breakers(seed: int, config: Config) -> Mapping[str, int]:
    """Breakers of the steps in a share of the runs; by a chance of their own: the rest stays as it was."""
    random = Random(f"breakers {seed}")  # noqa: S311 -- a game of dice, not a secret
    names = [step.name for step in config.steps if step.name != DELAY_STEP]
    if random.random() < 0.5:  # noqa: PLR2004 -- a share of the runs
        return {}
    return {name: random.choice([1, 1, 2, 2, 3]) for name in names if random.random() < 0.8}  # noqa: PLR2004


def any_shares(seed: int) -> SharePolicy:
    """Weights, classes, and small uploads first, in a part of the runs; by a chance of their own."""
    random = Random(f"shares {seed}")  # noqa: S311 -- a game of dice, not a secret
    if random.random() < 0.4:  # noqa: PLR2004 -- a part of the runs
        return SharePolicy()
    return SharePolicy(
        by=random.choice([*FairShare, FairShare.USER]),
        weights={owner: random.choice([1, 2, 5]) for owner in ("mary", "s-1") if random.random() < 0.6},  # noqa: PLR2004
        classes=random.choice(
            [{NORMAL: 1}, {NORMAL: 4, "class-1": 8, "class-2": 1}, {NORMAL: 3, "class-1": 100}]
        ),
        small_first=random.choice([0, 1, 3]),
    )


def any_floors(seed: int, limits: Mapping[str, int]) -> Mapping[str, int]:
    """Steps with an adaptive limit, in a part of the runs; by a chance of their own."""
    random = Random(f"floors {seed}")  # noqa: S311 -- a game of dice, not a secret
    return {step: 1 for step in limits if random.random() < 0.5}  # noqa: PLR2004 -- a coin


def any_sizes(seed: int) -> list[int]:
    """The sizes of the files of a run; each is above the smallest limit that a step has."""
    random = Random(f"sizes {seed}")  # noqa: S311 -- a game of dice, not a secret
    return [random.choice([2, 7, 7, 9]) for _ in range(3)]


def configs_of(random: Random, first: Config) -> list[Config]:
    """How processes may be configured: mostly all alike, else as in a rollout that changes the steps."""
    changes = [_reordered, _without_one, _with_another, _renamed, _without_any, _otherwise]
    count = random.choice([0, 0, 0, 1, 1, 2])
    return [
        first,
        *(evolve(first, steps=change(random, first.steps)) for change in random.sample(changes, count)),
    ]


Steps = tuple[StepPlan, ...]


def _reordered(random: Random, steps: Steps) -> Steps:
    return tuple(random.sample(steps, len(steps)))


def _without_one(random: Random, steps: Steps) -> Steps:
    gone = random.choice(steps) if steps else None
    return tuple(each for each in steps if each is not gone)


def _with_another(random: Random, steps: Steps) -> Steps:
    at = random.randint(0, len(steps))
    return (*steps[:at], step("another"), *steps[at:])


def _renamed(random: Random, steps: Steps) -> Steps:
    at = random.randrange(len(steps)) if steps else 0
    return tuple(evolve(each, name="renamed") if index == at else each for index, each in enumerate(steps))


def _without_any(random: Random, steps: Steps) -> Steps:
    del random, steps
    return ()


def _otherwise(random: Random, steps: Steps) -> Steps:
    changed = {
        "timeout": Millis(4 * SECOND),
        "max_retries": 1,
        "on_exhausted": random.choice(list(OnExhausted)),
    }
    return tuple(evolve(each, **changed) for each in steps)
