"""What a fuzz target is. Whoever reads its file knows what must hold for any input."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"


class Target(NamedTuple):
    """One thing that reads what others write."""

    check: Callable[[bytes], None]
    """Reads an input and fails if something does not hold; a refusal that is documented is none."""
    is_json: bool = False
    """Whether inputs are mutated as JSON documents, and not only byte by byte."""
    longest: int = 4096
    """Bytes of an input."""
    words: tuple[str, ...] = ()
    """Words that the format is made of, which the fuzzer is told."""


NAMES = tuple(sorted(path.stem for path in (HERE / "targets").glob("*.py")))


def load(name: str) -> Target:
    """The target of a name. Its modules are imported here, so that the fuzzer can watch them."""
    found: Target = import_module(f"tests.fuzz.targets.{name}").TARGET
    return found


def corpus_of(name: str) -> list[Path]:
    """The inputs that are kept of a target."""
    return sorted((CORPUS / name).iterdir())
