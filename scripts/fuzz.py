"""`make fuzz`: runs each fuzz target of tests/fuzz for a while and says what came of it.

What it learns is kept in .cache/fuzz, so that the next run goes on there. An input that fails is put into the
corpus, where `make test` replays it. `--store` puts the inputs that reach most into the corpus.
"""

import argparse
import os
import re
import shutil
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.target import CORPUS, NAMES, corpus_of, load

CACHE = Path(".cache/fuzz")
SLOW_SECONDS = 20
"""One input may take so long on a busy machine; what has no bound takes longer."""
MOST_MEGABYTES = 1536
MOST_SAID = 5000
MOST_STORED = 30
"""Inputs that `--store` keeps of a target."""
_STATE = re.compile(r"#(\d+)\t.*cov: (\d+) ft: (\d+) corp: (\d+)")
_DONE = re.compile(r"stat::number_of_executed_units: (\d+)")
_TROUBLE = re.compile(r"=== Uncaught Python exception: ===|ERROR: libFuzzer|Segmentation fault|SUMMARY: ")


class Outcome(NamedTuple):
    """What came of one target."""

    name: str
    executions: int
    seconds: float
    coverage: int
    features: int
    found: list[Path]


def run(name: str, seconds: int) -> Outcome:
    """Fuzz a target until the time is over or an input fails."""
    learned, artifacts = CACHE / "learned" / name, CACHE / "found" / name
    learned.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(artifacts, ignore_errors=True)
    artifacts.mkdir(parents=True)
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    words = CACHE / f"{name}.words"
    words.write_text("".join(f'"{escaped(word)}"\n' for word in (*load(name).words, "a")))
    began = time.monotonic()
    done = drive(
        name,
        *(str(folder) for folder in (learned, CORPUS / name)),
        f"-max_total_time={seconds}",
        f"-timeout={SLOW_SECONDS}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-artifact_prefix={artifacts}/",
        f"-dict={words}",
        "-print_final_stats=1",
    )
    (CACHE / f"{name}.log").write_text(done)
    states, counted = _STATE.findall(done), _DONE.search(done)
    executions, coverage, features, _ = map(int, states[-1]) if states else (0, 0, 0, 0)
    # What libFuzzer finds slow may only have waited for a processor; what has no bound runs into the timeout.
    failed = [path for path in sorted(artifacts.iterdir()) if not path.name.startswith("slow-unit")]
    found = [keep(name, path) for path in failed]
    if found or _TROUBLE.search(done) or not states:
        print(
            done[done.find(" === Uncaught") :][:MOST_SAID] if " === Uncaught" in done else done[-MOST_SAID:]
        )
    if not states and not found:
        sys.exit(f"the target {name} did not run")
    executions = int(counted[1]) if counted else executions
    return Outcome(name, executions, time.monotonic() - began, coverage, features, found)


def escaped(word: str) -> str:
    """A word as it stands in a dictionary of libFuzzer."""
    plain = string.ascii_letters.encode()
    return "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in word.encode())


def drive(name: str, *flags: str) -> str:
    """Run the fuzzer on a target in a process of its own; returns what it writes."""
    command = [sys.executable, "-m", "tests.fuzz.drive", name, *flags]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(  # noqa: S603 -- our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, check=False
    )
    return done.stdout.decode(errors="replace")


def keep(name: str, artifact: Path) -> Path:
    """An input that fails, in the corpus, where the tests replay it from now on."""
    kind, _, digest = artifact.name.partition("-")
    kept = CORPUS / name / f"found-{kind}-{digest[:12]}"
    shutil.copyfile(artifact, kept)
    return kept


def store(name: str) -> None:
    """Keep the learned inputs that together reach most, the smallest first."""
    chosen = CACHE / "chosen" / name
    shutil.rmtree(chosen, ignore_errors=True)
    chosen.mkdir(parents=True)
    drive(name, "-set_cover_merge=1", str(chosen), str(CORPUS / name), str(CACHE / "learned" / name))
    for old in CORPUS.glob(f"{name}/learned-*"):
        old.unlink()
    known = {path.read_bytes() for path in corpus_of(name)}
    inputs = sorted(chosen.iterdir(), key=lambda path: path.stat().st_size, reverse=True)
    wanted = [path for path in inputs if path.read_bytes() not in known][:MOST_STORED]
    for path in wanted:
        shutil.copyfile(path, CORPUS / name / f"learned-{path.name[:12]}")
    print(f"{name}: {len(wanted)} inputs stored")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*NAMES, []], help="all of them if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--store", action="store_true", help="put what reaches most into the corpus instead")
    options = parser.parse_args()
    names = options.targets or NAMES
    if options.store:
        for name in names:
            store(name)
        return 0
    failed = False
    print("target        executions  per second  branches  features  findings")
    for name in names:
        got = run(name, options.seconds)
        speed = round(got.executions / got.seconds)
        numbers = f"{got.executions:>12}{speed:>12}{got.coverage:>10}{got.features:>10}{len(got.found):>10}"
        print(f"{name:<12}{numbers}", flush=True)
        for path in got.found:
            print(f"    {path}: run .venv/bin/python -m pytest tests/fuzz -k {path.name}")
        failed = failed or bool(got.found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
