"""How well the tests hold the core: faults are put into it one at a time, and each has to make a test fail.

mutmut makes the faults in functions, `mutation_tables` those in tables and defaults. Both work in
copies of the tree and go on where they were stopped; faults that no test noticed are tried again each
time, because what changes in between are the tests. What is left is explained in mutation_survivors.toml.

With `--only 'uploadpp.core.rules.recovery*'` only faults in functions with such names are tried and reported.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import mutation_tables as tables
from mutation_attempts import STEADY, Attempt, failures
from mutation_copy import ROOT, TESTS, WORK, refresh
from mutation_survivors import survivors as explained_survivors
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

COPY = WORK / "functions"
CORE = Path("src/uploadpp/core")
KILLED = 1


@dataclass
class Score:
    """What became of the faults of one module."""

    killed: int = 0
    untried: int = 0
    timed_out: int = 0
    survivors: list[str] = field(default_factory=list)


def metas() -> dict[Path, dict[str, dict[str, int]]]:
    """What mutmut has noted about each module."""
    return {
        path: json.loads(path.read_text()) for path in sorted((COPY / "mutants").glob(f"{CORE}/**/*.meta"))
    }


def check_names() -> None:
    """Refuse names of tests that pytest does not find by name: each would count as a failed test.

    Raises:
        ValueError: there are such names.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:xdist", TESTS]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603 -- our own arguments
    odd = [line for line in found.stdout.splitlines() if "::" in line and "\\" in line]
    if odd:
        raise ValueError(f"a backslash in the ids of tests makes every fault seem noticed: {odd}")


def chosen(names: Iterable[str], only: Sequence[str]) -> list[str]:
    """The names of faults that fit one of the patterns, in their order; all without patterns."""
    return [name for name in names if not only or any(fnmatch.fnmatch(name, each) for each in only)]


def look_again(jobs: int, only: Sequence[str]) -> None:
    """Try what survived, and is not explained, with all tests and in a new process.

    mutmut forks from a process that has imported the core: it sees no fault in code that runs at import.
    """
    explained = explained_lines()
    left = [
        (path, name)
        for path, meta in metas().items()
        for name in chosen(survivors(meta), only)
        if told(name, path) not in explained
    ]
    clean = Attempt(COPY / "mutants", paths=(COPY / "mutants/src",))
    attempts = [replace(clean, environment={"MUTANT_UNDER_TEST": name}) for _, name in left]
    for (path, name), failed in zip(left, failures("survivors", attempts, clean, jobs), strict=True):
        if failed:
            meta = json.loads(path.read_text())
            meta["exit_code_by_key"][name] = KILLED
            path.write_text(json.dumps(meta, indent=4))


def explained_lines() -> set[str]:
    """The faults that mutation_survivors.toml explains."""
    return {line for kind in explained_survivors() for line in kind.lines}


def survivors(meta: dict[str, dict[str, int]]) -> list[str]:
    """The faults that no test noticed."""
    codes = meta["exit_code_by_key"]
    return [name for name, code in codes.items() if status_by_exit_code[code] in {"survived", "no tests"}]


def told(name: str, path: Path) -> str:
    """A fault in one line: where it is, and what stands there instead."""
    with contextlib.chdir(COPY):
        diff = get_diff_for_mutant(name, path=path.relative_to(COPY / "mutants").with_suffix("")).splitlines()
    lines = [line for line in diff if line[:3] not in {"+++", "---"}]
    wrong = [line[1:].strip() for line in lines if line[:1] == "+"] or [
        f"without {line[1:].strip()}" for line in lines if line[:1] == "-"
    ]
    where = name.partition("__mutmut")[0].removeprefix("uploadpp.core.")
    return f"{where.replace('.x_', '.').replace('.xǁ', '.').replace('ǁ', '.')}: {' '.join(wrong)}"


def in_functions(only: Sequence[str]) -> dict[str, Score]:
    """What is known by now of faults in functions, by module."""
    found: dict[str, Score] = defaultdict(Score)
    for path, meta in metas().items():
        module = ".".join(path.relative_to(COPY / "mutants" / CORE).parts).removesuffix(".py.meta")
        codes = meta["exit_code_by_key"]
        names = chosen(codes, only)
        if not names:
            continue
        states = [status_by_exit_code[codes[name]] for name in names]
        found[module].killed += states.count("killed")
        found[module].untried += states.count("not checked")
        found[module].timed_out += states.count("timeout")
        found[module].survivors += [told(name, path) for name in chosen(survivors(meta), only)]
    return found


def with_tables(found: dict[str, Score], jobs: int) -> None:
    """Try the faults in tables, and add what became of them."""
    for module, tried in tables.run(jobs).items():
        found[module].killed += sum(noticed for _, noticed in tried)
        found[module].survivors += [f"{module}: {change}" for change, noticed in tried if not noticed]


def report(found: dict[str, Score], *, whole: bool) -> list[str]:
    """Print the figures; returns the survivors that mutation_survivors.toml does not explain.

    `whole` says whether all faults were tried: only then are explained ones that do not survive a finding.
    """
    print("\n| module | faults | killed | timed out | survived | not tried |")
    print("|---|---|---|---|---|---|")
    total = Score()
    for module, score in sorted(found.items()):
        _row(module, score)
        total.killed += score.killed
        total.untried += score.untried
        total.timed_out += score.timed_out
        total.survivors += score.survivors
    _row("all", total)
    explained = explained_lines()
    for each in sorted(explained - {*total.survivors}) if whole else ():
        print(f"explained, and noticed by now: {each}")
    return [each for each in total.survivors if each not in explained]


def _row(module: str, score: Score) -> None:
    survived = len(score.survivors)
    whole = score.killed + score.timed_out + survived + score.untried
    numbers = (whole, score.killed, score.timed_out, survived, score.untried)
    print(f"| {module:<16} | {' | '.join(f'{number:>6}' for number in numbers)} |")


def main() -> int:
    """Run what is left to run, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=[], help="patterns of mutmut's names of faults")
    arguments = parser.parse_args()
    jobs: int = arguments.jobs
    only: list[str] = arguments.only
    check_names()
    refresh(COPY)
    # For a function that has come since, mutmut would ask new tests only.
    (COPY / "mutants/mutmut-stats.json").unlink(missing_ok=True)
    command = [str(ROOT / ".venv/bin/mutmut"), "run", "--max-children", str(jobs)]
    command += only  # if there is any, mutmut also tries again what was noticed
    done = subprocess.run(command, cwd=COPY, env=os.environ | STEADY, check=False)  # noqa: S603  # our own arguments
    if done.returncode:
        return done.returncode
    look_again(jobs, only)
    found = in_functions(only)
    if not only:
        with_tables(found, jobs)
    open_questions = report(found, whole=not only)
    for each in open_questions:
        print(f"not explained: {each}")
    return 1 if open_questions else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; the next run goes on from here")
