"""`kubectl-pp __complete WORDS…`: candidates in the form kubectl (Cobra) expects, never an error.

The last word is the one being typed. Each line is a candidate, a tab and its description; the
last line is a colon and a directive.
"""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing, suppress

from kubectl_pp.catalog import ALIASES, BY_NAME, VERBS, Names, Verb
from kubectl_pp.cli import parse, split
from kubectl_pp.context import Context
from kubectl_pp.errors import PluginError
from kubectl_pp.flags import CONNECTION, SCOPE, Completes, Flag, kubectl_arguments
from kubectl_pp.proxy import kubectl_path
from kubectl_pp.screen import Screen, harmless

OPEN_ONLY = frozenset({"cancel", "resume", "suspend", "unsuspend", "wait", "watch"})
"""Verbs for uploads that have not ended."""
_SHELL_SAFE = re.compile(r"[A-Za-z0-9@._:=/-]+")
"""Candidates with any other character are not offered: some shells would expand them."""
REQUEST_TIMEOUT = "3s"
NO_FILES, FILES = 4, 0

Candidates = list[tuple[str, str]]


def complete(words: list[str]) -> int:
    """Print candidates for the last word."""
    before, typed = words[:-1], words[-1] if words else ""
    found: Candidates = []
    directive = NO_FILES
    with suppress(Exception):  # whatever the cluster answers: a shell that cannot complete says nothing
        found, directive = _candidates(before, typed)
    # Of --flag=value the value alone is offered: the shells' own code puts the flag before it.
    start = typed.partition("=")[2] if typed.startswith("-") and "=" in typed else typed
    offered = [(word, text) for word, text in found if word.startswith(start) and _SHELL_SAFE.fullmatch(word)]
    lines = [f"{word}\t{harmless(text)}" if text else word for word, text in offered]
    sys.stdout.write("".join(f"{line}\n" for line in lines) + f":{directive}\n")
    return 0


def _candidates(before: list[str], typed: str) -> tuple[Candidates, int]:
    verb = _verb(before)
    flags = verb.flags if verb else (*SCOPE.flags, *CONNECTION.flags)
    by_name = {name: flag for flag in flags for name in flag.names}
    head, equals, start = typed.partition("=")
    if equals and head in by_name:
        return _values(by_name[head], before, start)
    if before and (flag := by_name.get(before[-1])) and flag.metavar and not flag.optional:
        return _values(flag, before[:-1], typed)
    if typed.startswith("-"):
        return [(name, flag.help) for flag in flags for name in flag.names if name.startswith("--")], NO_FILES
    if verb is None:
        return [(each.name, each.summary) for each in VERBS], NO_FILES
    if verb.names is Names.SHELL:
        return [(shell, "") for shell in Names.SHELL.value.split("|")], NO_FILES
    if verb.names is Names.VERB:
        return [(each.name, each.summary) for each in VERBS], NO_FILES
    if verb.names in {Names.NONE, Names.TEST}:
        return [(word, verb.summary) for word in [verb.names.value] if word and word not in before], NO_FILES
    return _uploads(verb, before, typed), NO_FILES


def _verb(before: list[str]) -> Verb | None:
    try:
        return split(before)[0]
    except PluginError:
        found = next((word for word in before if ALIASES.get(word, word) in BY_NAME), None)
        return BY_NAME[ALIASES.get(found, found)] if found else None


def _values(flag: Flag, before: list[str], typed: str) -> tuple[Candidates, int]:
    if flag.completes is Completes.CHOICES:
        return [(choice, "") for choice in flag.choices], NO_FILES
    if flag.completes is Completes.FILES:
        return [], FILES
    if flag.completes is Completes.STEPS:
        return _steps(before), NO_FILES
    if flag.completes is Completes.KUBECTL:
        return _ask_kubectl(flag, before, typed), NO_FILES
    return [(choice, "") for choice in flag.choices], NO_FILES


def _ask_kubectl(flag: Flag, before: list[str], typed: str) -> Candidates:
    """What kubectl offers: it completes its own flags."""
    place = kubectl_arguments(vars(_context(before).options))
    asked = [kubectl_path(), "__complete", "get", *place, flag.long, typed]
    done = subprocess.run(
        asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5, check=False
    )
    pairs = [line.partition("\t") for line in done.stdout.splitlines() if not line.startswith(":")]
    return [(word, text) for word, _, text in pairs if not word.startswith("_activeHelp_")]


def _context(before: list[str]) -> Context:
    """For requests: only what says where; the rest of the line may be unfinished."""
    valued = {name: flag for group in (SCOPE, CONNECTION) for flag in group.flags for name in flag.names}
    place: list[str] = []
    words = iter(before)
    for word in words:
        flag = valued.get(word.partition("=")[0])
        if flag is None:
            continue
        place.append(word)
        if flag.metavar and "=" not in word and (value := next(words, None)) is not None:
            place.append(value)
    return Context(parse(BY_NAME["list"], [*place, f"--request-timeout={REQUEST_TIMEOUT}"]), Screen("never"))


def _uploads(verb: Verb, before: list[str], typed: str) -> Candidates:
    from kubectl_pp import candidates  # noqa: PLC0415 -- only here a cluster is asked

    with closing(_context(before)) as context:
        found = candidates.uploads(context, typed, ended=verb.name not in OPEN_ONLY)
    named = {word for word in before if not word.startswith("-")}
    return [("@latest", "the newest upload"), *(pair for pair in found.items() if pair[0] not in named)]


def _steps(before: list[str]) -> Candidates:
    from kubectl_pp import candidates  # noqa: PLC0415 -- only here a cluster is asked

    with closing(_context(before)) as context:
        names = candidates.steps(context)
    return [*((name, "") for name in names), ("finished", "waits for the storage")]
