"""Refuses words that were replaced: docs/glossary.md says which ones are used."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPLACED = {
    # "there is no" is good English, and so are some fixed phrases.
    r"(?<!there )\b(?:is|are|was|were) no "
    r"(?!(?:longer|more|such|reason|doubt|need|way|limit)\b)\w": "is not a",
    r"\bfor ever\b": "forever",
    r"\b(?:he|him|his)\b": "name the subject, or they",
    r"\b(?:is|are|was|be) away\b": "unavailable",
    r"\bto be had\b": "available",
    r"\b(?:crew|seats?)\b": "membership, candidate",
    r"\bquarantine\b": "faults, dead letter",
    r"\breaper\b": "TTLController",
    r"\b(?:uploadpp[./]|unit[./])runtime\b": "the folder's present name: docs/architecture.md",
    r"\bwire-contract\b": "name a document that is in the repository",
    r"\bleave the line of column names\b": "omit the header row",
    r"\bsays? more of an?\b": "for details of",
}
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".json", ".sh", ".tpl", ".js", ".html", ""}
# Recorded events, and the text of a licence, are words of others.
OF_OTHERS = {"LICENSE", "tests/data/wire-samples.jsonl", "scripts/words.py"}


def main() -> int:
    """Print each line that has such a word; 1 when there is one."""
    listed = subprocess.run(
        ["git", "ls-files"],  # noqa: S607 -- git is on PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    pattern = re.compile("|".join(f"({each})" for each in REPLACED), re.IGNORECASE)
    advice = list(REPLACED.values())
    found = 0
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if name in OF_OTHERS or path.suffix not in SUFFIXES or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            for match in pattern.finditer(line):
                found += 1
                print(f"{name}:{number}: {match[0]!r}: {advice[(match.lastindex or 1) - 1]}")
    return found > 0


if __name__ == "__main__":
    sys.exit(main())
