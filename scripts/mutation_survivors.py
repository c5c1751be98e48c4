"""The faults of the core that no test notices, each with its reason: scripts/mutation_survivors.toml."""

import tomllib
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).with_suffix(".toml")


class Survivors(NamedTuple):
    """Faults that survive for one reason."""

    title: str
    reason: str
    lines: tuple[str, ...]


def survivors() -> list[Survivors]:
    """All of them, in the order of the page.

    Raises:
        ValueError: a fault is explained twice.
    """
    found = [
        Survivors(each["title"], each["reason"].strip(), tuple(each["lines"]))
        for each in tomllib.loads(DATA.read_text())["survivors"]
    ]
    every = [line for kind in found for line in kind.lines]
    if twice := sorted({line for line in every if every.count(line) > 1}):
        raise ValueError(f"explained twice in {DATA.name}: {twice}")
    return found
