"""Refuses words that were replaced: docs/glossary.md says which ones are used."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
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
    r"\blaws?\b": "invariant",
    r"\bwish(?:es)?\b": "request",
    r"(?<![a-z])(?:old|replaced)[ _-]?(?:postprocessing )?service": "legacy service",
    r"(?<![a-z])replaced[ _-]?consumer": "legacy consumer",
    r"\bservice (?:that |which )?(?:we|it|the operator) replaces?\b": "legacy service",
    r"(?<![a-z])the[ _]peer\b": "legacy service",
    r"\bpromises? (?:is|are|was|were) (?:broken|kept)\b|\bbroken promises?\b": "invariant, guarantee",
    r"\b(?:an?|the|no|our) echo(?:es)?\b|\bechoes\b": "own event, own write",
    r"\b(?:crew|seats?)\b": "membership, candidate",
    r"\bledger\b": "AckTracker, the window",
    r"\bspecimens?\b": "dead letter",
    r"\bput[ _]away\b": "evict",
    r"\bstep[ _]places\b": "step slots",
    r"\bsurroundings\b": "dependencies",
    r"\bquarantine\b": "faults, dead letter",
    r"\breaper\b": "TTLController",
    r"\b(?:uploadpp[./]|unit[./])runtime\b": "the folder's present name: docs/architecture.md",
    r"\bcore[./](?:moves|dispatch|echo)\b|\bwire[./](?:followers|giveback)\b": "the module's present name",
    r"\bpipeline[./](?:entry|ledger|held|pace|story|archive|echoes)\b": "the module's present name",
    r"\btesting[./](?:oldservice|worlds?|people|kernel|journal|outcome|plans)\b": "the module's present name",
    r"\bwire-contract\b": "name a document that is in the repository",
    r"\bleave the line of column names\b": "omit the header row",
    r"\bsays? more of an?\b": "for details of",
}
MESSAGES = {
    r"\b(?:trying|tried|tries) again\b": "retrying, retried, retries",
    r"\banew\b": "again, or recreated",
    r"\bpassed over\b": "skipped, or set aside",
    r"(?<!what is )\bgo(?:es|ing)? on\b": "continue",
    r"\bno retry (?:is )?left\b": "no retries left",
    r"\b(?:is|are|was|were) over\b": "has ended, or has expired",
    r"\bby itself\b": "automatically",
    r"\bsays? of itself\b": "reports",
    r"\bas asked\b": "as requested",
    r"\bcannot be told\b": "cannot tell, or cannot verify",
    r"\bst(?:ood|ands?) still\b": "blocked",
    r"\bput back from\b": "restored from",
    r"\bone a line\b": "one per line",
    r"\bbecomes? of\b": "happens to",
    r"\bholds? no\b": "contains no",
    r"\bno right to\b": "no permission to",
    r"\bwhoever\b": "name the subject",
    r"\bfor good\b": "permanently",
    r"\bsomebody else\b": "another client",
    r"\b(?:came|comes?) with\b": "of, or has",
    r"\bend of (?:a|the) line\b": "line break",
    r"\bnobody answers\b": "no response, or not available",
    r"\bforgotten\b": "dropped from memory, or no longer tracked",
    r"\bas a rule\b": "usually",
    r"\ball the same\b": "anyway",
}
"""Refused only in texts that administrators read: messages, help texts, the chart and the alerts."""
MESSAGES_IN = ("operator/", "charts/", "docs/monitoring/")
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".json", ".sh", ".tpl", ".js", ".html", ""}
# Recorded events, and the text of a licence, are words of others; the last two list what is refused.
OF_OTHERS = {"LICENSE", "tests/data/wire-samples.jsonl", "scripts/words.py", "tests/guard/test_words.py"}


def messages(name: str, text: str) -> Iterator[tuple[int, str]]:
    """The texts of a file that administrators read, with their lines: no docstrings, comments or doubles."""
    if not name.startswith(MESSAGES_IN) or "/testing/" in name or name.endswith(".toml"):
        return
    if not name.endswith(".py"):
        yield from enumerate(text.splitlines(), 1)
        return
    tree = ast.parse(text)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def found_in(name: str, text: str) -> Iterator[str]:
    """A line for each refused word of a file: where it is, the word, and what to write instead."""
    for lines, replaced in ((enumerate(text.splitlines(), 1), REPLACED), (messages(name, text), MESSAGES)):
        pattern = re.compile("|".join(f"({each})" for each in replaced), re.IGNORECASE)
        advice = list(replaced.values())
        for number, line in lines:
            for match in pattern.finditer(line):
                yield f"{name}:{number}: {match[0]!r}: {advice[(match.lastindex or 1) - 1]}"


def main() -> int:
    """Print each line that has such a word; 1 when there is one."""
    listed = subprocess.run(
        ["git", "ls-files"],  # noqa: S607 -- git is on PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = 0
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if name in OF_OTHERS or path.suffix not in SUFFIXES or not path.is_file():
            continue
        for line in found_in(name, path.read_text(encoding="utf-8", errors="replace")):
            found += 1
            print(line)
    return found > 0


if __name__ == "__main__":
    sys.exit(main())
