"""Runs the core's tests against one fault after another, each in a process of its own.

They are forked from this one, which has imported pytest and nothing of ours: half of the work is done then.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import hypothesis
import hypothesis.strategies
import pytest
import pytest_asyncio.plugin
import pytest_timeout
from mutation_copy import LEFT_OUT, TESTS

ARGUMENTS = ["-x", "-q", "--noconftest", "-p", "no:cacheprovider", f"--ignore={TESTS}/{LEFT_OUT}"]
FIRST = [f"{TESTS}/test_vocabulary.py", f"{TESTS}/test_machine.py"]
"""These are quick and notice most faults in tables."""
STEADY = {"CI": "true"}
"""Makes hypothesis try the same examples each time and give each all the time it takes.

Otherwise a busy machine fails a test now and then, and the fault of the moment seems noticed.
"""


@dataclass(frozen=True)
class Attempt:
    """A folder whose tests are run with some environment, and with a module whose source is another."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    module: str = ""
    source: str = ""


def failures(title: str, attempts: Sequence[Attempt], clean: Attempt, jobs: int) -> Iterator[bool]:
    """Whether the tests fail, for each attempt in turn.

    Raises:
        RuntimeError: they fail without any fault, so that a failure means nothing.
    """
    if not attempts:
        return
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        if pool.apply(_fails, [clean]):
            raise RuntimeError(f"the tests fail in {clean.folder} without any fault")
        for count, failed in enumerate(pool.imap(_fails, attempts), 1):
            sys.stdout.write(f"\r{title}: {count}/{len(attempts)} tried")
            sys.stdout.flush()
            yield failed
    sys.stdout.write("\n")


def _fails(attempt: Attempt) -> bool:
    os.chdir(attempt.folder)
    os.environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **attempt.environment}
    sys.path[:0] = [str(path) for path in attempt.paths]
    original = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
        return compile(attempt.source, name, "exec") if name == attempt.module else original(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]  # in a process that ends after it
    steady = hypothesis.settings.get_profile("ci")  # that of STEADY, which is read at import
    hypothesis.settings.register_profile("mutation", steady, max_examples=20)
    hypothesis.settings.load_profile("mutation")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    plugins = [pytest_asyncio.plugin, pytest_timeout]
    return any(pytest.main([*ARGUMENTS, *tests], plugins=plugins) for tests in (FIRST, [TESTS]))
